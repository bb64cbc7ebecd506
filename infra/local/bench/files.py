"""Alluxio through the world's files server, which is Alluxio's own client, and the counters of its master."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from .counting import readings
from .rates import Sample

# Threads that ask for persists: as many as the drain has calls of the master at a time.
_ASKERS = 16
_TIMEOUT_SECONDS = 300


@dataclass(frozen=True)
class Batch:
    """`count` files of `bytes` each, in the directory `path`."""

    path: str
    count: int
    bytes: int


class Files:
    def __init__(self, endpoints: dict[str, Any]):
        self._files, self._master = endpoints["files"], endpoints["alluxioMasterWeb"]
        self._under_store = Path(endpoints["worldDir"]) / "ufs"
        self._session = requests.Session()
        self._session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=_ASKERS))

    def _ask(self, method: str, route: str, **parameters: str | int) -> dict[str, Any]:
        answer = self._session.request(method, self._files + route, params=parameters, timeout=_TIMEOUT_SECONDS)
        answer.raise_for_status()
        return dict(answer.json())

    def fill(self, batch: Batch, worker: str) -> None:
        """Files whose only copy is on that worker (its host)."""
        self._ask(
            "POST", "/files/fill", path=batch.path, count=batch.count, bytes=batch.bytes, threads=8,
            writeType="MUST_CACHE", worker=worker,
        )  # fmt: skip

    def persist(self, batch: Batch) -> None:
        """Asks for each file, and does not wait."""
        with ThreadPoolExecutor(_ASKERS) as askers:
            paths = [f"{batch.path}/{number}" for number in range(batch.count)]
            list(askers.map(lambda path: self._ask("POST", "/files/persist", path=path), paths))

    def persisted(self, batch: Batch) -> Sample:
        """How many are in the under store by now. Its directory is read, as to ask Alluxio would slow it down."""
        directory = self._under_store / batch.path.strip("/")
        # A file that is being written has a longer name.
        done = sum(1 for name in os.listdir(directory) if name.isdigit()) if directory.exists() else 0
        return Sample(time.time(), done, done * batch.bytes)

    def delete(self, path: str) -> None:
        self._ask("DELETE", "/files", path=path)

    def live_hosts(self) -> set[str]:
        return {worker["host"] for worker in self._ask("GET", "/workers", range="LIVE")["workers"]}

    def master_readings(self) -> dict[str, int]:
        """Calls that the master has counted, by name."""
        answer = self._session.get(f"{self._master}/metrics/json/", timeout=30)
        answer.raise_for_status()
        return readings(answer.json())
