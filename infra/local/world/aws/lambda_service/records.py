"""What is kept of functions that run: log files, CloudWatch logs and metrics, invocations."""

from __future__ import annotations

import datetime as dt
import json
import logging
import threading
import uuid
from typing import Any, TextIO

from ..authorization import Authorizer
from ..cloudwatch import CloudWatch
from ..config import Config
from .environment import Deployed
from .invocation import Answer

log = logging.getLogger(__name__)


class Records:
    def __init__(self, config: Config, cloudwatch: CloudWatch, authorizer: Authorizer):
        self._config = config
        self._cloudwatch = cloudwatch
        self._authorizer = authorizer
        self._lock = threading.Lock()
        self._files: dict[str, TextIO] = {}
        path = config.world / "lambda-invocations.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._invocations = path.open("a", buffering=1)

    def invocation(self, entry: dict[str, Any]) -> None:
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        with self._lock:
            if not self._invocations.closed:
                self._invocations.write(json.dumps({"time": now} | entry) + "\n")

    def stream(self, function: Deployed) -> LogStream:
        return LogStream(self, function)

    def line(self, function: Deployed, stream: LogStream, text: str) -> None:
        with self._lock:
            file = self._file(function.name)
            if not file.closed:
                file.write(text + "\n")
        if not stream.allowed:
            return
        try:
            self._cloudwatch.log(function.log_group, stream.name, [text], make_group=True)
            if text.startswith("{") and '"_aws"' in text:
                self._cloudwatch.embedded_metrics(json.loads(text))
        except Exception:
            log.exception("a line of %s did not reach CloudWatch", function.name)

    def may_log(self, function: Deployed, stream: str) -> bool:
        """Without its role's permission a function's lines go nowhere on AWS."""
        arn = f"arn:aws:logs:{self._config.region}:{self._config.account}:log-group:"
        resource = f"{arn}{function.log_group}:log-stream:{stream}"
        return self._authorizer.role_allows(function.role_arn, "logs:PutLogEvents", (resource,))

    def _file(self, name: str) -> TextIO:
        if name not in self._files:
            path = self._config.logs / "functions" / f"{name}.log"
            path.parent.mkdir(parents=True, exist_ok=True)
            self._files[name] = path.open("a", buffering=1)
        return self._files[name]

    def close(self) -> None:
        with self._lock:
            self._invocations.close()
            for file in self._files.values():
                file.close()


class LogStream:
    """The lines of one environment: the function's own, and what the platform says around them.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs.html
    """

    def __init__(self, records: Records, function: Deployed):
        self._records = records
        self._function = function
        own_group = function.log_group == f"/aws/lambda/{function.name}"
        prefix = "" if own_group else function.name
        day = dt.datetime.now(dt.UTC).strftime("%Y/%m/%d")
        self.name = f"{day}/{prefix}[$LATEST]{uuid.uuid4().hex}"
        self.allowed = records.may_log(function, self.name)

    def line(self, text: str) -> None:
        self._records.line(self._function, self, text)

    def started(self, request_id: str) -> None:
        if self._function.log_format == "JSON":
            self._platform("platform.start", {"requestId": request_id, "version": "$LATEST"})
        else:
            self.line(f"START RequestId: {request_id} Version: $LATEST")

    def ended(
        self, answer: Answer, duration: float, init: float | None, peak_kb: int | None
    ) -> None:
        """Times in milliseconds; `init` only for a cold start."""
        function = self._function
        used = None if peak_kb is None else -(-peak_kb // 1024)
        billed = -(-int(duration * 100) // 100)
        if function.log_format == "JSON":
            metrics = {
                "durationMs": round(duration, 3),
                "billedDurationMs": billed,
                "memorySizeMB": function.memory_mb,
                "maxMemoryUsedMB": used,
                "initDurationMs": None if init is None else round(init, 3),
            }
            record = {
                "requestId": answer.request_id,
                "metrics": {k: v for k, v in metrics.items() if v is not None},
                "status": "error" if answer.error else "success",
            }
            self._platform("platform.report", record)
            return
        self.line(f"END RequestId: {answer.request_id}")
        self.line(
            f"REPORT RequestId: {answer.request_id}\tDuration: {duration:.2f} ms\t"
            f"Billed Duration: {billed} ms\tMemory Size: {function.memory_mb} MB"
            + ("" if used is None else f"\tMax Memory Used: {used} MB")
            + ("" if init is None else f"\tInit Duration: {init:.2f} ms")
        )

    def _platform(self, kind: str, record: dict[str, Any]) -> None:
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.line(json.dumps({"time": now, "type": kind, "record": record}))
