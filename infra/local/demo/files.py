"""Files and workers of Alluxio, through the world's files server, which is Alluxio's own client."""

from __future__ import annotations

from typing import Any

import aiohttp

from .changes.alluxio import DECOMMISSIONED, LIVE, LOST, File, Worker

# A reader looks for a lost block for 8 s before it gives up (the files server's setting), a block after the other.
_READ_SECONDS = 60


class FilesError(Exception):
    """The files server's refusal, in its words."""


class Files:
    """`url` is `files` of endpoints.json. Ends with `close`."""

    def __init__(self, url: str):
        self._url = url
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_READ_SECONDS + 30))

    async def close(self) -> None:
        await self._session.close()

    async def _ask(self, method: str, route: str, **parameters: str | int) -> dict[str, Any]:
        async with self._session.request(method, self._url + route, params=parameters) as answer:
            told = await answer.json()
            if answer.status == 404:
                raise KeyError(told.get("message", route))
            if answer.status >= 400:
                raise FilesError(f"{method} {route}: {told.get('error')}: {told.get('message')}")
            return dict(told)

    async def write(self, path: str, write_type: str, worker: str, size: int, block: int, seed: int) -> str:
        """The SHA-256 of what was written; `worker` is the host that takes all of it, sizes are in bytes."""
        told = await self._ask(
            "POST", "/files", path=path, writeType=write_type, worker=worker, bytes=size, blockBytes=block, seed=seed
        )
        return str(told["sha256"])

    async def checksum(self, path: str) -> str:
        """The SHA-256 of a file, read through Alluxio."""
        told = await self._ask("GET", "/files/checksum", path=path, timeoutSeconds=_READ_SECONDS)
        return str(told["sha256"])

    async def status(self, path: str) -> File | None:
        """None where there is no such file."""
        try:
            told = await self._ask("GET", "/files/status", path=path)
        except KeyError:
            return None
        holders = [set(block["hosts"]) for block in told["blocks"]]
        hosts = set.intersection(*holders) if holders else set()
        return File(path, int(told["bytes"]), bool(told["persisted"]), str(told["persistenceState"]), tuple(sorted(hosts)))

    async def delete(self, path: str) -> None:
        """With all below it; not an error if there is none."""
        try:
            await self._ask("DELETE", "/files", path=path)
        except KeyError:
            return

    async def workers(self) -> dict[str, Worker]:
        """By host. The master's lists are told apart, as a state's spelling is Alluxio's own affair."""
        found: dict[str, Worker] = {}
        for state in (LOST, DECOMMISSIONED, LIVE):
            told = await self._ask("GET", "/workers", range=state)
            for worker in told["workers"]:
                host = str(worker["host"])
                found[host] = Worker(host, state, worker["capacityBytes"], worker["usedBytes"])
        return found
