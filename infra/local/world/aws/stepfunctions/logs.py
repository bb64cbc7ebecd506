"""What a state machine's logging configuration delivers to CloudWatch Logs.

https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
"""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Callable
from typing import Any

from ..cloudwatch import CloudWatch
from .machines import Machine

log = logging.getLogger(__name__)

# The levels take in these words of an event's type; ALL takes everything.
WORDS = {
    "ERROR": ("Failed", "TimedOut", "Aborted"),
    "FATAL": ("ExecutionFailed", "ExecutionTimedOut"),
}
WORDS["FATAL"] += ("ExecutionAborted",)


def log_listener(
    cloudwatch: CloudWatch, machine: Machine, execution_arn: str, now: dt.datetime
) -> Callable[[dict[str, Any]], None] | None:
    """Writes each history event that the level wants; None when logging is off."""
    level = machine.logging.get("level", "OFF")
    destinations = machine.logging.get("destinations") or []
    if level == "OFF" or not destinations:
        return None
    arn = destinations[0]["cloudWatchLogsLogGroup"]["logGroupArn"]
    group = arn.split(":log-group:")[1].removesuffix(":*")
    stream = f"states/{machine.name}/{now:%Y-%m-%d-%H-%M}/{machine.revision[:8]}"
    with_data = bool(machine.logging.get("includeExecutionData"))

    def listen(event: dict[str, Any]) -> None:
        if level != "ALL" and not any(word in event["type"] for word in WORDS[level]):
            return
        details = next((v for k, v in event.items() if k.endswith("EventDetails")), {})
        if not with_data:
            details = {k: v for k, v in details.items() if k not in ("input", "output")}
        entry = {
            "id": str(event["id"]),
            "type": event["type"],
            "details": details,
            "redrive_count": "0",
            "previous_event_id": str(event["previousEventId"]),
            "event_timestamp": str(int(event["timestamp"].timestamp() * 1000)),
            "execution_arn": execution_arn,
        }
        try:
            cloudwatch.log_execution(group, stream, machine.name, json.dumps(entry))
        except Exception:
            log.exception("an event of %s was not logged", execution_arn)

    return listen
