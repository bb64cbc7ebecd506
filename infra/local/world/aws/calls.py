"""`aws-calls.jsonl`: one line for every AWS call, which is what the benchmark counts."""

from __future__ import annotations

import datetime as dt
import json
import threading
from pathlib import Path

from .identity import Principal


class CallLog:
    def __init__(self, path: Path):
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", buffering=1)

    def record(self, service: str, action: str, principal: Principal, status: int) -> None:
        """`status` is the HTTP status that the caller saw."""
        line = json.dumps(
            {
                "time": dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
                "service": service,
                "action": action,
                "principal": principal.arn,
                "status": status,
                "source": principal.source,
            }
        )
        with self._lock:
            if not self._file.closed:
                self._file.write(line + "\n")

    def close(self) -> None:
        with self._lock:
            self._file.close()
