"""What goes into an invocation and what comes out of it."""

from __future__ import annotations

import json
import threading
import time
import uuid
from dataclasses import dataclass, field

UNHANDLED = "Unhandled"


@dataclass(frozen=True)
class Answer:
    request_id: str
    payload: bytes
    error: str | None = None
    """The FunctionError header: `Unhandled` when the payload describes an error."""
    log_tail: bytes = b""


class Refused(Exception):
    """The service did not run the function (throttled, unknown, not allowed)."""

    def __init__(self, code: str, message: str, status: int, reason: str | None = None):
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.reason = reason
        self.request_id = str(uuid.uuid4())

    @property
    def cause(self) -> str:
        """As Step Functions words it."""
        return (
            f"{self.message} (Service: Lambda, Status Code: {self.status}, "
            f"Request ID: {self.request_id})"
        )


def error_payload(kind: str, message: str) -> bytes:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


@dataclass
class Invocation:
    """One invocation on its way through an environment. Times are monotonic seconds."""

    payload: bytes
    timeout: float
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    trace_id: str = field(
        default_factory=lambda: (
            f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};"
            f"Parent={uuid.uuid4().hex[:16]};Sampled=0"
        )
    )
    started: float = 0.0
    deadline_millis: int = 0
    finished: threading.Event = field(default_factory=threading.Event)
    answer: Answer | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> None:
        self.started = time.monotonic()
        self.deadline_millis = int((time.time() + self.timeout) * 1000)

    def succeed(self, payload: bytes) -> bool:
        return self._finish(Answer(self.request_id, payload))

    def fail(self, payload: bytes) -> bool:
        return self._finish(Answer(self.request_id, payload, UNHANDLED))

    def crash(self, kind: str, what: str) -> bool:
        """The runtime, not the function, has failed: `RequestId: ... Error: what`."""
        return self.fail(error_payload(kind, f"RequestId: {self.request_id} Error: {what}"))

    def _finish(self, answer: Answer) -> bool:
        with self._lock:
            if self.answer is not None:
                return False
            self.answer = answer
        self.finished.set()
        return True
