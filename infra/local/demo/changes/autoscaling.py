"""Instances of the group, as Auto Scaling and EC2 tell them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..events import Event, Lane, Source, Tone

TERMINATED = "terminated"

_WORDS = {
    "Pending": ("is launched (Pending)", Tone.WORK),
    "Pending:Wait": ("waits at its launch hook (Pending:Wait)", Tone.WAIT),
    "Pending:Proceed": ("goes on to service (Pending:Proceed)", Tone.WORK),
    "InService": ("is in service (InService)", Tone.GOOD),
    "Terminating": ("is to end (Terminating)", Tone.WORK),
    "Terminating:Wait": ("waits at its terminate hook (Terminating:Wait)", Tone.WAIT),
    "Terminating:Proceed": ("may end (Terminating:Proceed)", Tone.WORK),
    "Terminating:Retained": ("is kept by its group (Terminating:Retained)", Tone.BAD),
}


@dataclass(frozen=True)
class Instance:
    """One look at an instance. `lifecycle` is empty once it has left its group; `state` is EC2's."""

    id: str
    lifecycle: str
    state: str
    name: str = ""
    """The first label of its private DNS name: what its node is called for short."""
    address: str = ""
    zone: str = ""
    type: str = ""


def instances(before: Mapping[str, Instance], after: Mapping[str, Instance], at: float) -> list[Event]:
    """By instance id; one that is gone from `after` has left the group and EC2's memory."""
    told: list[Event] = []
    for id in sorted({*before, *after}):
        was, now = before.get(id), after.get(id)
        told += _lifecycle(id, was.lifecycle if was else "", now, at)
        state_was, state = was.state if was else "", now.state if now else TERMINATED
        if state != state_was and state:
            tone = Tone.GOOD if state in ("running", TERMINATED) else Tone.PLAIN
            told.append(Event(at, Source.EC2, f"ec2/{state}", f"instance {id} is {state}", id, tone))
    return told


def _lifecycle(id: str, was: str, now: Instance | None, at: float) -> list[Event]:
    state = now.lifecycle if now else ""
    if state == was:
        return []
    lane = Lane(id, Source.AUTO_SCALING)
    if not state:
        return [
            Event(at, Source.AUTO_SCALING, "lifecycle/gone", f"{id} has left its group", id, Tone.GOOD, lane=lane, phase="")
        ]
    words, tone = _WORDS.get(state, (f"is {state}", Tone.PLAIN))
    return [Event(at, Source.AUTO_SCALING, f"lifecycle/{state}", f"{id} {words}", id, tone, lane=lane, phase=state)]
