"""Where the time of an execution went: waiting for others, or our own share. Pure.

Waiting is what can be shown to be nothing else: the time inside a watch, the length of a function's own pause between
two looks, a Wait state. All that is left is ours: starts of functions, their calls and their thinking, the state
machine's transitions, its own calls of AWS.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from .history import Execution, State
from .records import Invocation, Request

# The functions' own pauses between two looks, in seconds: BETWEEN_LOOKS and BETWEEN_ROUNDS in their sources.
PAUSES = {"schedule-worker": 0.5, "drain-cache": 1.0, "evict-pods": 5.0}
# A request is its function's also while the function is being started, and the record of its end comes a little later.
_SLACK = 0.05
_TASKS = {
    "ResolveNode": "resolve-node",
    "LabelNode": "label-node",
    "ProvisionVolumes": "provision-volumes",
    "ScheduleWorker": "schedule-worker",
    "CordonNode": "cordon-node",
    "EvictPods": "evict-pods",
    "DrainCache": "drain-cache",
    "RetireWorker": "retire-worker",
}
_MACHINES_OWN = ("CompleteHook", "TerminateInstance", "TellOutcome")
# The branches of a drain's Parallel state, by the function in each.
_BRANCHES = ("evict-pods", "drain-cache")
# What one waits for, by function and by what shows it.
_WAITS = {
    ("label-node", "watch"): "boot",
    ("provision-volumes", "watch"): "provisioner",
    ("schedule-worker", "watch"): "JVM start",
    ("schedule-worker", "pause"): "registration",
    ("evict-pods", "watch"): "pods' end",
    ("evict-pods", "pause"): "late pods",
    ("drain-cache", "watch"): "worker",
    ("drain-cache", "pause"): "persist",
    ("drain-cache", "idle"): "clients",
    ("retire-worker", "watch"): "worker's end",
    ("retire-worker", "volumes"): "volumes' end",
}
OTHERS = {
    "boot": "the instance boots, registers as a node and is initialised",
    "provisioner": "the volume provisioner starts and publishes the disks",
    "JVM start": "the worker's pod is made and bound, its JVMs start and listen",
    "registration": "the worker registers at the Alluxio master",
    "pods' end": "evicted pods end",
    "late pods": "a pod may still come that was bound before the cordon was seen",
    "worker": "the worker",
    "persist": "Alluxio writes the files to the under store",
    "clients": "clients hear that the worker is out of service, and are done with it",
    "worker's end": "the worker's JVMs end",
    "volumes' end": "the volumes are let go of",
    "next call": "a Wait state between two calls of a function",
}


@dataclass(frozen=True)
class Phase:
    """A function's part of an execution, or the state machine's (`function` is empty). All in seconds."""

    name: str
    function: str
    seconds: float
    start: float
    """Cold starts in it."""
    waits: dict[str, float]
    """By what is waited for, a key of OTHERS."""
    beside: bool = False
    """It runs beside a longer branch: it makes the execution no longer."""

    @property
    def own(self) -> float:
        return self.seconds - sum(self.waits.values())


def phases(execution: Execution, requests: Iterable[Request], invocations: Iterable[Invocation]) -> list[Phase]:
    """In the order in which they ended; the last is what is left: transitions between the states."""
    requests, invocations = list(requests), list(invocations)
    ends = {function: max((s.left for s in execution.states if _TASKS.get(s.name) == function), default=0.0) for function in _BRANCHES}
    shorter = min(ends, key=lambda function: ends[function])
    found = []
    for state, function in _TASKS.items():
        stays = execution.stays(state)
        if stays:
            beside = function == shorter and all(ends.values())
            found.append(_function_phase(state, function, stays, requests, invocations, beside))
    ended = {name: max(stay.left for stay in execution.stays(name)) for name in {s.name for s in execution.states}}
    found.sort(key=lambda phase: ended[phase.name])
    machine = [state for state in execution.states if state.name in _MACHINES_OWN]
    if machine:
        found.append(Phase("hook and outcome", "", sum(state.seconds for state in machine), 0.0, {}))
    waiting = sum(s.seconds for s in execution.states if s.kind == "Wait" and not (s.name == "WaitForPods" and shorter == "evict-pods"))
    rest = execution.seconds - sum(phase.seconds for phase in found if not phase.beside)
    found.append(Phase("transitions", "", max(rest, 0.0), 0.0, {"next call": waiting} if waiting else {}))
    return found


def own_share(found: Iterable[Phase]) -> float:
    """Seconds of an execution in which nobody else was waited for."""
    return sum(phase.own for phase in found if not phase.beside)


def waiting(found: Iterable[Phase]) -> dict[str, float]:
    """Seconds by what was waited for."""
    total: dict[str, float] = defaultdict(float)
    for phase in found:
        if not phase.beside:
            for what, seconds in phase.waits.items():
                total[what] += seconds
    return dict(total)


def _function_phase(
    state: str, function: str, stays: list[State], requests: list[Request], invocations: list[Invocation], beside: bool
) -> Phase:
    waits: dict[str, float] = defaultdict(float)
    start = 0.0
    for stay in stays:
        made = [r for r in requests if r.function == function and stay.entered - _SLACK <= r.began <= stay.left + _SLACK]
        for what, seconds in _waits(function, made):
            waits[what] += seconds
        start += sum(
            invocation.init_seconds or 0.0
            for invocation in invocations
            if invocation.function == function and stay.entered <= invocation.ended <= stay.left + _SLACK
        )
    return Phase(state, function, sum(stay.seconds for stay in stays), start, dict(waits), beside)


def _waits(function: str, made: list[Request]) -> Iterable[tuple[str, float]]:
    """A function makes one request after the other, so a watch ends by the next one at the latest."""
    decommissioned = False
    for request, following in zip(made, [*made[1:], None], strict=False):
        if function == "drain-cache" and request.verb == "patch":
            decommissioned = True
        ended = request.ended if following is None else min(request.ended, following.began)
        if request.verb == "watch":
            volumes = function == "retire-worker" and request.resource == "persistentvolumes"
            yield _WAITS[function, "volumes" if volumes else "watch"], ended - request.began
        pause = PAUSES.get(function)
        if following is not None and pause is not None:
            # Between two requests there may be several pauses, with calls of Alluxio in between.
            pauses = int((following.began - ended) / pause)
            if pauses:
                yield _WAITS[function, "idle" if decommissioned else "pause"], pauses * pause
