"""The server for test files (Java, the real client), one for each world.

Its routes are told in ``java/dev/tidegate/files/FilesServer.java``; :class:`Files` calls them from Python.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from . import jvm, settings
from .process import Process

MAIN = "dev.tidegate.files.FilesServer"
# 64 MB of data in flight at most (the client's buffers), eight writer threads of a benchmark.
_HEAP_MB = 160


class FilesServer:
    """The process; ``masters`` are properties that say where they are. :attr:`url` is known once :meth:`start` has returned."""

    def __init__(self, runtime: jvm.Runtime, masters: dict[str, str], world: Path):
        self._runtime = runtime
        self._home = world / "alluxio"
        self._port_file = self._home / "tmp" / "files.port"
        self._properties = settings.client(masters, self._home)
        self._log, self._pids = world / "logs" / "alluxio-files.log", world / "pids"
        self.process: Process | None = None
        self.url = ""

    async def start(self, timeout_seconds: float = 60.0) -> None:
        self._port_file.unlink(missing_ok=True)
        command = jvm.confined(
            self._runtime.command(MAIN, self._properties, heap_mb=_HEAP_MB, arguments=[str(self._port_file)])
        )
        self.process = Process("alluxio-files", command, self._log, self._pids)
        await self.process.start()
        deadline = time.monotonic() + timeout_seconds
        while not self._port_file.exists():
            if not self.process.running or time.monotonic() > deadline:
                raise RuntimeError(f"the files server did not start: see {self._log}")
            await asyncio.sleep(0.1)
        self.url = f"http://127.0.0.1:{self._port_file.read_text()}"

    async def stop(self) -> None:
        if self.process:
            await self.process.stop(0)


class FilesError(Exception):
    """What the files server refused. ``word``: bad-request, not-found, already-exists, timeout or alluxio."""

    def __init__(self, word: str, message: str):
        super().__init__(f"{word}: {message}")
        self.word = word


class Files:
    """Calls the files server at ``url`` and blocks until it has answered. Parameters are those of its routes."""

    def __init__(self, url: str, timeout_seconds: float = 300.0):
        self._url, self._timeout = url, timeout_seconds

    def call(self, method: str, route: str, **parameters: Any) -> dict[str, Any]:
        """``parameters`` that are None are left out. Raises :class:`FilesError`."""
        query = urllib.parse.urlencode({name: value for name, value in parameters.items() if value is not None})
        request = urllib.request.Request(f"{self._url}{route}?{query}", method=method)
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            told = json.load(error)
            raise FilesError(told["error"], told["message"]) from None

    def write(self, path: str, **parameters: Any) -> dict[str, Any]:
        return self.call("POST", "/files", path=path, **parameters)

    def fill(self, path: str, **parameters: Any) -> dict[str, Any]:
        return self.call("POST", "/files/fill", path=path, **parameters)

    def status(self, path: str) -> dict[str, Any]:
        return self.call("GET", "/files/status", path=path)

    def checksum(self, path: str, timeout_seconds: int = 30) -> dict[str, Any]:
        return self.call("GET", "/files/checksum", path=path, timeoutSeconds=timeout_seconds)

    def delete(self, path: str, alluxio_only: bool = False) -> dict[str, Any]:
        return self.call("DELETE", "/files", path=path, alluxioOnly=str(alluxio_only).lower())

    def workers(self, range: str = "LIVE") -> list[dict[str, Any]]:
        """The workers in a state: LIVE, LOST, DECOMMISSIONED or ALL."""
        return self.call("GET", "/workers", range=range)["workers"]

    def decommission(self, host: str, web_port: int = 30000) -> None:
        self.call("POST", "/workers/decommission", host=host, webPort=web_port)

    def open(self, path: str, **parameters: Any) -> str:
        """Begins a file that stays open; returns the id for :meth:`add`, :meth:`close`, :meth:`cancel`."""
        return self.call("POST", "/files/open", path=path, **parameters)["id"]

    def add(self, id: str, byte_count: int, seed: int = 1) -> dict[str, Any]:
        return self.call("POST", "/files/write", id=id, bytes=byte_count, seed=seed)

    def close(self, id: str) -> dict[str, Any]:
        return self.call("POST", "/files/close", id=id)

    def cancel(self, id: str) -> dict[str, Any]:
        return self.call("POST", "/files/cancel", id=id)
