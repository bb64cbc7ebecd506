"""The Kubernetes API over plain JSON, under the identity of whoever is played: a kubelet, a service account.

The kubeconfig's administrator impersonates them, so authorisation and admission (Node authorizer, NodeRestriction,
RBAC) decide about them as they would about the real ones.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

Object = dict[str, Any]

STRATEGIC = "application/strategic-merge-patch+json"
MERGE = "application/merge-patch+json"

# client-go asks for 5 to 10 minutes; the server ends the watch then, so that a dead peer is noticed at last.
_WATCH_SECONDS = (300, 600)
# Longer than client-go's 0.8 s at first, shorter than its 30 s at most: tests take the API server away for 30 s.
_RETRY_SECONDS = (0.5, 5.0)


class ApiError(Exception):
    """The API server's refusal: ``status`` as HTTP has it, ``reason`` as Kubernetes has it (``NotFound``)."""

    def __init__(self, status: int, reason: str, message: str):
        super().__init__(f"{status} {reason}: {message}")
        self.status, self.reason = status, reason


# No answer at all: away, starting, or cut off in between.
Unreachable = (aiohttp.ClientError, ConnectionError, TimeoutError, ssl.SSLError)


@dataclass(frozen=True)
class Event:
    """``type`` is ADDED, MODIFIED, DELETED, or SYNCED (the list has been told; ``object`` is empty)."""

    type: str
    object: Object


class Cluster:
    """The connection to one API server; ends with :meth:`close`."""

    def __init__(self, kubeconfig: Path):
        config = yaml.safe_load(kubeconfig.read_text())
        context = next(c["context"] for c in config["contexts"] if c["name"] == config["current-context"])
        cluster = next(c["cluster"] for c in config["clusters"] if c["name"] == context["cluster"])
        user = next(u["user"] for u in config["users"] if u["name"] == context["user"])
        self.server: str = cluster["server"].rstrip("/")
        self._headers = {"Authorization": f"Bearer {user['token']}"} if user.get("token") else {}
        self._tls = _tls(kubeconfig.parent, cluster, user) if self.server.startswith("https") else None
        self._session: aiohttp.ClientSession | None = None

    def session(self) -> aiohttp.ClientSession:
        if self._session is None:
            # Every node has a watch of its own, each a connection that stays: no limit on their number.
            connector = aiohttp.TCPConnector(ssl=self._tls or False, limit=0)
            self._session = aiohttp.ClientSession(connector=connector, headers=self._headers)
        return self._session

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    def acting_as(
        self, user: str | None = None, groups: tuple[str, ...] = (), gate: Callable[[], Awaitable[None]] | None = None
    ) -> Api:
        """``gate`` is awaited before each call and each event: a frozen node neither speaks nor hears."""
        return Api(self, user, groups, gate)


class Api:
    """Calls to the API server as one identity. Paths begin with ``/api`` or ``/apis``."""

    def __init__(
        self, cluster: Cluster, user: str | None, groups: tuple[str, ...], gate: Callable[[], Awaitable[None]] | None
    ):
        self._cluster, self._gate = cluster, gate
        self._headers = [("Impersonate-User", user)] if user else []
        self._headers += [("Impersonate-Group", group) for group in groups]

    async def _open(self) -> None:
        if self._gate:
            await self._gate()

    async def call(
        self, method: str, path: str, body: Object | None = None, *, content: str = "application/json", **parameters: str
    ) -> Object:
        """Raises :class:`ApiError`, or one of :data:`Unreachable`."""
        await self._open()
        headers = [*self._headers, ("Accept", "application/json")]
        data = None
        if body is not None:
            headers.append(("Content-Type", content))
            data = json.dumps(body)
        async with self._cluster.session().request(
            method, self._cluster.server + path, data=data, params=parameters, headers=headers,
            timeout=aiohttp.ClientTimeout(total=30),
        ) as answer:  # fmt: skip
            text = await answer.text()
            if answer.status >= 400:
                raise _error(answer.status, text)
            return json.loads(text) if text else {}

    async def get(self, path: str, **parameters: str) -> Object:
        return await self.call("GET", path, **parameters)

    async def create(self, path: str, body: Object) -> Object:
        return await self.call("POST", path, body)

    async def patch(self, path: str, body: Object, content: str = STRATEGIC) -> Object:
        return await self.call("PATCH", path, body, content=content)

    async def delete(self, path: str, *, grace_seconds: int | None = None, uid: str | None = None) -> None:
        """Not an error if it is gone, or if another object has the name now (``uid``)."""
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            await self.call("DELETE", path, options)
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    async def follow(self, path: str, **selectors: str) -> AsyncIterator[Event]:
        """What is there and then each change, for ever: an outage is waited out, a broken watch begins anew.

        What vanished in between is told as DELETED with the last known object. Refusals (403 and the like) are waited
        out, too: rights may come with a manifest that is applied later.
        """
        known: dict[str, Object] = {}
        pause = _RETRY_SECONDS[0]
        while True:
            try:
                listed = await self.get(path, **selectors)
                current = {item["metadata"]["uid"]: item for item in listed["items"]}
                for uid in [uid for uid in known if uid not in current]:
                    yield Event("DELETED", known.pop(uid))
                for uid, item in current.items():
                    before = known.get(uid)
                    known[uid] = item
                    if before is None or before["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
                        yield Event("ADDED" if before is None else "MODIFIED", item)
                yield Event("SYNCED", {})
                version = listed["metadata"]["resourceVersion"]
                pause = _RETRY_SECONDS[0]
                async for event in self._watch(path, version, selectors):
                    await self._open()
                    if event.type == "DELETED":
                        known.pop(event.object["metadata"]["uid"], None)
                    else:
                        known[event.object["metadata"]["uid"]] = event.object
                    yield event
            except (ApiError, *Unreachable):
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))
                pause = min(pause * 2, _RETRY_SECONDS[1])

    async def _watch(self, path: str, version: str, selectors: dict[str, str]) -> AsyncIterator[Event]:
        """Until the server ends it, or says that the version is too old (ERROR)."""
        while True:
            seconds = random.randint(*_WATCH_SECONDS)
            parameters = selectors | {
                "watch": "1",
                "resourceVersion": version,
                "timeoutSeconds": str(seconds),
                "allowWatchBookmarks": "true",
            }
            async with self._cluster.session().get(
                self._cluster.server + path, params=parameters, headers=self._headers,
                timeout=aiohttp.ClientTimeout(total=None, connect=10, sock_read=seconds + 30),
            ) as answer:  # fmt: skip
                if answer.status >= 400:
                    raise _error(answer.status, await answer.text())
                async for line in _lines(answer.content):
                    told = json.loads(line)
                    if told["type"] == "ERROR":
                        return
                    version = told["object"]["metadata"]["resourceVersion"]
                    if told["type"] != "BOOKMARK":
                        yield Event(told["type"], told["object"])


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    # StreamReader's own iteration refuses lines above its buffer; a pod with its managed fields may be longer.
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line


def _error(status: int, text: str) -> ApiError:
    try:
        told = json.loads(text)
        return ApiError(status, told.get("reason", ""), told.get("message", ""))
    except ValueError:
        return ApiError(status, "", text[:200])


def _tls(directory: Path, cluster: Object, user: Object) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif "certificate-authority-data" in cluster:
        context.load_verify_locations(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    elif "certificate-authority" in cluster:
        context.load_verify_locations(directory / cluster["certificate-authority"])
    if "client-certificate-data" in user:
        # ssl reads a certificate from a file only.
        with tempfile.TemporaryDirectory() as scratch:
            files = []
            for name in ("client-certificate-data", "client-key-data"):
                file = Path(scratch) / name
                file.write_bytes(base64.b64decode(user[name]))
                files.append(file)
            context.load_cert_chain(*files)
    elif "client-certificate" in user:
        context.load_cert_chain(directory / user["client-certificate"], directory / user["client-key"])
    return context
