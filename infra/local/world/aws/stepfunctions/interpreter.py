"""Walks a program state by state: https://states-language.net, JSONata query language.

A walk is one line of execution (the machine itself, a branch, an iteration): its input, variables,
place in the history, and the scope in which its waits can be cut off.
"""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from . import errors, flow, jsonata
from .errors import EvaluationFailed, StateError
from .history import Trail, compact
from .resources import Resource, parse
from .scope import Scope

# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html: 256 KiB of UTF-8.
LARGEST_DATA = 262_144
LONGEST_WAIT_SECONDS = 99_999_999
DEFAULT_MAX_ATTEMPTS = 3
DEFAULT_BACKOFF = 2.0


class Tasks(Protocol):
    def call(
        self, walk: Walk, resource: Resource, arguments: Any, timeout: float | None
    ) -> Any: ...


@dataclass
class Run:
    """What all walks of one execution share."""

    tasks: Tasks
    role_arn: str
    region: str
    execution_name: str
    stretch: float = 1.0
    """Factor on Wait and Retry seconds; tests make it small."""
    now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)


class Variables:
    """Own variables over those of the outer scopes, which can be read and not assigned."""

    def __init__(self, outer: dict[str, Any] | None = None):
        self._outer = dict(outer or {})
        self._own: dict[str, Any] = {}

    def visible(self) -> dict[str, Any]:
        return self._outer | self._own

    def assign(self, values: dict[str, Any]) -> None:
        self._own.update(values)


@dataclass
class Walk:
    run: Run
    trail: Trail
    scope: Scope
    variables: Variables
    context: dict[str, Any]
    entered: int = 0
    """History id of the present state's entry."""

    def branch(self, scope: Scope, **context: Any) -> Walk:
        return replace(
            self,
            trail=self.trail.fork(),
            scope=scope,
            variables=Variables(self.variables.visible()),
            context=self.context | context,
        )


@dataclass
class Step:
    """What a state leads to. `next` None is the end of the program."""

    output: Any
    next: str | None
    assigned: dict[str, Any]


def run_program(walk: Walk, program: dict[str, Any], given: Any) -> Any:
    """The output of the program's last state. Raises StateError, or what cancels the scope."""
    name: str | None = program["StartAt"]
    value = given
    while name is not None:
        walk.scope.check()
        step = run_state(walk, name, program["States"][name], value)
        name, value = step.next, step.output
    return value


def run_state(walk: Walk, name: str, state: dict[str, Any], given: Any) -> Step:
    kind = state["Type"]
    walk.context = walk.context | {
        "State": {"EnteredTime": stamp(walk.run.now()), "Name": name, "RetryCount": 0}
    }
    walk.entered = walk.trail.entered(kind, name, given)
    try:
        step = HANDLERS[kind](walk, state, given)
    except StateError as error:
        if not hasattr(error, "state"):
            error.state, error.entered = name, walk.entered  # type: ignore[attr-defined]
        raise
    walk.variables.assign(step.assigned)
    walk.trail.exited(kind, name, step.output, step.assigned)
    return step


def stamp(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


# Evaluation


def states_of(walk: Walk, given: Any, **more: Any) -> dict[str, Any]:
    return {"input": given, "context": walk.context} | more


def fill(walk: Walk, template: Any, states: dict[str, Any], location: str) -> Any:
    """A template with its expressions evaluated. Raises EvaluationFailed, told in the history."""
    if isinstance(template, dict):
        return {k: fill(walk, v, states, f"{location}/{k}") for k, v in template.items()}
    if isinstance(template, list):
        return [fill(walk, v, states, f"{location}[{i}]") for i, v in enumerate(template)]
    if not jsonata.is_expression(template):
        return template
    expression = jsonata.body(template)
    what = f"The JSONata expression '{expression}' specified for the field '{location}'"
    try:
        value = jsonata.evaluate(expression, walk.variables.visible() | {"states": states})
    except jsonata.EvaluationError as error:
        raise failed(walk, f"{what} threw an error during evaluation. {error}", location) from error
    except jsonata.UnsupportedResult as error:
        raise failed(walk, f"{what} returned an unsupported result type.", location) from error
    if value is jsonata.UNDEFINED:
        raise failed(walk, f"{what} returned nothing (undefined).", location)
    return value


def failed(walk: Walk, cause: str, location: str) -> EvaluationFailed:
    state = walk.context["State"]["Name"]
    walk.trail.add(
        "EvaluationFailed",
        {
            "evaluationFailedEventDetails": {
                "error": errors.QUERY,
                "cause": decorated(cause, state, walk.entered),
                "location": location,
                "state": state,
            }
        },
    )
    return EvaluationFailed(cause, location)


def decorated(cause: str, state: str, entered: int) -> str:
    return (
        f"An error occurred while executing the state '{state}' (entered at the event id "
        f"#{entered}). {cause}"
    )


def typed(walk: Walk, value: Any, kind: str, expression: Any, location: str) -> Any:
    """The value, when it is of the JSON type that the field needs."""
    if jsonata.type_name(value) != kind:
        text = jsonata.body(expression) if jsonata.is_expression(expression) else expression
        raise failed(
            walk,
            f"The JSONata expression '{text}' specified for the field '{location}' returned an "
            f"unexpected result type. Expected '{kind}', but was '{jsonata.type_name(value)}' for "
            f"value: {compact(value)}",
            location,
        )
    return value


def finish(
    walk: Walk, holder: dict[str, Any], default: Any, states: dict[str, Any], next_: str | None
) -> Step:
    """Output and Assign of a state, catcher or choice rule: both see the variables from before."""
    assigned = fill(walk, holder.get("Assign") or {}, states, "Assign")
    output = fill(walk, holder["Output"], states, "Output") if "Output" in holder else default
    for what in (output, *assigned.values()):
        check_size(walk, what)
    return Step(output, next_, assigned)


def check_size(walk: Walk, value: Any) -> None:
    if len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()) > LARGEST_DATA:
        name = walk.context["State"]["Name"]
        raise StateError(
            errors.DATA_LIMIT,
            f"The state/task '{name}' returned a result with a size exceeding the maximum number "
            "of bytes service limit.",
        )


# States without attempts


def run_pass(walk: Walk, state: dict[str, Any], given: Any) -> Step:
    return finish(walk, state, given, states_of(walk, given), state.get("Next"))


def run_choice(walk: Walk, state: dict[str, Any], given: Any) -> Step:
    states = states_of(walk, given)
    for index, rule in enumerate(state["Choices"]):
        location = f"Choices[{index}]/Condition"
        value = fill(walk, rule["Condition"], states, location)
        if typed(walk, value, "boolean", rule["Condition"], location):
            return finish(walk, rule, given, states, rule["Next"])
    if "Default" not in state:
        raise StateError(errors.NO_CHOICE, "No choice rule matched, and there is no Default.")
    return finish(walk, state, given, states, state["Default"])


def run_wait(walk: Walk, state: dict[str, Any], given: Any) -> Step:
    states = states_of(walk, given)
    if "Seconds" in state:
        seconds = fill(walk, state["Seconds"], states, "Seconds")
        typed(walk, seconds, "number", state["Seconds"], "Seconds")
        if not isinstance(seconds, int) or not 0 <= seconds <= LONGEST_WAIT_SECONDS:
            raise failed(
                walk, f"Seconds must be an integer from 0 to {LONGEST_WAIT_SECONDS}", "Seconds"
            )
    else:
        text = fill(walk, state["Timestamp"], states, "Timestamp")
        try:
            until = dt.datetime.fromisoformat(str(text).replace("Z", "+00:00"))
        except ValueError as error:
            raise failed(walk, f"{text!r} is no timestamp", "Timestamp") from error
        seconds = max(0.0, (until - walk.run.now()).total_seconds())
    walk.scope.pause(seconds * walk.run.stretch)
    return finish(walk, state, given, states, state.get("Next"))


def run_succeed(walk: Walk, state: dict[str, Any], given: Any) -> Step:
    return finish(walk, state, given, states_of(walk, given), None)


def run_fail(walk: Walk, state: dict[str, Any], given: Any) -> Step:
    states = states_of(walk, given)
    error = fill(walk, state.get("Error", ""), states, "Error")
    cause = fill(walk, state.get("Cause", ""), states, "Cause")
    raise StateError(str(error), str(cause))


# States with attempts


def run_attempts(walk: Walk, state: dict[str, Any], given: Any) -> Step:
    """Task, Parallel and Map: tried, tried again as Retry says, caught as Catch says."""
    tried = [0] * len(state.get("Retry", []))
    while True:
        try:
            result = ATTEMPTS[state["Type"]](walk, state, given)
            states = states_of(walk, given, result=result)
            return finish(walk, state, result, states, state.get("Next"))
        except StateError as error:
            delay = _retry_delay(state.get("Retry", []), tried, error)
            if delay is None:
                return _catch(walk, state, given, error)
        walk.scope.pause(delay * walk.run.stretch)
        count = walk.context["State"]["RetryCount"] + 1
        walk.context = walk.context | {"State": walk.context["State"] | {"RetryCount": count}}


def _retry_delay(
    retriers: list[dict[str, Any]], tried: list[int], error: StateError
) -> float | None:
    """Seconds until the next attempt, or None when there is none. Counts the attempt."""
    for index, retrier in enumerate(retriers):
        if not errors.matches(retrier["ErrorEquals"], error.error):
            continue
        if tried[index] >= retrier.get("MaxAttempts", DEFAULT_MAX_ATTEMPTS):
            return None
        rate = retrier.get("BackoffRate", DEFAULT_BACKOFF)
        delay = retrier.get("IntervalSeconds", 1) * rate ** tried[index]
        delay = min(delay, retrier.get("MaxDelaySeconds", delay))
        tried[index] += 1
        return random.uniform(0, delay) if retrier.get("JitterStrategy") == "FULL" else delay
    return None


def _catch(walk: Walk, state: dict[str, Any], given: Any, error: StateError) -> Step:
    for catcher in state.get("Catch", []):
        if errors.matches(catcher["ErrorEquals"], error.error):
            states = states_of(walk, given, errorOutput=error.output)
            return finish(walk, catcher, error.output, states, catcher["Next"])
    raise error


def attempt_task(walk: Walk, state: dict[str, Any], given: Any) -> Any:
    states = states_of(walk, given)
    arguments = (
        fill(walk, state["Arguments"], states, "Arguments") if "Arguments" in state else given
    )
    timeout = None
    if "TimeoutSeconds" in state:
        timeout = fill(walk, state["TimeoutSeconds"], states, "TimeoutSeconds")
        typed(walk, timeout, "number", state["TimeoutSeconds"], "TimeoutSeconds")
    result = walk.run.tasks.call(walk, parse(state["Resource"]), arguments, timeout)
    check_size(walk, result)
    return result


HANDLERS: dict[str, Callable[[Walk, dict[str, Any], Any], Step]] = {
    "Pass": run_pass,
    "Choice": run_choice,
    "Wait": run_wait,
    "Succeed": run_succeed,
    "Fail": run_fail,
    "Task": run_attempts,
    "Parallel": run_attempts,
    "Map": run_attempts,
}
ATTEMPTS: dict[str, Callable[[Walk, dict[str, Any], Any], Any]] = {
    "Task": attempt_task,
    "Parallel": lambda walk, state, given: flow.attempt_parallel(walk, state, given),
    "Map": lambda walk, state, given: flow.attempt_map(walk, state, given),
}
