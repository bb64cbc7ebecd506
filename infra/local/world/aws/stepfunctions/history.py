"""The events of one execution, as GetExecutionHistory tells them."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Callable
from typing import Any

# An execution that reaches this many events fails:
# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
MOST_EVENTS = 25_000


class HistoryFull(BaseException):
    """The execution may have no more events. Not an error that a state can handle."""


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


class History:
    def __init__(self, listener: Callable[[dict[str, Any]], None] | None = None) -> None:
        """`listener` is told each event after it was added."""
        self._lock = threading.Lock()
        self._listener = listener
        self.events: list[dict[str, Any]] = []

    def add(self, kind: str, previous: int, details: dict[str, Any] | None = None) -> int:
        """Appends an event; `details` is one entry, keyed as the API names it."""
        with self._lock:
            number = len(self.events) + 1
            if number >= MOST_EVENTS and kind != "ExecutionFailed":
                raise HistoryFull
            event: dict[str, Any] = {
                "timestamp": dt.datetime.now(dt.UTC),
                "type": kind,
                "id": number,
                "previousEventId": previous,
            }
            event |= details or {}
            self.events.append(event)
        if self._listener is not None:
            self._listener(event)
        return number


class Trail:
    """A line of events through the history; each branch of a Parallel has its own."""

    def __init__(self, history: History, last: int = 0):
        self.history = history
        self.last = last

    def fork(self) -> Trail:
        return Trail(self.history, self.last)

    def add(self, kind: str, details: dict[str, Any] | None = None) -> int:
        self.last = self.history.add(kind, self.last, details)
        return self.last

    def entered(self, kind: str, name: str, given: Any) -> int:
        return self.add(
            f"{kind}StateEntered",
            {
                "stateEnteredEventDetails": {
                    "name": name,
                    "input": compact(given),
                    "inputDetails": {"truncated": False},
                }
            },
        )

    def exited(self, kind: str, name: str, output: Any, assigned: dict[str, Any]) -> int:
        details: dict[str, Any] = {
            "name": name,
            "output": compact(output),
            "outputDetails": {"truncated": False},
        }
        if assigned:
            details["assignedVariables"] = {k: compact(v) for k, v in assigned.items()}
            details["assignedVariablesDetails"] = {"truncated": False}
        return self.add(f"{kind}StateExited", {"stateExitedEventDetails": details})
