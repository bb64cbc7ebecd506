"""What is kept of functions that run: log files, CloudWatch logs and metrics, the invocation list."""

from __future__ import annotations

import datetime as dt
import json
import logging
import threading
import time
from pathlib import Path
from typing import Any, TextIO

from moto.cloudwatch.models import cloudwatch_backends
from moto.logs.models import logs_backends

from ..config import Config
from .environment import Deployed

log = logging.getLogger(__name__)


class Records:
    def __init__(self, config: Config):
        self._config = config
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

    def lines(self, function: Deployed, stream: str, lines: list[str]) -> None:
        """Appends to the function's file, to its log group, and reads metrics out of EMF lines."""
        with self._lock:
            file = self._file(function.name)
            for line in lines:
                file.write(line + "\n")
        try:
            self._to_cloudwatch(function.log_group, stream, lines)
            for line in lines:
                if line.startswith("{") and '"_aws"' in line:
                    self._metrics(json.loads(line))
        except Exception:
            log.exception("a line of %s did not reach CloudWatch", function.name)

    def _file(self, name: str) -> TextIO:
        if name not in self._files:
            path = self._config.logs / "functions" / f"{name}.log"
            path.parent.mkdir(parents=True, exist_ok=True)
            self._files[name] = path.open("a", buffering=1)
        return self._files[name]

    def _to_cloudwatch(self, group: str, stream: str, lines: list[str]) -> None:
        backend = logs_backends[self._config.account][self._config.region]
        with self._lock:
            if group not in backend.groups:
                backend.create_log_group(group, {})
            if stream not in backend.groups[group].streams:
                backend.create_log_stream(group, stream)
            now = int(time.time() * 1000)
            events = [{"timestamp": now, "message": line} for line in lines]
            backend.put_log_events(group, stream, events)

    def _metrics(self, entry: dict[str, Any]) -> None:
        """CloudWatch embedded metric format."""
        backend = cloudwatch_backends[self._config.account][self._config.region]
        stamp = entry["_aws"].get("Timestamp", time.time() * 1000)
        when = dt.datetime.fromtimestamp(stamp / 1000, dt.UTC).replace(tzinfo=None)
        for directive in entry["_aws"].get("CloudWatchMetrics", []):
            data = []
            for names in directive.get("Dimensions") or [[]]:
                dimensions = [{"Name": n, "Value": str(entry[n])} for n in names if n in entry]
                for metric in directive.get("Metrics", []):
                    values = entry.get(metric["Name"])
                    for value in values if isinstance(values, list) else [values]:
                        if isinstance(value, int | float):
                            data.append(
                                {
                                    "MetricName": metric["Name"],
                                    "Unit": metric.get("Unit", "None"),
                                    "Value": float(value),
                                    "Dimensions": dimensions,
                                    "Timestamp": when,
                                }
                            )
            if data:
                backend.put_metric_data(directive["Namespace"], data)

    def close(self) -> None:
        with self._lock:
            self._invocations.close()
            for file in self._files.values():
                file.close()
