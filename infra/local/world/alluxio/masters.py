"""The Alluxio master and job master of a world, real processes on the world's address 127.X.0.2."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from pathlib import Path

import aiohttp

from . import jvm, settings
from .process import Process

# Seen: 160 MB is enough for a hundred thousand inodes on the heap metastore with the serial collector; job masters
# keep job records only.
MASTER_HEAP_MB = 192
JOB_MASTER_HEAP_MB = 96

# A master closes its journal within half a second of SIGTERM when idle, and within a few with streams open.
_STOP_SECONDS = 10.0


class Masters:
    """``home`` holds journal and logs, ``under_store`` is the root mount; both are created and given to the image's user."""

    def __init__(self, runtime: jvm.Runtime, address: str, world: Path):
        self.address = address
        self.home = world / "alluxio"
        self.under_store = world / "ufs"
        self._properties = settings.masters(address, self.home, self.under_store)
        self._runtime = runtime
        logs, pids = world / "logs", world / "pids"
        self.master = Process(
            "alluxio-master", self._command(jvm.MASTER, MASTER_HEAP_MB), logs / "alluxio-master.log", pids
        )
        self.job_master = Process(
            "alluxio-job-master", self._command(jvm.JOB_MASTER, JOB_MASTER_HEAP_MB), logs / "alluxio-job-master.log", pids
        )
        self._format = Process("alluxio-format", self._command(jvm.FORMAT, 64, "master"), logs / "alluxio-format.log", pids)

    @property
    def rpc(self) -> str:
        return f"{self.address}:{settings.MASTER_RPC_PORT}"

    @property
    def web(self) -> str:
        return f"http://{self.address}:{settings.MASTER_WEB_PORT}"

    def _command(self, main: str, heap_mb: int, *arguments: str) -> list[str]:
        return jvm.confined(self._runtime.command(main, self._properties, heap_mb=heap_mb, arguments=arguments))

    async def start(self) -> None:
        """Formats the journal if there is none, and starts both; returns when the master is serving."""
        for directory in (self.home / "logs", self.home / "conf", self.home / "tmp", self.under_store):
            directory.mkdir(parents=True, exist_ok=True)
            _give(directory)
        _give(self.home)
        if not (self.home / "journal").exists():
            await self._format.start()
            if await self._format.wait() != 0:
                shutil.rmtree(self.home / "journal", ignore_errors=True)
                raise RuntimeError(f"the journal could not be formatted: see {self._format.log}")
        await self.master.start()
        await self.job_master.start()
        await wait_until_serving(self.master, self.web)

    async def stop_master(self, number: int = signal.SIGTERM) -> None:
        if number == signal.SIGKILL:
            await self.master.stop(0)
        else:
            await self.master.stop(_STOP_SECONDS)

    async def start_master(self) -> None:
        """Also after :meth:`stop_master`. It knows its files again, but no decommission: those live in memory only."""
        if not self.master.running:
            await self.master.start()
        await wait_until_serving(self.master, self.web)

    async def stop(self) -> None:
        """At once: what the journal would have closed is thrown away with the world, or replayed at the next start."""
        await asyncio.gather(self.master.stop(0), self.job_master.stop(0), self._format.stop(0))


async def wait_until_serving(master: Process, web: str, timeout_seconds: float = 90.0) -> None:
    """Until the master has left safe mode; raises RuntimeError if it died, TimeoutError if it takes too long."""
    deadline = time.monotonic() + timeout_seconds
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        while True:
            if not master.running:
                raise RuntimeError(f"the Alluxio master ended with {master.exit_code}: see {master.log}")
            try:
                # Small, and refused with status 500 while the master starts or is in safe mode.
                async with session.get(f"{web}/api/v1/master/webui_overview") as answer:
                    if answer.status == 200:
                        return
            except (aiohttp.ClientError, TimeoutError):
                pass
            if time.monotonic() > deadline:
                raise TimeoutError(f"the Alluxio master does not serve after {timeout_seconds:.0f} s: see {master.log}")
            await asyncio.sleep(0.2)


def _give(directory: Path) -> None:
    if os.geteuid() == 0:
        os.chown(directory, jvm.IMAGE_UID, jvm.IMAGE_GID)
