"""Containers of a pod: what each runs, and its restarts. A runner is what is inside; a container starts it over and over."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from ..alluxio.process import Process
from . import node_object
from .local_volumes import Misconfigured
from .provisioner import Provisioner, serving

Object = dict[str, Any]

# The kubelet begins at 10 s and doubles up to 5 min. Here it is a tenth: tests kill processes, and wait.
_BACK_OFF_SECONDS = (1.0, 30.0)
# A container that ran this long is not in a crash loop any more (kubelet: twice the longest back-off).
_BACK_OFF_FORGOTTEN_SECONDS = 60.0


class Runner(Protocol):
    """What runs in a container. :meth:`wait` returns the exit code."""

    async def start(self) -> None: ...

    async def wait(self) -> int: ...

    async def stop(self, grace_seconds: float) -> None: ...

    def signal(self, number: int) -> None: ...


class NothingRunner:
    """A container that is played without a process: it runs until it is told to end, and then takes its time."""

    def __init__(self, stop_seconds: float = 0.0, run_seconds: float | None = None):
        self._stop_seconds, self._run_seconds = stop_seconds, run_seconds
        self._ended = asyncio.Event()
        self._code = 0

    async def start(self) -> None:
        if self._run_seconds is not None:
            asyncio.get_running_loop().call_later(self._run_seconds, self._ended.set)

    async def wait(self) -> int:
        await self._ended.wait()
        return self._code

    async def stop(self, grace_seconds: float) -> None:
        if not self._ended.is_set():
            await asyncio.sleep(min(self._stop_seconds, grace_seconds))
            # Within its grace it ends by itself; after it, it is killed.
            self._code = 0 if self._stop_seconds <= grace_seconds else 137
            self._ended.set()

    def signal(self, number: int) -> None:
        if number in (signal.SIGKILL, signal.SIGTERM):
            self._code = 128 + number
            self._ended.set()


class ProcessRunner:
    """A real process. ``clear`` are directories that are emptied first, as a format would."""

    def __init__(self, process: Process, clear: tuple[Path, ...] = ()):
        self._process, self._clear = process, clear

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process.running else None

    async def start(self) -> None:
        for directory in self._clear:
            shutil.rmtree(directory, ignore_errors=True)
        await self._process.start()

    async def wait(self) -> int:
        return await self._process.wait()

    async def stop(self, grace_seconds: float) -> None:
        await self._process.stop(grace_seconds)

    def signal(self, number: int) -> None:
        self._process.send(number)


class ProvisionerRunner:
    """The played provisioner: a task of this process."""

    def __init__(self, make: Callable[[], Provisioner], host: str, port: int, say: Callable[[str], None]):
        self._make, self._host, self._port, self._say = make, host, port, say
        self._task: asyncio.Task[int] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> int:
        try:
            made = self._make()
            async with serving(made, self._host, self._port):
                await made.run()
        except Misconfigured as error:
            self._say(f"F {error}")
            return 255
        return 0

    async def wait(self) -> int:
        assert self._task is not None
        try:
            return await asyncio.shield(self._task)
        except asyncio.CancelledError:
            if self._task.cancelled():
                return 137
            raise
        except Exception as error:  # noqa: BLE001 - a defect of the player must not look like a running container
            self._say(f"F {error!r}")
            logging.getLogger("nodes").exception("provisioner")
            return 2

    async def stop(self, grace_seconds: float) -> None:
        self.signal(signal.SIGTERM)

    def signal(self, number: int) -> None:
        if self._task and number in (signal.SIGTERM, signal.SIGKILL):
            self._task.cancel()


class CannotStart(Exception):
    """``reason`` is what the kubelet shows while it tries again: CreateContainerConfigError, RunContainerError."""

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason


@dataclass
class Container:
    """One container's life, and its status as the API shows it. ``make`` builds a fresh runner for each start."""

    spec: Object
    make: Callable[[], Runner]
    restart_policy: str
    changed: Callable[[], None]
    event: Callable[[str, str, str], None]
    restart_count: int = 0
    ready: bool = False
    started: bool = False
    began: datetime | None = None
    state: Object = field(default_factory=lambda: {"waiting": {"reason": "ContainerCreating"}})
    last_state: Object = field(default_factory=dict)
    runner: Runner | None = None
    _ending: asyncio.Event = field(default_factory=asyncio.Event)
    _number: int = 0

    @property
    def name(self) -> str:
        return self.spec["name"]

    @property
    def running(self) -> bool:
        return "running" in self.state

    @property
    def succeeded(self) -> bool:
        """Whether it has run to its end, as an init container does."""
        return self.state.get("terminated", {}).get("exitCode") == 0

    async def run(self, supervise: Callable[[Container], contextlib.AbstractAsyncContextManager[None]]) -> None:
        """Until it is ended for good. ``supervise`` surrounds each run: the probes."""
        back_off = 0.0
        while not self._ending.is_set():
            try:
                self.runner = self.make()
                await self.runner.start()
            except CannotStart as error:
                self._set({"waiting": {"reason": error.reason, "message": str(error)}})
                await self._pause(1)
                continue
            self._number += 1
            self.began = began = datetime.now(UTC)
            self._set({"running": {"startedAt": _time(began)}})
            self.event("Normal", "Started", f"Started container {self.name}")
            async with supervise(self):
                code = await self.runner.wait()
            self._finish(began, code)
            if self._ending.is_set() or self.restart_policy == "Never" or (self.restart_policy == "OnFailure" and code == 0):
                return
            if (datetime.now(UTC) - began).total_seconds() > _BACK_OFF_FORGOTTEN_SECONDS:
                back_off = 0.0
            if back_off:
                message = f"back-off {back_off:.0f}s restarting failed container={self.name}"
                self.event("Warning", "BackOff", message)
                self._set({"waiting": {"reason": "CrashLoopBackOff", "message": message}})
                await self._pause(back_off)
                if self._ending.is_set():
                    return
            # The first restart is at once, as the kubelet's.
            back_off = min(max(back_off * 2, _BACK_OFF_SECONDS[0]), _BACK_OFF_SECONDS[1])
            self.restart_count += 1

    async def end(self, grace_seconds: float) -> None:
        self._ending.set()
        if self.runner and self.running:
            self.event("Normal", "Killing", f"Stopping container {self.name}")
            await self.runner.stop(grace_seconds)

    def kill_now(self) -> None:
        """The machine is off."""
        self._ending.set()
        if self.runner:
            self.runner.signal(signal.SIGKILL)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ending.wait(), seconds)

    def _finish(self, began: datetime, code: int) -> None:
        terminated = {
            "exitCode": code,
            "reason": "Completed" if code == 0 else "Error",
            "startedAt": _time(began),
            "finishedAt": node_object.now(),
            "containerID": self._id(),
        }
        if code > 128:
            terminated["signal"] = code - 128
        self.last_state = {"terminated": terminated}
        self.ready = self.started = False
        self._set({"terminated": terminated})

    def _set(self, state: Object) -> None:
        self.state = state
        self.changed()

    def _id(self) -> str:
        return f"containerd://{self.name}-{os.getpid()}-{self._number}"

    def status(self) -> Object:
        told = {
            "name": self.name,
            "image": self.spec["image"],
            "imageID": self.spec["image"],
            "ready": self.ready and self.running,
            "started": self.started and self.running,
            "restartCount": self.restart_count,
            "state": self.state,
            "lastState": {} if "terminated" in self.state else self.last_state,
        }
        if self._number:
            told["containerID"] = self._id()
        return told


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
