"""State machines and their executions: started, stopped, timed out, remembered."""

from __future__ import annotations

import datetime as dt
import json
import logging
import re
import threading
import uuid
from dataclasses import dataclass, field
from typing import Any

from ..cloudwatch import CloudWatch
from ..config import Config
from ..ec2 import Bus
from ..errors import ApiError
from ..timers import Timers
from . import errors
from .errors import Aborted, StateError, TimedOut
from .history import MOST_EVENTS, History, HistoryFull, Trail, compact
from .interpreter import Run, Tasks, Variables, Walk, decorated, run_program, stamp
from .logs import log_listener
from .machines import Machine
from .scope import Scope

log = logging.getLogger(__name__)

LARGEST_INPUT = 262_144
_NAME = re.compile(r"[^\s<>{}\[\]?*\"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]{1,80}")
RUNNING = "RUNNING"


@dataclass
class Execution:
    arn: str
    name: str
    machine: Machine
    input_text: str
    started_at: dt.datetime
    history: History
    scope: Scope = field(default_factory=Scope)
    status: str = RUNNING
    stopped_at: dt.datetime | None = None
    output_text: str | None = None
    error: str | None = None
    cause: str | None = None
    ended: threading.Event = field(default_factory=threading.Event)


class ExecutionService:
    """`tasks` is set by the server: Task states need the service, the service needs Task states."""

    tasks: Tasks

    def __init__(
        self,
        config: Config,
        bus: Bus,
        timers: Timers,
        cloudwatch: CloudWatch,
        stretch: float = 1.0,
    ):
        self._config = config
        self._cloudwatch = cloudwatch
        self._bus = bus
        self._timers = timers
        self._stretch = stretch
        self.lock = threading.RLock()
        self.machines: dict[str, Machine] = {}
        self.executions: dict[str, Execution] = {}

    def machine(self, arn: str) -> Machine:
        if arn not in self.machines:
            raise ApiError(
                "StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'", 400
            )
        return self.machines[arn]

    def execution(self, arn: str) -> Execution:
        if arn not in self.executions:
            raise ApiError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'", 400)
        return self.executions[arn]

    def start(self, machine_arn: str, name: str | None, text: str | None) -> Execution:
        """Errors as StartExecution's. Same name and input while running: the same execution."""
        machine = self.machine(machine_arn)
        name = name or str(uuid.uuid4())
        if not _NAME.fullmatch(name):
            raise ApiError("InvalidName", f"Invalid Name: '{name}'", 400)
        text = "{}" if text is None else text
        value = _parsed(text)
        arn = machine.arn.replace(":stateMachine:", ":execution:") + f":{name}"
        with self.lock:
            known = self.executions.get(arn)
            if known is not None:
                if known.status == RUNNING and known.input_text == text:
                    return known
                raise ApiError("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'", 400)
            now = dt.datetime.now(dt.UTC)
            listener = log_listener(self._cloudwatch, machine, arn, now)
            execution = Execution(arn, name, machine, text, now, History(listener))
            self.executions[arn] = execution
        timeout = machine.definition.get("TimeoutSeconds")
        if timeout is not None:
            self._timers.after(timeout * self._stretch, lambda: execution.scope.cancel(TimedOut()))
        self._announce(execution)
        threading.Thread(
            target=self._run, args=(execution, value), name=f"execution-{name}", daemon=True
        ).start()
        return execution

    def stop(self, arn: str, error: str | None, cause: str | None) -> Execution:
        execution = self.execution(arn)
        with self.lock:
            if execution.status == RUNNING:
                execution.error, execution.cause = error, cause
                execution.scope.cancel(Aborted())
        # The walk ends at once: everything that it can wait for has just been woken.
        execution.ended.wait(5)
        return execution

    def stop_all(self) -> None:
        for execution in list(self.executions.values()):
            execution.scope.cancel(Aborted())

    def start_and_wait(
        self, walk: Walk, arguments: dict[str, Any], parse_output: bool
    ) -> dict[str, Any]:
        """startExecution.sync and .sync:2. Raises StateError States.TaskFailed as AWS does."""
        given = arguments.get("Input", {})
        text = given if isinstance(given, str) else compact(given)
        try:
            child = self.start(arguments.get("StateMachineArn", ""), arguments.get("Name"), text)
        except ApiError as error:
            raise StateError(f"StepFunctions.{error.code}Exception", error.message) from error
        walk.scope.wait(child.ended)
        result = {
            "ExecutionArn": child.arn,
            "StateMachineArn": child.machine.arn,
            "Name": child.name,
            "Status": child.status,
            "StartDate": int(child.started_at.timestamp() * 1000),
            "StopDate": int((child.stopped_at or child.started_at).timestamp() * 1000),
            "Input": json.loads(child.input_text) if parse_output else child.input_text,
            "Output": None,
        }
        if child.output_text is not None:
            result["Output"] = json.loads(child.output_text) if parse_output else child.output_text
        if child.status != "SUCCEEDED":
            result |= {"Error": child.error, "Cause": child.cause}
            raise StateError(errors.TASK_FAILED, compact(result))
        return result

    def _run(self, execution: Execution, value: Any) -> None:
        machine = execution.machine
        trail = Trail(execution.history)
        trail.add(
            "ExecutionStarted",
            {
                "executionStartedEventDetails": {
                    "input": execution.input_text,
                    "inputDetails": {"truncated": False},
                    "roleArn": machine.role_arn,
                }
            },
        )
        walk = Walk(
            run=Run(
                tasks=self.tasks,
                role_arn=machine.role_arn,
                region=self._config.region,
                execution_name=execution.name,
                stretch=self._stretch,
            ),
            trail=trail,
            scope=execution.scope,
            variables=Variables(),
            context=_context(execution, value),
        )
        try:
            output = run_program(walk, machine.definition, value)
        except StateError as error:
            self._failed(execution, trail, error)
        except Aborted:
            details = _present(error=execution.error, cause=execution.cause)
            trail.add("ExecutionAborted", {"executionAbortedEventDetails": details})
            self._end(execution, "ABORTED")
        except TimedOut:
            trail.add("ExecutionTimedOut", {"executionTimedOutEventDetails": {}})
            self._end(execution, "TIMED_OUT")
        except HistoryFull:
            cause = f"The execution reached the maximum number of history events ({MOST_EVENTS})."
            self._failed(execution, trail, StateError(errors.RUNTIME, cause))
        except BaseException as error:
            log.exception("the interpreter failed in %s", execution.arn)
            self._failed(execution, trail, StateError(errors.RUNTIME, repr(error)))
        else:
            execution.output_text = compact(output)
            details = {"output": execution.output_text, "outputDetails": {"truncated": False}}
            trail.add("ExecutionSucceeded", {"executionSucceededEventDetails": details})
            self._end(execution, "SUCCEEDED")

    def _failed(self, execution: Execution, trail: Trail, error: StateError) -> None:
        cause = error.cause
        if error.error in (errors.RUNTIME, errors.QUERY, errors.NO_CHOICE) and hasattr(
            error, "state"
        ):
            cause = decorated(cause, error.state, error.entered)
        execution.error, execution.cause = error.error, cause
        details = _present(error=error.error or None, cause=cause or None)
        trail.add("ExecutionFailed", {"executionFailedEventDetails": details})
        self._end(execution, "FAILED")

    def _end(self, execution: Execution, status: str) -> None:
        with self.lock:
            execution.status = status
            execution.stopped_at = dt.datetime.now(dt.UTC)
        execution.ended.set()
        self._announce(execution)

    def _announce(self, execution: Execution) -> None:
        """https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html"""

        def millis(moment: dt.datetime | None) -> int | None:
            return None if moment is None else int(moment.timestamp() * 1000)

        self._bus.emit(
            "aws.states",
            "Step Functions Execution Status Change",
            [execution.arn],
            {
                "executionArn": execution.arn,
                "stateMachineArn": execution.machine.arn,
                "name": execution.name,
                "status": execution.status,
                "startDate": millis(execution.started_at),
                "stopDate": millis(execution.stopped_at),
                "input": execution.input_text,
                "inputDetails": {"included": True},
                "output": execution.output_text,
                "outputDetails": None if execution.output_text is None else {"included": True},
                "error": execution.error,
                "cause": execution.cause,
            },
        )


def _parsed(text: str) -> Any:
    if len(text.encode()) > LARGEST_INPUT:
        raise ApiError("InvalidExecutionInput", "The input is larger than 256 KiB", 400)
    try:
        return json.loads(text)
    except ValueError as error:
        raise ApiError(
            "InvalidExecutionInput", f"Invalid State Machine Execution Input: '{error}'", 400
        ) from error


def _context(execution: Execution, value: Any) -> dict[str, Any]:
    return {
        "Execution": {
            "Id": execution.arn,
            "Input": value,
            "Name": execution.name,
            "RoleArn": execution.machine.role_arn,
            "StartTime": stamp(execution.started_at),
            "RedriveCount": 0,
        },
        "StateMachine": {"Id": execution.machine.arn, "Name": execution.machine.name},
    }


def _present(**members: Any) -> dict[str, Any]:
    return {key: value for key, value in members.items() if value is not None}
