"""``python -m world.alluxio --world DIR --tools DIR --address 127.X.0.2``: runs until SIGTERM or SIGINT.

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
    parser.add_argument("--address", help="the masters' loopback address, 127.X.0.2")
    parser.add_argument("--clean", action="store_true", help="only end what a killed run left behind")
    options = parser.parse_args()
    if options.clean:
        clean(options.world.resolve())
        return
    if not options.address or not options.tools:
        parser.error("--address and --tools are needed (or TIDEGATE_TOOLS)")
    asyncio.run(_run(Service(jvm.Runtime.of_tools(options.tools), options.address, options.world)))


if __name__ == "__main__":
    main()
