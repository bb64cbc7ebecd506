"""A child process that is told apart from a stranger with the same pid, logs to a file, and can be ended for sure."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path


def start_ticks(pid: int) -> str | None:
    """The kernel's start time of a process in clock ticks since boot, None if there is no such process.

    A pid alone may have been given to somebody else since; a pid with its start time has not.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()
    return None if fields[0] == "Z" else fields[19]


def end_recorded(pids: Path, prefix: str = "") -> list[str]:
    """Kills the processes recorded in ``pids`` (names that begin with ``prefix``) that still are the same ones.

    For what a crash left behind. Returns the names of those that were killed.
    """
    ended = []
    for record in sorted(pids.glob(f"{prefix}*")) if pids.is_dir() else []:
        pid, _, ticks = record.read_text().strip().partition(" ")
        if pid.isdigit() and ticks and start_ticks(int(pid)) == ticks:
            os.kill(int(pid), signal.SIGKILL)
            ended.append(record.name)
        record.unlink(missing_ok=True)
    return ended


def record_self(pids: Path, name: str) -> None:
    _record(pids, name, os.getpid())


def _record(pids: Path, name: str, pid: int) -> None:
    pids.mkdir(parents=True, exist_ok=True)
    ticks = start_ticks(pid)
    if ticks is not None:
        (pids / name).write_text(f"{pid} {ticks}\n")


class Process:
    """One child, started by the loop's own thread: the kernel's parent-death signal follows the thread, not the process."""

    def __init__(self, name: str, command: list[str], log: Path, pids: Path, env: Mapping[str, str] | None = None):
        self.name = name
        self.command = command
        self.log = log
        self._pids = pids
        self._env = dict(env) if env is not None else None
        self._child: asyncio.subprocess.Process | None = None

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.returncode is None

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    @property
    def exit_code(self) -> int | None:
        """As a shell would tell it: 128 + n after signal n. None while it runs."""
        code = self._child.returncode if self._child else None
        return 128 - code if code is not None and code < 0 else code

    async def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._child = await asyncio.create_subprocess_exec(
                *self.command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=self._env, start_new_session=True
            )
        _record(self._pids, self.name, self._child.pid)

    async def wait(self) -> int:
        assert self._child is not None, f"{self.name} was never started"
        await self._child.wait()
        (self._pids / self.name).unlink(missing_ok=True)
        code = self.exit_code
        assert code is not None
        return code

    def send(self, number: int) -> None:
        if self.running:
            assert self._child is not None
            self._child.send_signal(number)

    async def stop(self, grace_seconds: float) -> int | None:
        """SIGTERM, after the grace SIGKILL; a stopped (SIGSTOP) process is continued first, else it would not hear."""
        if not self.running:
            return self.exit_code
        self.send(signal.SIGCONT)
        if grace_seconds > 0:
            self.send(signal.SIGTERM)
            try:
                return await asyncio.wait_for(self.wait(), grace_seconds)
            except TimeoutError:
                pass
        self.send(signal.SIGKILL)
        return await self.wait()
