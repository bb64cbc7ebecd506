"""What is told: a moment, whom it is about, what happened in words, and which phase of which lane begins with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

_NODE_NAME = re.compile(r"\b(ip-[\d-]+)\.[a-z0-9.-]+\.internal\b")


def short_names(text: str) -> str:
    """With nodes called by the first label of their names, as the lines call them."""
    return _NODE_NAME.sub(r"\1", text)


class Source(StrEnum):
    """Who was looked at."""

    STORY = "demo"
    AUTO_SCALING = "Auto Scaling"
    EC2 = "EC2"
    KUBERNETES = "Kubernetes"
    VOLUMES = "volumes"
    ALLUXIO = "Alluxio"
    FILES = "files"
    JOIN = "node-join"
    DRAIN = "node-drain"
    CHECK = "drift-check"
    BUS = "EventBridge"


class Tone(StrEnum):
    """How an event is to be taken."""

    QUIET = "quiet"
    PLAIN = "plain"
    WAIT = "wait"
    WORK = "work"
    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True)
class Lane:
    """A line of the picture. `part` tells lanes of one source apart: an execution's branches, several executions."""

    instance: str
    source: Source
    part: str = ""


@dataclass(frozen=True)
class Event:
    """`at` is in seconds since the epoch, as the world itself says where it does, else when it was seen."""

    at: float
    source: Source
    key: str
    """For claims, such as `lifecycle/InService`: never reworded."""
    text: str
    instance: str = ""
    """The EC2 instance; empty where it is about none."""
    tone: Tone = Tone.PLAIN
    told: bool = True
    """Whether it gets a line; else it is there for the picture and for claims."""
    lane: Lane | None = None
    phase: str | None = None
    """The phase of `lane` that begins now; empty: the lane ends; None: nothing changes there."""
    mark: bool = False
    """A moment worth a sign in its lane."""


@dataclass(frozen=True)
class Span:
    """A phase of a lane; `end` is none while it lasts."""

    lane: Lane
    phase: str
    begin: float
    end: float | None
    tone: Tone
    text: str


def spans(events: list[Event]) -> list[Span]:
    """The phases of every lane, in the order of their beginnings."""
    open_events: dict[Lane, Event] = {}
    found: list[Span] = []

    def close(lane: Lane, end: float | None) -> None:
        event = open_events.pop(lane, None)
        if event is not None and event.phase:
            found.append(Span(lane, event.phase, event.at, end, event.tone, event.text))

    for event in sorted(events, key=lambda event: event.at):
        if event.lane is None or event.phase is None:
            continue
        before = open_events.get(event.lane)
        if before is not None and before.phase == event.phase and event.phase != "":
            continue
        close(event.lane, event.at)
        open_events[event.lane] = event
    for lane in list(open_events):
        close(lane, None)
    return sorted(found, key=lambda span: span.begin)
