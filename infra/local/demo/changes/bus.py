"""Events on the default bus that matter to the story, from the world's `events.jsonl`."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from ..events import Event, Source, Tone

_AUTO_SCALING = {
    "EC2 Instance-launch Lifecycle Action": ("launch-action", "launch event: hook {LifecycleHookName} waits for an answer"),
    "EC2 Instance-terminate Lifecycle Action": ("terminate-action", "terminate event: hook {LifecycleHookName} waits for an answer"),
    "EC2 Instance Launch Unsuccessful": ("launch-unsuccessful", "launch unsuccessful: {StatusMessage}"),
}


def event(line: str) -> Event | None:
    """What a line of the file tells; none where it is nothing of the story's."""
    record: dict[str, Any] = json.loads(line)
    told, at = record["event"], datetime.fromisoformat(record["time"]).timestamp()
    detail = told["detail"]
    if told["source"] == "tidegate":
        outcome, reason = detail.get("outcome", "?"), detail.get("reason", "")
        good = outcome in ("joined", "drained", "consistent")
        text = f"{told['detail-type']}: {outcome}, after {detail.get('seconds', '?')} s: {reason}"
        key = f"outcome-event/{outcome}"
        tone = Tone.GOOD if good else Tone.PLAIN if outcome == "drifted" else Tone.BAD
        return Event(at, Source.BUS, key, text, detail.get("instanceId", ""), tone)
    if told["source"] == "aws.autoscaling" and told["detail-type"] in _AUTO_SCALING:
        key, words = _AUTO_SCALING[told["detail-type"]]
        tone = Tone.BAD if key == "launch-unsuccessful" else Tone.PLAIN
        return Event(at, Source.BUS, f"bus/{key}", words.format_map(detail), detail.get("EC2InstanceId", ""), tone)
    return None


def outcome(line: str) -> dict[str, Any] | None:
    """The detail of an outcome event of ours, with its `detail-type`."""
    told = json.loads(line)["event"]
    return {"detail-type": told["detail-type"], **told["detail"]} if told["source"] == "tidegate" else None
