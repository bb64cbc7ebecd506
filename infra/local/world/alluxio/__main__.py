"""``python -m world.alluxio --world DIR --tools DIR --address 127.X.0.2``: runs until SIGTERM or SIGINT.

With ``--in-cluster N`` in place of the address the masters are pods, of which there are so many, and none is started here.
``--clean`` instead ends what a killed run left behind (processes, mounts), and returns.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from pathlib import Path

from . import jvm
from .service import Service, clean


async def _run(service: Service) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    starting = asyncio.create_task(service.start())
    ending = asyncio.create_task(ended.wait())
    try:
        await asyncio.wait({starting, ending}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            await ending
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await service.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="world.alluxio", description="The Alluxio of a local world.")
    parser.add_argument("--world", type=Path, required=True)
    parser.add_argument("--tools", type=Path, default=os.environ.get("TIDEGATE_TOOLS"))
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--address", default="", help="the masters' loopback address, 127.X.0.2")
    where.add_argument("--in-cluster", type=int, choices=(1, 3), default=0, help="how many masters are pods")
    parser.add_argument("--clean", action="store_true", help="only end what a killed run left behind")
    options = parser.parse_args()
    if options.clean:
        clean(options.world.resolve())
        return
    if not (options.address or options.in_cluster) or not options.tools:
        parser.error("--address or --in-cluster, and --tools, are needed (or TIDEGATE_TOOLS)")
    runtime = jvm.Runtime.of_tools(options.tools)
    asyncio.run(_run(Service(runtime, options.world, address=options.address, in_cluster=options.in_cluster)))


if __name__ == "__main__":
    main()
