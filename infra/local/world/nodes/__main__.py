"""``python -m world.nodes --world DIR --tools DIR``: plays the nodes until SIGTERM or SIGINT.

Needs ``endpoints.json`` and ``kubeconfig`` in the world directory. ``--clean`` instead ends what a killed run left
behind (processes, mounts), and returns.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
from pathlib import Path

from ..alluxio import jvm
from .control import Control
from .player import Options, Player, clean, write_told


async def _run(player: Player) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    control = Control(player)
    try:
        await player.start()
        await control.start()
        write_told(player.world, control.url)
        await ended.wait()
    finally:
        await control.stop()
        await player.stop()
        (player.world / "nodes" / "player.json").unlink(missing_ok=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="world.nodes", description="The nodes of a local world.")
    parser.add_argument("--world", type=Path, required=True)
    parser.add_argument("--tools", type=Path, default=os.environ.get("TIDEGATE_TOOLS"))
    parser.add_argument("--clean", action="store_true", help="only end what a killed run left behind")
    for name, default in vars(Options()).items():
        flag = "--" + name.replace("_", "-") + "-seconds"
        parser.add_argument(flag, type=float, default=default, dest=name, help=f"default {default:g}")
    options = parser.parse_args()
    world = options.world.resolve()
    if options.clean:
        clean(world)
        return
    if not options.tools:
        parser.error("--tools is needed (or TIDEGATE_TOOLS)")
    (world / "logs").mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=world / "logs" / "nodes.log", level=logging.INFO, format="%(asctime)s %(levelname).1s %(name)s: %(message)s"
    )
    logging.getLogger("botocore").setLevel(logging.WARNING)
    chosen = Options(**{name: getattr(options, name) for name in vars(Options())})
    asyncio.run(_run(Player(world, jvm.Runtime.of_tools(options.tools), options.tools / "bin", chosen)))


if __name__ == "__main__":
    main()
