"""Calls of a node's join or drain, by function. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from .records import Call, Request

# What the functions ask an Alluxio master, as its metrics name it. Others have more: heartbeats, registrations, jobs.
MASTER_CALLS = {
    "GetWorkerReport": "schedule-worker, drain-cache, retire-worker",
    "GetWorkerLostStorage": "schedule-worker",
    "getConfiguration": "drain-cache",
    "GetStatus": "drain-cache, and Alluxio's own persist tasks",
    "ScheduleAsyncPersist": "drain-cache",
    "DecommissionWorker": "drain-cache",
}

# A volume that is let go of a moment before a look or after it is a call more or less. A call for each node would be 49.
_BY_CHANCE = 1


@dataclass(frozen=True)
class Counted:
    """Of one function or state machine."""

    actor: str
    kubernetes: int
    """A watch counts once."""
    questions: int
    """Without those that were asked before: a function that waits looks again and again."""
    aws: int
    invocations: int
    """Calls of functions by a state machine: a state transition on AWS, priced as such."""


@dataclass(frozen=True)
class Window:
    """From when to when, in seconds since the epoch."""

    began: float
    ended: float

    def holds(self, at: float) -> bool:
        return self.began <= at <= self.ended


def counted(window: Window, requests: Iterable[Request], calls: Iterable[Call], actors: Iterable[str]) -> list[Counted]:
    """One for each of `actors` that called anybody, in that order."""
    asked = [request for request in requests if window.holds(request.began)]
    called = [call for call in calls if window.holds(call.at)]
    found = []
    for actor in actors:
        own = [request for request in asked if request.function == actor]
        aws = [call for call in called if call.actor == actor]
        invoked = sum(1 for call in aws if call.service == "lambda")
        one = Counted(actor, len(own), len({request.question for request in own}), len(aws) - invoked, invoked)
        if own or aws:
            found.append(one)
    return found


def by_action(window: Window, requests: Iterable[Request], calls: Iterable[Call]) -> dict[str, int]:
    """`label-node: list nodes` and `node-join: autoscaling:CompleteLifecycleAction`, and how often."""
    total: Counter[str] = Counter()
    for request in requests:
        if window.holds(request.began):
            total[f"{request.function}: {request.verb} {request.resource}"] += 1
    for call in calls:
        if window.holds(call.at):
            total[f"{call.actor}: {call.service}:{call.action}"] += 1
    return dict(sorted(total.items()))


def total(found: Iterable[Counted]) -> Counted:
    found = list(found)
    return Counted(
        "all",
        sum(one.kubernetes for one in found),
        sum(one.questions for one in found),
        sum(one.aws for one in found),
        sum(one.invocations for one in found),
    )


def grows(questions: dict[int, int]) -> bool:
    """Whether more is asked in a cluster that is larger than the smallest; by number of nodes."""
    least = questions[min(questions)]
    return any(count > least + _BY_CHANCE for count in questions.values())


def master_calls(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """How often the functions' calls were made between two readings of a master's counters."""
    found = {name: after.get(name, 0) - before.get(name, 0) for name in MASTER_CALLS}
    return {name: count for name, count in found.items() if count}


def readings(metrics: dict[str, dict[str, dict[str, float]]]) -> dict[str, int]:
    """The calls that a master has counted by now, from its `/metrics/json/`: those of clients that have logged in."""
    found: Counter[str] = Counter()
    for name, timer in metrics["timers"].items():
        call, tagged, _ = name.removeprefix("Master.").partition(".User:")
        if tagged and ".UFS" not in name:
            found[call] += int(timer["count"])
    return dict(found)
