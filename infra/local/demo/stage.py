"""Starts the world for the demo, and ends it again whatever has happened."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from typing import Any

from world.paths import Paths


class WorldIsUp(Exception):
    """Somebody plays with the world of this directory: it is not the demo's to end."""


class WorldDidNotStart(Exception):
    """The world has said why."""


class Stage:
    """An asynchronous context: entered when the world is up, left when it is down. `keep` leaves it up."""

    def __init__(self, paths: Paths, keep: bool = False):
        self._paths, self._keep = paths, keep

    async def __aenter__(self) -> dict[str, Any]:
        """The world's endpoints. Raises WorldIsUp, WorldDidNotStart."""
        if subprocess.run(_world("status"), check=False).returncode == 0:
            raise WorldIsUp(f"a world is up in {self._paths.world}")
        try:
            await self._up()
        except BaseException:
            self._down()
            raise
        return dict(json.loads(self._paths.endpoints.read_text()))

    async def __aexit__(self, *_: object) -> None:
        if not self._keep:
            self._down()

    async def _up(self) -> None:
        # In a session of its own: a Ctrl-C is told to it once, by us.
        child = await asyncio.create_subprocess_exec(*_world("up"), start_new_session=True)
        try:
            status = await child.wait()
        except asyncio.CancelledError:
            child.send_signal(signal.SIGINT)
            await child.wait()
            raise
        if status != 0:
            raise WorldDidNotStart(f"see {self._paths.logs}")

    def _down(self) -> None:
        # A second Ctrl-C must not leave half a world behind.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            subprocess.run(_world("down"), check=False, start_new_session=True)
        finally:
            signal.signal(signal.SIGINT, before)


def environment(paths: Paths) -> dict[str, str]:
    """What a shell has after `eval "$(make -s env)"`."""
    script = 'eval "$("$0" -m world env)"; env -0'
    done = subprocess.run(["bash", "-c", script, sys.executable], stdout=subprocess.PIPE, check=True, env=_environment())
    pairs = (pair.partition("=") for pair in done.stdout.decode().split("\0") if pair)
    return {name: value for name, _, value in pairs} | {"TIDEGATE_WORLD": str(paths.world)}


def _world(command: str) -> list[str]:
    return [sys.executable, "-m", "world", command]


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "KUBE"))}
