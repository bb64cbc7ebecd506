"""An execution as Step Functions' history tells it: which state was entered and left when. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_ENDS = ("ExecutionSucceeded", "ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted")


@dataclass(frozen=True)
class State:
    """One stay in a state; times are seconds since the epoch."""

    name: str
    kind: str
    """Task, Wait, Parallel, Choice, Pass, ..."""
    entered: float
    left: float

    @property
    def seconds(self) -> float:
        return self.left - self.entered


@dataclass(frozen=True)
class Execution:
    """`states` in the order in which they were left. A state that was never left is not among them."""

    began: float
    ended: float
    status: str
    states: tuple[State, ...]

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    def stays(self, name: str) -> list[State]:
        return [state for state in self.states if state.name == name]


class NotEnded(Exception):
    """The history has no end yet."""


def execution(events: Iterable[dict[str, Any]]) -> Execution:
    """Raises NotEnded. Names are unique in a state machine, also across the branches of a Parallel state."""
    entered: dict[str, tuple[str, float]] = {}
    states: list[State] = []
    began = None
    for event in events:
        kind, at = event["type"], _seconds(event["timestamp"])
        if kind == "ExecutionStarted":
            began = at
        elif kind.endswith("StateEntered"):
            entered[event["stateEnteredEventDetails"]["name"]] = (kind.removesuffix("StateEntered"), at)
        elif kind.endswith("StateExited"):
            name = event["stateExitedEventDetails"]["name"]
            if name in entered:
                states.append(State(name, *entered.pop(name), at))
        elif kind in _ENDS and began is not None:
            return Execution(began, at, kind.removeprefix("Execution").upper(), tuple(states))
    raise NotEnded("the history does not tell of the execution's end")


def _seconds(moment: Any) -> float:
    return moment.timestamp() if isinstance(moment, datetime) else float(moment)
