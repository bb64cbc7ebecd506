"""Errors inside an execution, and which of them a Retry or a Catch names."""

from __future__ import annotations

TIMEOUT = "States.Timeout"
HEARTBEAT_TIMEOUT = "States.HeartbeatTimeout"
TASK_FAILED = "States.TaskFailed"
RUNTIME = "States.Runtime"
DATA_LIMIT = "States.DataLimitExceeded"
QUERY = "States.QueryEvaluationError"
NO_CHOICE = "States.NoChoiceMatched"
ALL = "States.ALL"
EXCEEDED_TOLERATED = "States.ExceedToleratedFailureThreshold"

# "States.ALL ... can't catch the States.DataLimitExceeded terminal error or States.Runtime errors."
TERMINAL = {RUNTIME, DATA_LIMIT}


class StateError(Exception):
    """A state failed with an error name and a cause, both as a Catch sees them."""

    def __init__(self, error: str, cause: str = ""):
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause

    @property
    def output(self) -> dict[str, str]:
        return {"Error": self.error, "Cause": self.cause}


class EvaluationFailed(StateError):
    """A JSONata expression failed; `location` is its field."""

    def __init__(self, cause: str, location: str):
        super().__init__(QUERY, cause)
        self.location = location


class Aborted(BaseException):
    """StopExecution. Not an error that a state can handle."""


class TimedOut(BaseException):
    """The machine's own TimeoutSeconds. Not an error that a state can handle."""


class BranchStopped(BaseException):
    """Another branch of the same Parallel or Map failed."""


def matches(names: list[str], error: str) -> bool:
    """Whether an ErrorEquals list names this error."""
    if error in names:
        return True
    if TIMEOUT in names and error == HEARTBEAT_TIMEOUT:
        return True
    if error in TERMINAL:
        return False
    return ALL in names or (TASK_FAILED in names and error != TIMEOUT)
