"""Checks a definition as CreateStateMachine does, and says what is wrong and where.

Only JSONata state machines: the product has no others. The grammar of a state is data (`FIELDS`).
"""

from __future__ import annotations

import json
import re
from typing import Any

from . import jsonata, resources

COMMON = {"Type", "Comment", "QueryLanguage"}
FLOW = {"Next", "End"}
RESULT = {"Assign", "Output"}
HANDLERS = {"Retry", "Catch"}
FIELDS = {
    "Pass": COMMON | FLOW | RESULT,
    "Task": COMMON
    | FLOW
    | RESULT
    | HANDLERS
    | {"Resource", "Arguments", "TimeoutSeconds", "HeartbeatSeconds", "Credentials"},
    "Choice": COMMON | RESULT | {"Choices", "Default"},
    "Wait": COMMON | FLOW | RESULT | {"Seconds", "Timestamp"},
    "Succeed": COMMON | {"Output"},
    "Fail": COMMON | {"Error", "Cause"},
    "Parallel": COMMON | FLOW | RESULT | HANDLERS | {"Branches", "Arguments"},
    "Map": COMMON
    | FLOW
    | RESULT
    | HANDLERS
    | {"Items", "ItemSelector", "ItemProcessor", "MaxConcurrency"},
}
RETRIER = {
    "ErrorEquals",
    "IntervalSeconds",
    "MaxAttempts",
    "BackoffRate",
    "MaxDelaySeconds",
    "JitterStrategy",
    "Comment",
}
CATCHER = {"ErrorEquals", "Next", "Assign", "Output", "Comment"}
CHOICE_RULE = {"Condition", "Next", "Assign", "Output", "Comment"}
ENDS_BY_ITSELF = {"Choice", "Succeed", "Fail"}
LONGEST_STATE_NAME = 80
# https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html
VARIABLE_NAME = re.compile(r"[^\W\d][\w]{0,79}", re.UNICODE)
_STATES_REFERENCE = re.compile(r"\$states\.([A-Za-z]+)")


class InvalidDefinition(Exception):
    """All findings, each `KIND: what at /path`."""

    def __init__(self, findings: list[str]):
        super().__init__(", ".join(findings))
        self.findings = findings


def load(text: str) -> dict[str, Any]:
    """The definition as a dictionary. Raises InvalidDefinition."""
    try:
        machine = json.loads(text)
    except ValueError as error:
        raise InvalidDefinition([f"INVALID_JSON_DESCRIPTION: {error}"]) from error
    if not isinstance(machine, dict):
        raise InvalidDefinition(["INVALID_JSON_DESCRIPTION: a definition is an object"])
    findings = Checker().machine(machine)
    if findings:
        raise InvalidDefinition(findings)
    return machine


class Checker:
    def __init__(self) -> None:
        self.findings: list[str] = []

    def machine(self, machine: dict[str, Any]) -> list[str]:
        known = {"Comment", "StartAt", "States", "QueryLanguage", "TimeoutSeconds", "Version"}
        self._fields(machine, known, "")
        if machine.get("QueryLanguage") != "JSONata":
            self._schema('only "QueryLanguage": "JSONata" is played by this endpoint', "/")
        timeout = machine.get("TimeoutSeconds")
        if timeout is not None and not _positive_integer(timeout):
            self._schema("TimeoutSeconds must be a positive integer", "/TimeoutSeconds")
        self._states(machine, "", set())
        return self.findings

    def _schema(self, what: str, path: str) -> None:
        self.findings.append(f"SCHEMA_VALIDATION_FAILED: {what} at {path}")

    def _fields(self, thing: dict[str, Any], known: set[str], path: str) -> None:
        for field in thing:
            if field not in known:
                self._schema(f"Field '{field}' is not supported", f"{path}/{field}")

    def _states(self, program: dict[str, Any], path: str, outer: set[str]) -> None:
        states = program.get("States")
        if not isinstance(states, dict) or not states:
            self._schema("These fields are required: [States]", path or "/")
            return
        start = program.get("StartAt")
        if start not in states:
            self.findings.append(
                f"MISSING_TRANSITION_TARGET: Missing 'Next' target: {start} at {path}/StartAt"
            )
        own = {name for state in states.values() for name in _assigned(state)}
        for name in sorted(own & outer):
            self._schema(f"the variable '{name}' belongs to an outer scope", f"{path}/States")
        for name, state in states.items():
            where = f"{path}/States/{name}"
            if len(name) > LONGEST_STATE_NAME:
                self._schema("a state name has at most 80 characters", where)
            if not isinstance(state, dict) or state.get("Type") not in FIELDS:
                self._schema("Type must be one of " + ", ".join(sorted(FIELDS)), f"{where}/Type")
                continue
            self._state(state, where, set(states), outer | own)

    def _state(self, state: dict[str, Any], path: str, names: set[str], scope: set[str]) -> None:
        kind = state["Type"]
        self._fields(state, FIELDS[kind], path)
        if state.get("QueryLanguage", "JSONata") != "JSONata":
            self._schema('only "QueryLanguage": "JSONata" is played by this endpoint', path)
        if kind not in ENDS_BY_ITSELF:
            if ("Next" in state) == bool(state.get("End")):
                self._schema("exactly one of Next and End is required", path)
            self._target(state.get("Next"), names, f"{path}/Next")
        self._result(state, path, {"input", "context"} | _result_of(kind))
        for index, retrier in enumerate(state.get("Retry", [])):
            self._handler(retrier, RETRIER, index, state["Retry"], f"{path}/Retry[{index}]")
        for index, catcher in enumerate(state.get("Catch", [])):
            where = f"{path}/Catch[{index}]"
            self._handler(catcher, CATCHER, index, state["Catch"], where)
            self._target(catcher.get("Next"), names, f"{where}/Next", required=True)
            self._result(catcher, where, {"input", "context", "errorOutput"})
        getattr(self, f"_{kind.lower()}")(state, path, names, scope)

    def _result(self, thing: dict[str, Any], path: str, available: set[str]) -> None:
        self._expressions(thing.get("Output"), f"{path}/Output", available)
        assign = thing.get("Assign", {})
        if not isinstance(assign, dict):
            self._schema("Assign must be an object", f"{path}/Assign")
            return
        for name, value in assign.items():
            if not VARIABLE_NAME.fullmatch(name) or name == "states":
                self._schema(f"'{name}' is no name for a variable", f"{path}/Assign")
            self._expressions(value, f"{path}/Assign/{name}", available)

    def _handler(
        self, handler: dict[str, Any], known: set[str], index: int, all_: list[Any], path: str
    ) -> None:
        self._fields(handler, known, path)
        names = handler.get("ErrorEquals")
        if not isinstance(names, list) or not names:
            self._schema("These fields are required: [ErrorEquals]", path)
        elif "States.ALL" in names and (len(names) > 1 or index != len(all_) - 1):
            self._schema("States.ALL must appear alone and last", f"{path}/ErrorEquals")
        for field in ("IntervalSeconds", "MaxDelaySeconds"):
            if field in handler and not _positive_integer(handler[field]):
                self._schema(f"{field} must be a positive integer", f"{path}/{field}")
        if handler.get("JitterStrategy", "NONE") not in ("NONE", "FULL"):
            self._schema("JitterStrategy must be NONE or FULL", f"{path}/JitterStrategy")

    def _target(self, name: str | None, names: set[str], path: str, required: bool = False) -> None:
        if (name is not None or required) and name not in names:
            self.findings.append(
                f"MISSING_TRANSITION_TARGET: Missing 'Next' target: {name} at {path}"
            )

    def _expressions(self, value: Any, path: str, available: set[str]) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                self._expressions(item, f"{path}/{key}", available)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self._expressions(item, f"{path}[{index}]", available)
        elif jsonata.is_expression(value):
            expression = jsonata.body(value)
            try:
                jsonata.compile_expression(expression)
            except jsonata.EvaluationError as error:
                self._schema(f"Invalid JSONata expression: {error}", path)
            for part in sorted(set(_STATES_REFERENCE.findall(expression)) - available):
                self._schema(f"$states.{part} is not available in this field", path)

    # one for each type

    def _pass(self, *_: Any) -> None: ...

    def _succeed(self, state: dict[str, Any], path: str, *_: Any) -> None:
        self._expressions(state.get("Output"), f"{path}/Output", {"input", "context"})

    def _fail(self, state: dict[str, Any], path: str, *_: Any) -> None:
        for field in ("Error", "Cause"):
            self._expressions(state.get(field), f"{path}/{field}", {"input", "context"})

    def _wait(self, state: dict[str, Any], path: str, *_: Any) -> None:
        if ("Seconds" in state) == ("Timestamp" in state):
            self._schema("exactly one of Seconds and Timestamp is required", path)
        seconds = state.get("Seconds")
        if "Seconds" in state and not (
            jsonata.is_expression(seconds) or (isinstance(seconds, int) and seconds >= 0)
        ):
            self._schema("Seconds must be an integer or a JSONata expression", f"{path}/Seconds")
        self._expressions(seconds, f"{path}/Seconds", {"input", "context"})
        self._expressions(state.get("Timestamp"), f"{path}/Timestamp", {"input", "context"})

    def _choice(self, state: dict[str, Any], path: str, names: set[str], _: set[str]) -> None:
        choices = state.get("Choices")
        if not isinstance(choices, list) or not choices:
            self._schema("These fields are required: [Choices]", path)
            return
        self._target(state.get("Default"), names, f"{path}/Default")
        for index, rule in enumerate(choices):
            where = f"{path}/Choices[{index}]"
            self._fields(rule, CHOICE_RULE, where)
            if "Condition" not in rule:
                self._schema("These fields are required: [Condition]", where)
            self._target(rule.get("Next"), names, f"{where}/Next", required=True)
            self._expressions(rule.get("Condition"), f"{where}/Condition", {"input", "context"})
            self._result(rule, where, {"input", "context"})

    def _task(self, state: dict[str, Any], path: str, *_: Any) -> None:
        for field in ("TimeoutSeconds", "HeartbeatSeconds"):
            value = state.get(field)
            if value is not None and not (_positive_integer(value) or jsonata.is_expression(value)):
                self._schema(f"{field} must be a positive integer", f"{path}/{field}")
            self._expressions(value, f"{path}/{field}", {"input", "context"})
        arguments = state.get("Arguments")
        self._expressions(arguments, f"{path}/Arguments", {"input", "context"})
        try:
            resource = resources.parse(state.get("Resource", ""))
            for field in resources.unknown_arguments(resource, arguments):
                self._schema(
                    f"The field '{field}' is not supported by Step Functions",
                    f"{path}/Arguments",
                )
        except resources.UnknownResource as error:
            self._schema(str(error), f"{path}/Resource")

    def _parallel(self, state: dict[str, Any], path: str, _: set[str], scope: set[str]) -> None:
        self._expressions(state.get("Arguments"), f"{path}/Arguments", {"input", "context"})
        branches = state.get("Branches")
        if not isinstance(branches, list) or not branches:
            self._schema("These fields are required: [Branches]", path)
            return
        for index, branch in enumerate(branches):
            where = f"{path}/Branches[{index}]"
            self._fields(branch, {"StartAt", "States", "Comment", "QueryLanguage"}, where)
            self._states(branch, where, scope)

    def _map(self, state: dict[str, Any], path: str, _: set[str], scope: set[str]) -> None:
        for field in ("Items", "ItemSelector", "MaxConcurrency"):
            self._expressions(state.get(field), f"{path}/{field}", {"input", "context"})
        processor = state.get("ItemProcessor")
        if not isinstance(processor, dict):
            self._schema("These fields are required: [ItemProcessor]", path)
            return
        if processor.get("ProcessorConfig", {}).get("Mode", "INLINE") != "INLINE":
            self._schema("only INLINE maps are played by this endpoint", f"{path}/ItemProcessor")
        self._states(processor, f"{path}/ItemProcessor", scope)


def _result_of(kind: str) -> set[str]:
    return {"result"} if kind in ("Task", "Parallel", "Map") else set()


def _assigned(state: Any) -> set[str]:
    if not isinstance(state, dict):
        return set()
    holders = [state, *state.get("Catch", []), *state.get("Choices", [])]
    return {name for h in holders if isinstance(h, dict) for name in h.get("Assign") or {}}


def _positive_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
