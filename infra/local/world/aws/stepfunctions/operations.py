"""The Step Functions API."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from typing import Any

from ..config import Config
from ..errors import ApiError, NotPlayed
from ..identity import Identities
from ..wire import Call
from . import definition
from .executions import Execution, ExecutionService
from .machines import Machine

SERVICE = "states.amazonaws.com"
PAGE = 100
LONGEST_PAGE = 1000
_MACHINE_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")


class Operations:
    def __init__(self, config: Config, identities: Identities, service: ExecutionService):
        self._config = config
        self._identities = identities
        self._service = service

    def handle(self, call: Call) -> dict[str, Any]:
        method = getattr(self, call.operation, None)
        if method is None:
            raise NotPlayed("states", call.operation)
        return method(call.params) or {}

    # state machines

    def CreateStateMachine(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        name = params["name"]
        if not _MACHINE_NAME.fullmatch(name):
            raise ApiError("InvalidName", f"Invalid Name: '{name}'", 400)
        if params.get("type", "STANDARD") != "STANDARD":
            raise NotPlayed("states", "CreateStateMachine of type EXPRESS")
        arn = f"arn:aws:states:{self._config.region}:{self._config.account}:stateMachine:{name}"
        loaded = _loaded(params["definition"])
        self._check_role(params["roleArn"])
        with self._service.lock:
            known = self._service.machines.get(arn)
            if known is not None:
                same = (known.definition_text, known.role_arn) == (
                    params["definition"],
                    params["roleArn"],
                )
                if same:
                    return {"stateMachineArn": arn, "creationDate": known.created_at}
                raise ApiError(
                    "StateMachineAlreadyExists", f"State Machine Already Exists: '{arn}'", 400
                )
            now = dt.datetime.now(dt.UTC)
            machine = Machine(
                arn=arn,
                name=name,
                definition_text=params["definition"],
                definition=loaded,
                role_arn=params["roleArn"],
                created_at=now,
                updated_at=now,
            )
            machine.logging = params.get("loggingConfiguration") or machine.logging
            machine.tracing = params.get("tracingConfiguration") or machine.tracing
            machine.tags = {tag["key"]: tag["value"] for tag in params.get("tags", [])}
            self._service.machines[arn] = machine
        return {"stateMachineArn": arn, "creationDate": now}

    def UpdateStateMachine(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """Running executions keep the definition and role with which they were started."""
        known = self._service.machine(params["stateMachineArn"])
        text = params.get("definition", known.definition_text)
        role = params.get("roleArn", known.role_arn)
        loaded = _loaded(text)
        self._check_role(role)
        updated = Machine(
            arn=known.arn,
            name=known.name,
            definition_text=text,
            definition=loaded,
            role_arn=role,
            created_at=known.created_at,
            updated_at=dt.datetime.now(dt.UTC),
            logging=params.get("loggingConfiguration") or known.logging,
            tracing=params.get("tracingConfiguration") or known.tracing,
            tags=known.tags,
        )
        with self._service.lock:
            self._service.machines[known.arn] = updated
        return {"updateDate": updated.updated_at, "revisionId": updated.revision}

    def DeleteStateMachine(self, params: dict[str, Any]) -> None:  # noqa: N802
        with self._service.lock:
            self._service.machines.pop(params["stateMachineArn"], None)

    def DescribeStateMachine(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return _machine_view(self._service.machine(params["stateMachineArn"])) | {
            "status": "ACTIVE"
        }

    def DescribeStateMachineForExecution(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        view = _machine_view(self._service.execution(params["executionArn"]).machine)
        return view | {"updateDate": view["creationDate"]}

    def ListStateMachines(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        found = [
            {
                "stateMachineArn": machine.arn,
                "name": machine.name,
                "type": "STANDARD",
                "creationDate": machine.created_at,
            }
            for machine in self._service.machines.values()
        ]
        return _page(params, "stateMachines", found)

    def ValidateStateMachineDefinition(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        try:
            definition.load(params["definition"])
        except definition.InvalidDefinition as error:
            diagnostics = [
                {"severity": "ERROR", "code": f.split(":")[0], "message": f} for f in error.findings
            ]
            return {"result": "FAIL", "diagnostics": diagnostics}
        return {"result": "OK", "diagnostics": []}

    def TagResource(self, params: dict[str, Any]) -> None:  # noqa: N802
        machine = self._service.machine(params["resourceArn"])
        machine.tags |= {tag["key"]: tag["value"] for tag in params["tags"]}

    def UntagResource(self, params: dict[str, Any]) -> None:  # noqa: N802
        machine = self._service.machine(params["resourceArn"])
        for key in params["tagKeys"]:
            machine.tags.pop(key, None)

    def ListTagsForResource(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        tags = self._service.machine(params["resourceArn"]).tags
        return {"tags": [{"key": key, "value": value} for key, value in tags.items()]}

    # executions

    def StartExecution(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        execution = self._service.start(
            params["stateMachineArn"], params.get("name"), params.get("input")
        )
        return {"executionArn": execution.arn, "startDate": execution.started_at}

    def StopExecution(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        execution = self._service.stop(
            params["executionArn"], params.get("error"), params.get("cause")
        )
        return {"stopDate": execution.stopped_at or dt.datetime.now(dt.UTC)}

    def DescribeExecution(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        execution = self._service.execution(params["executionArn"])
        view = _execution_view(execution) | {
            "input": execution.input_text,
            "inputDetails": {"included": True},
            "redriveCount": 0,
            "redriveStatus": "NOT_REDRIVABLE",
        }
        if execution.output_text is not None:
            view |= {"output": execution.output_text, "outputDetails": {"included": True}}
        if execution.error is not None:
            view["error"] = execution.error
        if execution.cause is not None:
            view["cause"] = execution.cause
        return view

    def ListExecutions(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        machine = self._service.machine(params["stateMachineArn"])
        wanted = params.get("statusFilter")
        found = [
            execution
            for execution in self._service.executions.values()
            if execution.machine.arn == machine.arn
            and (wanted is None or execution.status == wanted)
        ]
        found.sort(key=lambda execution: execution.started_at, reverse=True)
        return _page(params, "executions", [_execution_view(e) for e in found])

    def GetExecutionHistory(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        events = list(self._service.execution(params["executionArn"]).history.events)
        if params.get("reverseOrder"):
            events.reverse()
        return _page(params, "events", events)

    def _check_role(self, role_arn: str) -> None:
        if not self._identities.trusts(role_arn, SERVICE):
            raise ApiError(
                "AccessDeniedException",
                f"Neither the global service principal {SERVICE}, nor the regional one is "
                "authorized to assume the provided role.",
                400,
            )


def _loaded(text: str) -> dict[str, Any]:
    try:
        return definition.load(text)
    except definition.InvalidDefinition as error:
        raise ApiError(
            "InvalidDefinition", f"Invalid State Machine Definition: '{error}'", 400
        ) from error


def _machine_view(machine: Machine) -> dict[str, Any]:
    return {
        "stateMachineArn": machine.arn,
        "name": machine.name,
        "definition": machine.definition_text,
        "roleArn": machine.role_arn,
        "type": "STANDARD",
        "creationDate": machine.created_at,
        "loggingConfiguration": machine.logging,
        "tracingConfiguration": machine.tracing,
        "revisionId": machine.revision,
    }


def _execution_view(execution: Execution) -> dict[str, Any]:
    view = {
        "executionArn": execution.arn,
        "stateMachineArn": execution.machine.arn,
        "name": execution.name,
        "status": execution.status,
        "startDate": execution.started_at,
        "stopDate": execution.stopped_at,
    }
    return {key: value for key, value in view.items() if value is not None}


_tokens: dict[str, int] = {}


def _page(params: dict[str, Any], key: str, items: list[Any]) -> dict[str, Any]:
    size = min(int(params.get("maxResults") or PAGE), LONGEST_PAGE)
    token = params.get("nextToken")
    if token and token not in _tokens:
        raise ApiError("InvalidToken", f"Invalid Token: '{token}'", 400)
    start = _tokens.get(token, 0) if token else 0
    page: dict[str, Any] = {key: items[start : start + size]}
    if start + size < len(items):
        following = str(uuid.uuid4())
        _tokens[following] = start + size
        page["nextToken"] = following
    return page
