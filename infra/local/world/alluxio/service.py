"""Everything of Alluxio in one world, with the switches that tests use; served over loopback HTTP.

Switches (all ``POST``; the answer is a JSON object, an error has ``error``):

- ``/master/restart?signal=TERM|KILL``: ends the master and starts it again; it has forgotten every decommission
- ``/master/stop?signal=TERM|KILL`` and ``/master/start``: away until it is started again
- ``/master/pause`` and ``/master/continue``: takes connections and answers nothing, as after a full collection
- ``/job-master/stop`` and ``/job-master/start``: persists are accepted and wait
- ``/under-store?writes=refused|accepted``: reads go on
- ``GET /``: what is running

Where the masters are pods, only files and under store are here, and the switches of the masters are refused.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

from aiohttp import web

from . import jvm, settings
from .files_server import FilesServer
from .masters import Masters
from .process import end_recorded, record_self
from .under_store import UnderStore


class Service:
    """Alluxio in the world directory ``world``: on ``address`` (127.X.0.2), or ``in_cluster``, as so many pods."""

    def __init__(self, runtime: jvm.Runtime, world: Path, *, address: str = "", in_cluster: int = 0):
        self.world = world.resolve()
        self.home = self.world / "alluxio"
        self.masters = None if in_cluster else Masters(runtime, address, self.world)
        known = settings.masters_elsewhere(address)
        if in_cluster:
            known = settings.masters_in_cluster(in_cluster, self.world / "nodes" / "hosts")
        self.files = FilesServer(runtime, known, self.world)
        self.under_store = UnderStore(self.world / "ufs")
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Returns when files can be written and switches be used; then ``alluxio/service.json`` tells where."""
        record_self(self.world / "pids", "alluxio")
        # A file of a former life would make its reader believe that all is up.
        told = self.world / "alluxio" / "service.json"
        told.unlink(missing_ok=True)
        self.under_store.accept_writes()
        self._make_home()
        await asyncio.gather(self.files.start(), *([self.masters.start()] if self.masters else []))
        control = await self._serve()
        masters = {"master": self.masters.rpc, "masterWeb": self.masters.web} if self.masters else {}
        _write(told, {"pid": os.getpid(), "control": control, "files": self.files.url, **masters})

    async def stop(self) -> None:
        if self._runner:
            await self._runner.cleanup()
        await asyncio.gather(self.files.stop(), *([self.masters.stop()] if self.masters else []))
        self.under_store.accept_writes()
        (self.world / "alluxio" / "service.json").unlink(missing_ok=True)
        (self.world / "pids" / "alluxio").unlink(missing_ok=True)

    def _make_home(self) -> None:
        places = (self.home, *(self.home / name for name in ("logs", "conf", "tmp")), self.under_store.directory)
        for directory in places:
            directory.mkdir(parents=True, exist_ok=True)
            if os.geteuid() == 0:
                os.chown(directory, jvm.IMAGE_UID, jvm.IMAGE_GID)

    async def _serve(self) -> str:
        application = web.Application()
        application.add_routes(
            [
                web.get("/", self._state),
                web.post("/master/{action}", self._master),
                web.post("/job-master/{action}", self._job_master),
                web.post("/under-store", self._under_store),
            ]
        )
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _state(self, request: web.Request) -> web.Response:
        return web.json_response(self._told())

    def _told(self) -> dict[str, Any]:
        masters = {
            "master": self.masters.master.running,
            "jobMaster": self.masters.job_master.running,
        } if self.masters else {}
        return {
            **masters,
            "files": bool(self.files.process and self.files.process.running),
            "underStoreWrites": "refused" if self.under_store.refuses_writes else "accepted",
        }

    async def _master(self, request: web.Request) -> web.Response:
        if self.masters is None:
            return _refused("the masters are pods")
        action = request.match_info["action"]
        number = signal.Signals[f"SIG{request.query.get('signal', 'TERM')}"]
        if action in ("stop", "restart"):
            await self.masters.stop_master(number)
        if action in ("start", "restart"):
            await self.masters.start_master()
        if action in ("pause", "continue"):
            self.masters.master.send(signal.SIGSTOP if action == "pause" else signal.SIGCONT)
        return self._done(action, ("stop", "start", "restart", "pause", "continue"))

    async def _job_master(self, request: web.Request) -> web.Response:
        if self.masters is None:
            return _refused("the masters are pods")
        action = request.match_info["action"]
        if action == "stop":
            await self.masters.job_master.stop(0)
        if action == "start" and not self.masters.job_master.running:
            await self.masters.job_master.start()
        return self._done(action, ("stop", "start"))

    async def _under_store(self, request: web.Request) -> web.Response:
        wanted = request.query.get("writes", "")
        if wanted == "refused":
            self.under_store.refuse_writes()
        if wanted == "accepted":
            self.under_store.accept_writes()
        return self._done(wanted, ("refused", "accepted"))

    def _done(self, action: str, known: tuple[str, ...]) -> web.Response:
        if action not in known:
            return _refused(f"{action!r} is none of {', '.join(known)}")
        return web.json_response(self._told())


def _refused(why: str) -> web.Response:
    return web.json_response({"error": why}, status=400)


def clean(world: Path) -> None:
    """Undoes what a killed service left: its processes and the mount over the under store."""
    end_recorded(world / "pids", "alluxio")
    UnderStore(world / "ufs").accept_writes()


def _write(target: Path, told: dict[str, Any]) -> None:
    unfinished = target.with_suffix(".new")
    unfinished.write_text(json.dumps(told, indent=1) + "\n")
    os.replace(unfinished, target)
