"""Executions, requests and invocations for the tests of the benchmark's arithmetic."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from bench.records import Call, Invocation, Request


class History:
    """A history as Step Functions tells it, an event after the other."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def _add(self, at: float, kind: str, **more: Any) -> History:
        id = len(self.events) + 1
        self.events.append({"id": id, "previousEventId": id - 1, "timestamp": at, "type": kind} | more)
        return self

    def started(self, at: float) -> History:
        return self._add(at, "ExecutionStarted")

    def stay(self, name: str, entered: float, left: float, kind: str = "Task") -> History:
        self._add(entered, f"{kind}StateEntered", stateEnteredEventDetails={"name": name})
        return self._add(left, f"{kind}StateExited", stateExitedEventDetails={"name": name})

    def succeeded(self, at: float) -> History:
        return self._add(at, "ExecutionSucceeded")


def request(function: str, verb: str, resource: str, began: float, ended: float, uri: str = "/api/v1/x") -> Request:
    return Request(function, verb, resource, uri, began, ended, 200)


def call(actor: str, action: str, at: float, service: str = "autoscaling") -> Call:
    return Call(actor, service, action, at, 200)


def cold(function: str, ended: float, seconds: float, init: float) -> Invocation:
    return Invocation(function, ended, seconds, init, 12 * 2**20, 128 * 2**20, False)


def audit_line(id: str, stage: str, received: float, stamped: float, groups: list[str], **more: Any) -> str:
    return json.dumps(
        {
            "auditID": id,
            "stage": stage,
            "requestURI": more.pop("uri", "/api/v1/nodes?labelSelector=a&limit=500"),
            "verb": more.pop("verb", "list"),
            "user": {"groups": groups},
            "objectRef": more.pop("ref", {"resource": "nodes"}),
            "responseStatus": {"code": 200},
            "requestReceivedTimestamp": _text(received),
            "stageTimestamp": _text(stamped),
        }
        | more
    )


def _text(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def cost(**more: Any) -> dict[str, Any]:
    """What one execution cost, as it is written down."""
    calls = {"kubernetes": 9, "questions": 8, "aws": 5, "invocations": 4}
    phase = {"name": "LabelNode", "function": "label-node", "seconds": 4.0, "start": 0.1}
    phase |= {"waits": {"boot": 3.0}, "own": 1.0, "beside": False}
    return {
        "seconds": 13.0,
        "ownSeconds": 2.0,
        "waits": {"boot": 11.0},
        "phases": [phase],
        "calls": [{"actor": "label-node"} | calls, {"actor": "all"} | calls],
        "byAction": {"label-node: list nodes": 2, "node-join: events:PutEvents": 1},
        "masterCalls": {"GetStatus": 3},
        "coldStarts": 4,
    } | more


def results() -> dict[str, Any]:
    """What a run of the benchmark writes down."""
    rate = {"seconds": 10.0, "filesPerSecond": 60.0, "bytesPerSecond": 2e6}
    start = {
        "count": 11,
        "medianSeconds": 0.006,
        "shortestSeconds": 0.005,
        "ratio": 1.2,
        "shortestRatio": 1.1,
        "firstAnswerSeconds": 0.007,
        "firstAnswerRatio": 1.2,
    }
    return {
        "machine": {"cores": 2, "memoryBytes": 16 * 2**30, "processor": "A processor", "system": "x86_64"},
        "load": {"before": 0.5, "after": 3.25},
        "drainFiles": 10,
        "cold": {"join": cost(), "drain": cost()},
        "quiet": {"cold": cost(), "warm": cost(coldStarts=0)},
        "sizes": {str(size): {"join": cost(), "drain": cost()} for size in (1, 10, 50)},
        "drainRate": {
            "small": {"files": 600, "fileBytes": 4096, "alluxio": rate, "drain": rate | {"seconds": 12.0}}
            | {"ratio": 0.83, "drainSeconds": 15.0}
        },
        "slowStore": {"files": 12, "fileBytes": 40_000_000, "bytesPerSecond": 1_700_000, "firstSeconds": 240.0}
        | {"seconds": 300.0, "bestSeconds": 282.0, "ratio": 1.06},
        "coldStarts": {"label-node": start, "hello-world": start | {"ratio": 1.0}},
        "zips": {"label-node": {"zip": 4_200_000, "binary": 12_000_000}, "hello-world": {"zip": 600_000, "binary": 1_400_000}},
        "memory": {"label-node": {"peak": 14 * 2**20, "deployed": 128 * 2**20}},
        "choosing": {"candidates": 50, "coldSeconds": 0.08, "coldStartSeconds": 0.03, "warmSeconds": 0.02},
        "drift": {"nodes": 5000, "volumes": 10000, "elapsedMillis": 1500, "cpuMillis": 500, "peakKiB": 40000}
        | {"answerBytes": 20000, "millisAtItsShare": 6910},
    }
