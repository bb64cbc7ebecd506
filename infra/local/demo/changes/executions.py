"""Executions, as Step Functions' history tells them: states entered, outcomes with reasons, retries."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..events import Event, Lane, Source, Tone

_WAITS = ("waiting",)
_TROUBLE = ("expired", "unfit", "incomplete", "lost", "unknown")


@dataclass(frozen=True)
class Execution:
    """`machine` is JOIN or DRAIN."""

    arn: str
    machine: Source
    instance: str
    by_hand: bool

    @property
    def by_drift_check(self) -> bool:
        """It names its repairs so."""
        return self._name.startswith("drift-")

    @property
    def short(self) -> str:
        return self._name[:8]

    @property
    def _name(self) -> str:
        return self.arn.rsplit(":", 1)[-1]


def subject(input_text: str) -> tuple[str, bool]:
    """The instance that an execution's input is about (empty where none), and whether a person typed it."""
    try:
        given = json.loads(input_text)
    except ValueError:
        return "", True
    if not isinstance(given, dict):
        return "", True
    detail = given.get("detail")
    if isinstance(detail, dict):
        return str(detail.get("EC2InstanceId", "")), False
    return str(given.get("instanceId", "")), True


def history(execution: Execution, raw: Iterable[dict[str, Any]]) -> list[tuple[int, Event]]:
    """Events with the id of the history event that they stand for; the same for a longer history of the same execution."""
    reader = _Reader(execution)
    for event in raw:
        reader.read(event)
    return reader.told


class _Reader:
    def __init__(self, execution: Execution):
        self._execution = execution
        self._branches: dict[int, str] = {}
        self._forks: dict[int, int] = {}
        self._task: dict[str, str] = {}
        self._failed: set[str] = set()
        self._last: dict[str, tuple[str, str]] = {}
        self._begun: set[str] = set()
        self.told: list[tuple[int, Event]] = []

    def read(self, raw: dict[str, Any]) -> None:
        branch = self._branch(raw)
        kind = raw["type"]
        if kind == "ExecutionStarted":
            how = "started by hand" if self._execution.by_hand else "started by its event"
            if self._execution.by_drift_check:
                how = "started by the drift check"
            self._add(raw, branch, "execution/started", f"execution {self._execution.short} {how}")
        elif kind.endswith("StateEntered"):
            self._entered(raw, branch, kind.removesuffix("StateEntered"))
        elif kind == "TaskStateExited":
            self._exited(raw, branch)
        elif kind in ("TaskFailed", "TaskTimedOut"):
            self._task_failed(raw, branch, kind)
        elif kind == "TaskScheduled" and branch in self._failed:
            self._failed.discard(branch)
            self._add(raw, branch, "state/retried", f"{self._task.get(branch)} is tried again", Tone.WAIT)
        elif kind in ("ExecutionSucceeded", "ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"):
            self._ended(raw, kind)

    def _branch(self, raw: dict[str, Any]) -> str:
        """Each branch of a Parallel has a trail of its own: events that follow its start begin one."""
        previous = raw["previousEventId"]
        branch = self._branches.get(previous, "")
        if raw["type"] == "ParallelStateStarted":
            self._forks[raw["id"]] = 0
        elif raw["type"].endswith("StateEntered") and previous in self._forks:
            self._forks[previous] += 1
            # The first goes on in the lane of the execution: two branches need two lanes, not three.
            branch = "" if self._forks[previous] == 1 else str(self._forks[previous])
        self._branches[raw["id"]] = branch
        return branch

    def _lane(self, branch: str) -> Lane:
        return Lane(self._execution.instance, self._execution.machine, f"{self._execution.short}{branch and '/' + branch}")

    def _add(
        self, raw: dict[str, Any], branch: str, key: str, text: str, tone: Tone = Tone.PLAIN, **more: Any
    ) -> None:
        source, id = self._execution.machine, self._execution.instance
        event = Event(_seconds(raw["timestamp"]), source, key, text, id, tone, lane=self._lane(branch), **more)
        self.told.append((raw["id"], event))

    def _entered(self, raw: dict[str, Any], branch: str, kind: str) -> None:
        name = raw["stateEnteredEventDetails"]["name"]
        if kind == "Task":
            self._task[branch] = name
            self._failed.discard(branch)
            # What heartbeats and outcomes do is told when it is done, or by the bus.
            asks = not name.startswith(("RecordHeartbeat", "CompleteHook", "TellOutcome", "TerminateInstance"))
            # A state that waits is entered again and again.
            told = asks and name not in self._begun
            self._begun.add(name)
            self._add(raw, branch, f"entered/{name}", f"{name} begins", Tone.WORK, told=told, phase=name if asks else "")
        elif kind == "Wait":
            self._add(raw, branch, f"entered/{name}", name, Tone.WAIT, told=False, phase="wait")
        elif kind in ("Succeed", "Fail"):
            self._add(raw, branch, f"entered/{name}", name, told=False, phase="")
        elif kind == "Parallel":
            self._add(raw, branch, f"entered/{name}", f"{name}: pods and cache leave side by side")

    def _exited(self, raw: dict[str, Any], branch: str) -> None:
        details = raw["stateExitedEventDetails"]
        name = details["name"]
        output = _parsed(details.get("output", "null"))
        if name == "CompleteHook" and branch not in self._failed:
            text, tone = "the hook is completed (CompleteLifecycleAction)", Tone.GOOD
            self._add(raw, branch, "hook/completed", text, tone, phase="", mark=True)
        elif name == "TerminateInstance" and branch not in self._failed:
            text = "the drained instance is ended (TerminateInstanceInAutoScalingGroup)"
            self._add(raw, branch, "instance/ended-by-us", text, Tone.GOOD, phase="", mark=True)
        elif isinstance(output, dict) and "outcome" in output and name[:15] != "RecordHeartbeat":
            self._answered(raw, branch, name, output)
        else:
            self._add(raw, branch, f"exited/{name}", name, told=False, phase="")

    def _answered(self, raw: dict[str, Any], branch: str, name: str, output: dict[str, Any]) -> None:
        outcome, reason = str(output["outcome"]), str(output.get("reason", ""))
        again = self._last.get(name) == (outcome, reason)
        self._last[name] = (outcome, reason)
        tone = Tone.WAIT if outcome in _WAITS else Tone.BAD if outcome in _TROUBLE else Tone.GOOD
        text = f"{name}: {outcome}" + (f", {reason}" if reason else "")
        self._add(raw, branch, f"outcome/{name}/{outcome}", text, tone, told=not again, phase="")

    def _task_failed(self, raw: dict[str, Any], branch: str, kind: str) -> None:
        details = raw.get(f"{kind[0].lower()}{kind[1:]}EventDetails", {})
        self._failed.add(branch)
        cause = _parsed(details.get("cause") or "null")
        message = cause.get("errorMessage", "") if isinstance(cause, dict) else details.get("cause") or ""
        text = f"{self._task.get(branch)} failed: {details.get('error', kind)}" + (f", {message}" if message else "")
        self._add(raw, branch, "state/failed", text, Tone.BAD)

    def _ended(self, raw: dict[str, Any], kind: str) -> None:
        status = kind.removeprefix("Execution").lower()
        details = raw.get(f"execution{kind.removeprefix('Execution')}EventDetails", {})
        output = _parsed(details.get("output") or "null")
        outcome = output.get("outcome", "") if isinstance(output, dict) else details.get("error", "")
        text = f"execution {self._execution.short} {status}" + (f": {outcome}" if outcome else "")
        tone = Tone.GOOD if status == "succeeded" else Tone.BAD
        for branch in sorted(set(self._branches.values()), reverse=True):
            told = branch == ""
            self._add(raw, branch, f"execution/{status}" if told else "branch/ended", text, tone, phase="", told=told)


def _seconds(moment: Any) -> float:
    return moment.timestamp() if isinstance(moment, datetime) else float(moment)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
