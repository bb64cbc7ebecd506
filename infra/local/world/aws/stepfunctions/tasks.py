"""What Task states call, each in a thread of its own so that a timeout or a stop can leave it."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from typing import Any, Protocol

from ..lambda_service.invocation import Answer, Refused
from .errors import TIMEOUT, StateError
from .history import compact
from .interpreter import Walk
from .resources import Resource
from .sdk import Sdk

log = logging.getLogger(__name__)


class Functions(Protocol):
    def invoke_as(
        self, role_arn: str, session: str, function: str, qualifier: str | None, payload: bytes
    ) -> Answer: ...


class Executions(Protocol):
    def start_and_wait(
        self, walk: Walk, arguments: dict[str, Any], parse_output: bool
    ) -> dict[str, Any]: ...


class TaskRunner:
    def __init__(self, functions: Functions, sdk: Sdk, executions: Executions):
        self._functions = functions
        self._sdk = sdk
        self._executions = executions

    def call(self, walk: Walk, resource: Resource, arguments: Any, timeout: float | None) -> Any:
        """The task's result. Raises StateError; the history gets the task's events."""
        events = _FunctionEvents if resource.kind == "function" else _TaskEvents
        told = events(walk, resource)
        told.scheduled(arguments, timeout)
        try:
            result = leaveable(walk, lambda: self._do(walk, resource, arguments), timeout)
        except StateError as error:
            told.failed(error)
            raise
        told.succeeded(result)
        return result

    def _do(self, walk: Walk, resource: Resource, arguments: Any) -> Any:
        match resource.kind:
            case "function":
                return self._invoke(walk, resource.arn, None, arguments).result()
            case "lambda":
                return self._lambda(walk, arguments)
            case "execution":
                parse_output = resource.resource.endswith("sync:2")
                return self._executions.start_and_wait(walk, arguments, parse_output)
            case _:
                return self._sdk.call(
                    resource, arguments, walk.run.role_arn, walk.run.execution_name
                )

    def _lambda(self, walk: Walk, arguments: dict[str, Any]) -> Any:
        name = arguments.get("FunctionName", "")
        answer = self._invoke(walk, name, arguments.get("Qualifier"), arguments.get("Payload", {}))
        return {
            "ExecutedVersion": "$LATEST",
            "Payload": answer.result(),
            "SdkHttpMetadata": {"HttpStatusCode": 200},
            "SdkResponseMetadata": {"RequestId": answer.request_id},
            "StatusCode": 200,
        }

    def _invoke(self, walk: Walk, name: str, qualifier: str | None, payload: Any) -> _Success:
        run = walk.run
        try:
            answer = self._functions.invoke_as(
                run.role_arn, run.execution_name, name, qualifier, compact(payload).encode()
            )
        except Refused as refused:
            raise StateError(f"Lambda.{refused.code}", refused.cause) from refused
        if answer.error is not None:
            raise function_error(answer)
        return _Success(answer)


class _Success:
    def __init__(self, answer: Answer):
        self.request_id = answer.request_id
        self._payload = answer.payload

    def result(self) -> Any:
        try:
            return json.loads(self._payload)
        except ValueError as error:
            raise StateError(
                "Lambda.Unknown", f"the function's answer is no JSON: {error}"
            ) from error


def function_error(answer: Answer) -> StateError:
    """Error is what the function calls its error, Cause is the whole error payload as text."""
    text = answer.payload.decode(errors="replace")
    try:
        kind = json.loads(text).get("errorType")
    except (ValueError, AttributeError):
        kind = None
    if not kind:
        return StateError(
            "Lambda.Unknown",
            "The cause could not be determined because Lambda did not return an error type. "
            f"Returned payload: {text}",
        )
    return StateError(kind, text)


def leaveable(walk: Walk, call: Callable[[], Any], timeout: float | None) -> Any:
    """The call's result, unless the timeout or the scope's end comes first; the call runs on."""
    done = threading.Event()
    outcome: list[tuple[bool, Any]] = []

    def run() -> None:
        try:
            outcome.append((True, call()))
        except StateError as error:
            outcome.append((False, error))
        except Exception as error:
            log.exception("a task broke in the interpreter")
            outcome.append(
                (False, StateError("States.Runtime", f"{type(error).__name__}: {error}"))
            )
        finally:
            done.set()

    threading.Thread(target=run, name="task", daemon=True).start()
    if not walk.scope.wait(done, timeout):
        raise StateError(TIMEOUT)
    good, value = outcome[0]
    if not good:
        raise value
    return value


class _TaskEvents:
    def __init__(self, walk: Walk, resource: Resource):
        self._trail = walk.trail
        self._region = walk.run.region
        self._what = {"resource": resource.resource, "resourceType": resource.resource_type}

    def _add(self, kind: str, **details: Any) -> None:
        name = kind[0].lower() + kind[1:] + "EventDetails"
        present = {key: value for key, value in details.items() if value is not None}
        self._trail.add(kind, {name: self._what | present})

    def scheduled(self, arguments: Any, timeout: float | None) -> None:
        self._add(
            "TaskScheduled",
            region=self._region,
            parameters=compact(arguments),
            timeoutInSeconds=int(timeout) if timeout else None,
        )
        self._add("TaskStarted")

    def succeeded(self, result: Any) -> None:
        self._add("TaskSucceeded", output=compact(result), outputDetails={"truncated": False})

    def failed(self, error: StateError) -> None:
        kind = "TaskTimedOut" if error.error == TIMEOUT else "TaskFailed"
        self._add(kind, error=error.error, cause=error.cause or None)


class _FunctionEvents:
    def __init__(self, walk: Walk, resource: Resource):
        self._trail = walk.trail
        self._arn = resource.arn

    def scheduled(self, arguments: Any, timeout: float | None) -> None:
        details: dict[str, Any] = {
            "resource": self._arn,
            "input": compact(arguments),
            "inputDetails": {"truncated": False},
        }
        if timeout:
            details["timeoutInSeconds"] = int(timeout)
        self._trail.add("LambdaFunctionScheduled", {"lambdaFunctionScheduledEventDetails": details})
        self._trail.add("LambdaFunctionStarted")

    def succeeded(self, result: Any) -> None:
        details = {"output": compact(result), "outputDetails": {"truncated": False}}
        self._trail.add("LambdaFunctionSucceeded", {"lambdaFunctionSucceededEventDetails": details})

    def failed(self, error: StateError) -> None:
        kind = "TimedOut" if error.error == TIMEOUT else "Failed"
        details = {"error": error.error, "cause": error.cause}
        self._trail.add(f"LambdaFunction{kind}", {f"lambdaFunction{kind}EventDetails": details})
