"""The records that a world writes, a line an event: Kubernetes' audit log, AWS calls, invocations of functions. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

# The group of a function's access entry, as infra/template.yaml names it.
_GROUP = "tidegate:"


@dataclass(frozen=True)
class Request:
    """A function's request to the API server; times are seconds since the epoch."""

    function: str
    verb: str
    resource: str
    """`nodes`, or `pods/eviction` for a subresource."""
    uri: str
    began: float
    ended: float
    status: int

    @property
    def question(self) -> tuple[str, str]:
        """The same for a request that is made again. A watch goes on from where its list ended: that differs each time."""
        path, _, query = self.uri.partition("?")
        kept = [part for part in query.split("&") if part and not part.startswith(("resourceVersion=", "timeoutSeconds="))]
        return self.verb, f"{path}?{'&'.join(sorted(kept))}"


@dataclass(frozen=True)
class Call:
    """A call of the AWS API by one of our roles."""

    actor: str
    """A function's or a state machine's name without the stack's prefix."""
    service: str
    action: str
    at: float
    status: int


@dataclass(frozen=True)
class Invocation:
    """`init_seconds` is there for a cold start only: from the spawn of the process until it asked for its first call."""

    function: str
    ended: float
    seconds: float
    init_seconds: float | None
    peak_bytes: int | None
    size_bytes: int
    failed: bool

    @property
    def began(self) -> float:
        return self.ended - self.seconds


def requests(lines: Iterable[str]) -> list[Request]:
    """Those of functions, oldest first; a watch, which is logged when it begins and when it ends, once."""
    found: dict[str, Request] = {}
    for event in _parsed(lines):
        function = _function(event)
        if function is None:
            continue
        asked = event.get("objectRef", {})
        parts = (asked.get("resource", ""), asked.get("subresource", ""))
        found[event["auditID"]] = Request(
            function=function,
            verb=event["verb"],
            resource="/".join(part for part in parts if part),
            uri=event["requestURI"],
            began=_moment(event["requestReceivedTimestamp"]),
            ended=_moment(event["stageTimestamp"]),
            status=int(event.get("responseStatus", {}).get("code", 0)),
        )
    return sorted(found.values(), key=lambda request: request.began)


def calls(lines: Iterable[str], actors: dict[str, str]) -> list[Call]:
    """Those of the roles in `actors` (role name to actor).

    sts:GetCallerIdentity is left out: its caller is the cluster's authenticator, which redeems a function's token.
    """
    found = []
    for line in _parsed(lines):
        role = line["principal"].split("/")[1] if ":assumed-role/" in line["principal"] else ""
        if role in actors and (line["service"], line["action"]) != ("sts", "GetCallerIdentity"):
            at = _moment(line["time"])
            found.append(Call(actors[role], line["service"], line["action"], at, int(line["status"])))
    return found


def invocations(lines: Iterable[str], stack: str) -> list[Invocation]:
    """Those of the stack's functions, and of any other under its full name."""
    return [
        Invocation(
            function=line["function"].removeprefix(f"{stack}-"),
            ended=_moment(line["time"]),
            seconds=line["durationMillis"] / 1000,
            init_seconds=None if line["initMillis"] is None else line["initMillis"] / 1000,
            peak_bytes=None if line["peakMemoryKb"] is None else line["peakMemoryKb"] * 1024,
            size_bytes=line["memorySizeMb"] * 1024 * 1024,
            failed=line["outcome"] != "success",
        )
        for line in _parsed(lines)
    ]


def _function(event: dict[str, Any]) -> str | None:
    groups = event.get("user", {}).get("groups", [])
    return next((group.removeprefix(_GROUP) for group in groups if group.startswith(_GROUP)), None)


def _parsed(lines: Iterable[str]) -> Iterable[dict[str, Any]]:
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            # Its writer is in the middle of it.
            continue


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
