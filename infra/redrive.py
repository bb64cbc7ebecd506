#!/usr/bin/env python3
"""Starts the executions of events that reached no state machine, and takes the events out of the queue.

    infra/redrive.py QUEUE_URL

QUEUE_URL is the stack's output UndeliveredEventsUrl. SQS itself moves messages only back to queues
(`start-message-move-task` refuses the dead-letter queue of a rule), so each event is started here, with the right of
the caller, at the target that EventBridge noted beside it. The execution is named after event and machine: run twice,
or beside a late delivery of a second run, it starts nothing twice. An event leaves the queue only when its execution
has begun. Needs the AWS CLI and sqs:ReceiveMessage, sqs:DeleteMessage, states:StartExecution.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

# Long enough for one batch of ten to be started before SQS shows the same messages to somebody else.
_HIDDEN_SECONDS = "120"


class CallFailed(Exception):
    """The AWS CLI refused; the message is what it said."""


def aws(*arguments: str) -> Any:
    # Version 1 of the CLI heeds this variable for every service but SQS.
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    where = ["--endpoint-url", endpoint] if endpoint else []
    done = subprocess.run(["aws", *arguments, *where, "--output", "json"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise CallFailed(done.stderr.strip())
    return json.loads(done.stdout) if done.stdout.strip() else {}


def redrive(message: dict[str, Any]) -> str:
    """Starts one event's execution; answers what to tell. Raises CallFailed, or KeyError for a foreign message."""
    target = message["MessageAttributes"]["TARGET_ARN"]["StringValue"]
    event = json.loads(message["Body"])
    name = f"redriven-{event['id']}"
    told = f"{event['detail-type']} of {event['time']}: {name}"
    try:
        aws("stepfunctions", "start-execution", "--state-machine-arn", target, "--name", name, "--input", message["Body"])
    except CallFailed as error:
        if "ExecutionAlreadyExists" not in str(error):
            raise
        return f"{told} has been started before"
    return f"{told} started"


def main() -> int:
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__, file=sys.stderr)
        return 2
    queue, left = sys.argv[1], 0
    receive = ["--max-number-of-messages", "10", "--visibility-timeout", _HIDDEN_SECONDS, "--message-attribute-names", "All"]
    while messages := aws("sqs", "receive-message", "--queue-url", queue, *receive).get("Messages", []):
        for message in messages:
            try:
                print(redrive(message))
            except (CallFailed, KeyError, ValueError) as error:
                left += 1
                print(f"left in the queue: {message['MessageId']}: {error!r}", file=sys.stderr)
                continue
            aws("sqs", "delete-message", "--queue-url", queue, "--receipt-handle", message["ReceiptHandle"])
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
