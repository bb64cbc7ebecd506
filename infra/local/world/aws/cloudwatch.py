"""Log lines and embedded metrics into moto's CloudWatch, as the services deliver them."""

from __future__ import annotations

import datetime as dt
import threading
import time
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.logs.models import logs_backends

from .config import Config


class CloudWatch:
    def __init__(self, config: Config):
        self._config = config
        self._lock = threading.Lock()

    def log(self, group: str, stream: str, messages: list[str], make_group: bool) -> None:
        """Appends messages. Without `make_group` a missing group swallows them, as on AWS."""
        backend = logs_backends[self._config.account][self._config.region]
        with self._lock:
            if group not in backend.groups:
                if not make_group:
                    return
                backend.create_log_group(group, {})
            if stream not in backend.groups[group].streams:
                backend.create_log_stream(group, stream)
            now = int(time.time() * 1000)
            events = [{"timestamp": now, "message": message} for message in messages]
            backend.put_log_events(group, stream, events)

    def log_execution(self, group: str, stream: str, machine: str, message: str) -> None:
        """A line of a state machine's log; `logs/state-machines` has it as well, for whoever looks without AWS."""
        path = self._config.logs / "state-machines" / f"{machine}.log"
        with self._lock:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a") as file:
                file.write(message + "\n")
        self.log(group, stream, [message], make_group=False)

    def embedded_metrics(self, entry: dict[str, Any]) -> None:
        """CloudWatch embedded metric format: a log entry with an `_aws` member."""
        backend = cloudwatch_backends[self._config.account][self._config.region]
        stamp = entry["_aws"].get("Timestamp", time.time() * 1000)
        when = dt.datetime.fromtimestamp(stamp / 1000, dt.UTC).replace(tzinfo=None)
        for directive in entry["_aws"].get("CloudWatchMetrics", []):
            data = [
                {
                    "MetricName": metric["Name"],
                    "Unit": metric.get("Unit", "None"),
                    "Value": float(value),
                    "Dimensions": [
                        {"Name": name, "Value": str(entry[name])} for name in names if name in entry
                    ],
                    "Timestamp": when,
                }
                for names in directive.get("Dimensions") or [[]]
                for metric in directive.get("Metrics", [])
                for value in _values(entry.get(metric["Name"]))
            ]
            if data:
                backend.put_metric_data(directive["Namespace"], data)


def _values(value: Any) -> list[float]:
    values = value if isinstance(value, list) else [value]
    return [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
