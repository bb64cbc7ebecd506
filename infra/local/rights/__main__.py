"""`python -m rights WORLD...`: the rights that none of these worlds has used; status 1 where there are any.

A world's directory keeps its records after the world has ended.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from . import aws, kubernetes

CHECKOUT = Path(__file__).resolve().parents[3]


def _lines(worlds: list[Path], name: str) -> Iterator[str]:
    for world in worlds:
        with (world / name).open() as lines:
            # A world that was killed may have left a part of a line.
            yield from (line for line in lines if line.endswith("\n"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="rights", description=__doc__.splitlines()[0])
    parser.add_argument("worlds", nargs="+", type=Path, metavar="WORLD", help="the directory of a world")
    worlds = parser.parse_args().worlds
    in_cluster, on_aws = kubernetes.granted(CHECKOUT), aws.granted(CHECKOUT)
    idle = [
        *kubernetes.unused(in_cluster, kubernetes.used(_lines(worlds, "audit.log"))),
        *aws.unused(on_aws, aws.used(_lines(worlds, "aws-calls.jsonl"))),
    ]
    for right in idle:
        print(f"no test uses {right}")
    print(f"{len(in_cluster) + len(on_aws)} rights, {len(idle)} of them unused")
    return 1 if idle else 0


if __name__ == "__main__":
    sys.exit(main())
