"""Local only: make the bus as unreliable as AWS says it may be, on request of a test.

EventBridge delivers at least once, Auto Scaling sends "on a best effort basis": a test says which
events are to come twice, be held back, or never come.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from typing import Any

from moto.events.models import EventPattern

KINDS = ("duplicate", "drop", "hold")


@dataclass
class Fault:
    kind: str
    pattern: EventPattern
    remaining: int | None
    """How many events it still hits; None is all."""


class Faults:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self._held: list[dict[str, Any]] = []

    def add(self, kind: str, pattern: dict[str, Any] | None, count: int | None) -> None:
        with self._lock:
            text = json.dumps(pattern) if pattern else None
            self._faults.append(Fault(kind, EventPattern.load(text), count))

    def reset(self) -> list[dict[str, Any]]:
        """Takes all faults away; returns the events held back, in order, to be delivered."""
        with self._lock:
            self._faults = []
            held, self._held = self._held, []
            return held

    def release(self) -> list[dict[str, Any]]:
        with self._lock:
            self._faults = [fault for fault in self._faults if fault.kind != "hold"]
            held, self._held = self._held, []
            return held

    def apply(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        """The events to deliver now in place of this one. A duplicate has the same id."""
        with self._lock:
            for fault in self._faults:
                if fault.remaining == 0 or not fault.pattern.matches_event(event):
                    continue
                if fault.remaining is not None:
                    fault.remaining -= 1
                if fault.kind == "duplicate":
                    return [event, event]
                if fault.kind == "hold":
                    self._held.append(event)
                return []
            return [event]

    def view(self) -> dict[str, Any]:
        with self._lock:
            return {
                "faults": [
                    {
                        "kind": fault.kind,
                        "pattern": fault.pattern.get_pattern(),
                        "remaining": fault.remaining,
                    }
                    for fault in self._faults
                ],
                "held": len(self._held),
            }
