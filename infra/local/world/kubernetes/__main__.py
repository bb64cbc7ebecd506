"""`python -m world.kubernetes --world DIR --clean`: ends what a crashed world has left of its control plane."""

from __future__ import annotations

import argparse
from pathlib import Path

from .control_plane import ControlPlane


def main() -> None:
    parser = argparse.ArgumentParser(prog="world.kubernetes", description=__doc__)
    parser.add_argument("--world", type=Path, required=True, help="the world directory")
    parser.add_argument("--clean", action="store_true", required=True, help="end everything; starting is the supervisor's")
    # Ending takes no tools: the processes are found by their command lines.
    ControlPlane(parser.parse_args().world, tools=Path()).stop()


if __name__ == "__main__":
    main()
