"""EventBridge: which events reach which target, in which form, and where the failed ones go."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from aws_support import Aws, aws, single, until  # noqa: F401
from world.aws.events import schedules, transform

EVENT = {
    "id": "1",
    "detail-type": "T",
    "source": "test",
    "time": "2026-01-01T00:00:00Z",
    "detail": {"name": 'a "quoted" name', "n": 5, "list": [1, 2], "inner": {"x": None}},
}
RULE = {"arn": "arn:rule", "name": "rule"}


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ({}, json.dumps(EVENT, separators=(",", ":"))),
        ({"Input": '{"a":1}'}, '{"a":1}'),
        ({"InputPath": "$.detail.list[1]"}, "2"),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {"n": "$.detail.n", "who": "$.detail.name"},
                    "InputTemplate": '{"count": <n>, "who": <who>, "text": "is <who>: <n>"}',
                }
            },
            '{"count": 5, "who": "a \\"quoted\\" name", "text": "is a \\"quoted\\" name: 5"}',
        ),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {},
                    "InputTemplate": '{"r": <aws.events.rule-name>}',
                }
            },
            '{"r": "rule"}',
        ),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {"n": "$.detail.n"},
                    "InputTemplate": "there are <n>",
                }
            },
            '"there are 5"',
        ),
    ],
)
def test_a_target_gets_the_event_or_what_is_made_of_it(target, text):
    assert transform.target_input(target, EVENT, RULE) == text


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [("rate(5 minutes)", 300), ("rate(1 hour)", 3600), ("cron(0 0 * * ? *)", None)],
)
def test_rates_are_read(expression, seconds):
    assert schedules.interval_seconds(expression) == seconds


class Listening:
    """A rule with a queue as its target, and what has come into the queue."""

    def __init__(self, aws: Aws, pattern: dict, policy: bool = True, **target):
        self.aws = aws
        self.name = f"listening-{uuid.uuid4().hex[:8]}"
        self.url, self.arn = queue(aws, self.name)
        events = aws.client("events")
        rule = events.put_rule(Name=self.name, EventPattern=json.dumps(pattern))["RuleArn"]
        if policy:
            allow(aws, self.url, self.arn, rule)
        events.put_targets(Rule=self.name, Targets=[{"Id": "queue", "Arn": self.arn} | target])

    def heard(self) -> list:
        answer = self.aws.client("sqs").receive_message(QueueUrl=self.url, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in answer.get("Messages", [])]

    def hears(self, count: int = 1) -> list:
        found: list = []

        def enough() -> bool:
            found.extend(self.heard())
            return len(found) >= count

        until(enough)
        return found


def queue(aws: Aws, name: str) -> tuple[str, str]:
    url = aws.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    return url, f"arn:aws:sqs:us-west-2:123456789012:{name}"


def allow(aws: Aws, url: str, arn: str, rule: str) -> None:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    aws.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})


def put(aws: Aws, detail_type: str, **detail) -> dict:
    entry = {"Source": "tidegate", "DetailType": detail_type, "Detail": json.dumps(detail)}
    return aws.client("events").put_events(Entries=[entry])


def unique() -> str:
    return f"Type {uuid.uuid4().hex[:8]}"


def test_an_event_arrives_with_account_region_time_and_id(aws):
    kind = unique()
    listening = Listening(aws, {"detail-type": [kind]})
    answer = put(aws, kind, a=1)
    (event,) = listening.hears()
    assert event["id"] == answer["Entries"][0]["EventId"]
    assert (event["account"], event["region"]) == ("123456789012", "us-west-2")
    assert (event["version"], event["source"], event["detail"]) == ("0", "tidegate", {"a": 1})
    time.strptime(event["time"], "%Y-%m-%dT%H:%M:%SZ")


def test_a_rule_gets_only_what_its_pattern_wants(aws):
    kind = unique()
    pattern = {"detail-type": [kind], "detail": {"group": ["a", {"prefix": "nvme-"}]}}
    listening = Listening(aws, pattern)
    for group in ("b", "nvme-1", "a"):
        put(aws, kind, group=group)
    assert sorted(e["detail"]["group"] for e in listening.hears(2)) == ["a", "nvme-1"]
    time.sleep(0.1)
    assert listening.heard() == []


def test_a_disabled_rule_hears_nothing(aws):
    kind = unique()
    listening = Listening(aws, {"detail-type": [kind]})
    aws.client("events").disable_rule(Name=listening.name)
    put(aws, kind)
    time.sleep(0.2)
    assert listening.heard() == []
    aws.client("events").enable_rule(Name=listening.name)
    put(aws, kind)
    listening.hears()


def test_a_queue_without_a_policy_gets_nothing(aws):
    kind = unique()
    listening = Listening(aws, {"detail-type": [kind]}, policy=False)
    put(aws, kind)
    time.sleep(0.2)
    assert listening.heard() == []


def test_bad_entries_are_refused_one_by_one(aws):
    entries = [
        {"Source": "tidegate", "DetailType": "Fine", "Detail": "{}"},
        {"Source": "aws.autoscaling", "DetailType": "Forged", "Detail": "{}"},
        {"Source": "tidegate", "DetailType": "Broken", "Detail": "not json"},
        {"Source": "tidegate", "DetailType": "NoDetail"},
    ]
    answer = aws.client("events").put_events(Entries=entries)
    assert answer["FailedEntryCount"] == 3
    assert [entry.get("ErrorCode") for entry in answer["Entries"]] == [
        None,
        "NotAuthorizedForSourceException",
        "MalformedDetail",
        "InvalidArgument",
    ]


MACHINE = single({"Type": "Pass", "End": True})


def starter(aws: Aws, kind: str, machine: str, role: str, dead: tuple[str, str]) -> str:
    name = f"starter-{uuid.uuid4().hex[:8]}"
    events = aws.client("events")
    rule = events.put_rule(Name=name, EventPattern=json.dumps({"detail-type": [kind]}))["RuleArn"]
    allow(aws, *dead, rule)
    target = {"Id": "m", "Arn": machine, "RoleArn": role, "DeadLetterConfig": {"Arn": dead[1]}}
    events.put_targets(Rule=name, Targets=[target])
    return rule


START = {"Effect": "Allow", "Action": "states:StartExecution", "Resource": "*"}


def executions(aws: Aws, machine: str) -> list[dict]:
    return aws.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"]


def test_an_event_starts_an_execution_with_itself_as_the_input(aws):
    kind, machine = unique(), aws.machine(MACHINE)
    role = aws.role("events.amazonaws.com", START)
    starter(aws, kind, machine, role, queue(aws, f"dead-{uuid.uuid4().hex[:6]}"))
    put(aws, kind, a=1)
    (execution,) = until(lambda: executions(aws, machine))
    given = json.loads(aws.ended(execution["executionArn"])["input"])
    assert (given["detail-type"], given["detail"]) == (kind, {"a": 1})
    call = next(c for c in reversed(aws.calls()) if c["action"] == "StartExecution")
    assert call["source"] == "events"


@pytest.mark.parametrize("fault", ["no machine", "no permission", "no trust"])
def test_what_cannot_be_started_goes_to_the_dead_letter_queue(aws, fault):
    kind, machine = unique(), aws.machine(MACHINE)
    if fault == "no machine":
        machine += "-gone"
    role = aws.role(
        "ec2.amazonaws.com" if fault == "no trust" else "events.amazonaws.com",
        *([] if fault == "no permission" else [START]),
    )
    dead = queue(aws, f"dead-{uuid.uuid4().hex[:6]}")
    rule = starter(aws, kind, machine, role, dead)
    put(aws, kind, a=1)

    def received() -> list:
        answer = aws.client("sqs").receive_message(QueueUrl=dead[0], MessageAttributeNames=["All"])
        return answer.get("Messages", [])

    (message,) = until(received)
    assert json.loads(message["Body"])["detail"] == {"a": 1}
    attributes = {k: v["StringValue"] for k, v in message["MessageAttributes"].items()}
    assert attributes["RULE_ARN"] == rule
    assert attributes["TARGET_ARN"] == machine
    wanted = "StateMachineDoesNotExist" if fault == "no machine" else "NO_PERMISSIONS"
    assert attributes["ERROR_CODE"] == wanted


def redriven(aws: Aws, tools: Path, url: str) -> subprocess.CompletedProcess:
    environment = os.environ | {
        "PATH": f"{tools}/bin:{os.environ['PATH']}",
        "AWS_ENDPOINT_URL": aws.url,
        "AWS_DEFAULT_REGION": "us-west-2",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }
    script = Path(__file__).resolve().parents[2] / "redrive.py"
    return subprocess.run(
        [sys.executable, script, url], env=environment, capture_output=True, text=True
    )


def undelivered(aws: Aws) -> tuple[str, str, str]:
    """An event that went to the dead-letter queue, as the rule's role had no right: queue, machine, role."""
    kind, machine = unique(), aws.machine(MACHINE)
    role = aws.role("events.amazonaws.com")
    url, arn = queue(aws, f"dead-{uuid.uuid4().hex[:6]}")
    starter(aws, kind, machine, role, (url, arn))
    put(aws, kind, a=1)
    until(lambda: waiting(aws, url) == 1)
    return url, machine, kind


def waiting(aws: Aws, url: str) -> int:
    """Messages in the queue, shown and hidden."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    told = aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=names)
    return sum(int(told["Attributes"][name]) for name in names)


def test_a_redrive_starts_the_undelivered_event_and_empties_the_queue(aws, tools):
    url, machine, kind = undelivered(aws)
    done = redriven(aws, tools, url)
    assert done.returncode == 0, done.stderr
    (execution,) = executions(aws, machine)
    event = json.loads(aws.ended(execution["executionArn"])["input"])
    assert (event["detail-type"], event["detail"]) == (kind, {"a": 1})
    assert execution["name"] == f"redriven-{event['id']}"
    assert waiting(aws, url) == 0


def test_an_event_whose_machine_is_gone_stays_in_the_queue(aws, tools):
    url, machine, _ = undelivered(aws)
    aws.client("stepfunctions").delete_state_machine(stateMachineArn=machine)
    done = redriven(aws, tools, url)
    assert done.returncode == 1
    assert "StateMachineDoesNotExist" in done.stderr
    assert waiting(aws, url) == 1


@pytest.fixture
def faults(aws):
    yield lambda **given: aws.admin("POST", "events", given)
    aws.admin("POST", "events", {"reset": True})


def test_events_can_be_made_to_come_twice(aws, faults):
    kind = unique()
    listening = Listening(aws, {"detail-type": [kind]})
    faults(duplicate=True, pattern={"detail-type": [kind]}, count=1)
    put(aws, kind, n=1)
    first, second = listening.hears(2)
    assert first["id"] == second["id"]
    put(aws, kind, n=2)
    (third,) = listening.hears()
    assert third["detail"] == {"n": 2}


def test_events_can_be_made_to_be_lost(aws, faults):
    kind = unique()
    listening = Listening(aws, {"detail-type": [kind]})
    faults(drop=True, pattern={"detail-type": [kind]}, count=1)
    put(aws, kind, n=1)
    put(aws, kind, n=2)
    assert [event["detail"]["n"] for event in listening.hears()] == [2]


def test_events_can_be_held_back_and_released(aws, faults):
    kind = unique()
    listening = Listening(aws, {"detail-type": [kind]})
    faults(hold=True, pattern={"detail-type": [kind]})
    put(aws, kind, n=1)
    time.sleep(0.2)
    assert listening.heard() == []
    assert faults(release=True) == {"faults": [], "held": 0}
    assert [event["detail"]["n"] for event in listening.hears()] == [1]


def test_a_schedule_can_be_fired_at_once(aws):
    machine = aws.machine(MACHINE)
    role = aws.role("scheduler.amazonaws.com", START)
    name = f"schedule-{uuid.uuid4().hex[:6]}"
    aws.client("scheduler").create_schedule(
        Name=name,
        ScheduleExpression="rate(5 minutes)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": machine, "RoleArn": role, "Input": '{"by": "schedule"}'},
    )
    assert aws.admin("POST", f"schedules/{name}/fire") == {"fired": True}
    (execution,) = until(lambda: executions(aws, machine))
    assert json.loads(aws.ended(execution["executionArn"])["input"]) == {"by": "schedule"}


def test_a_schedule_in_the_past_fires_by_itself_once(aws):
    machine = aws.machine(MACHINE)
    role = aws.role("scheduler.amazonaws.com", START)
    aws.client("scheduler").create_schedule(
        Name=f"schedule-{uuid.uuid4().hex[:6]}",
        ScheduleExpression="at(2020-01-01T00:00:00)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": machine, "RoleArn": role, "Input": "{}"},
    )
    until(lambda: executions(aws, machine), seconds=5)
    time.sleep(1.2)
    assert len(executions(aws, machine)) == 1


def test_a_scheduled_rule_sends_the_scheduled_event(aws):
    name = f"scheduled-{uuid.uuid4().hex[:6]}"
    url, arn = queue(aws, name)
    events = aws.client("events")
    rule = events.put_rule(Name=name, ScheduleExpression="rate(1 minute)")["RuleArn"]
    allow(aws, url, arn, rule)
    events.put_targets(Rule=name, Targets=[{"Id": "q", "Arn": arn}])
    put(aws, unique())
    aws.admin("POST", f"schedules/{name}/fire")

    def received() -> list:
        return aws.client("sqs").receive_message(QueueUrl=url).get("Messages", [])

    (message,) = until(received)
    body = json.loads(message["Body"])
    assert (body["detail-type"], body["source"]) == ("Scheduled Event", "aws.events")
    assert body["resources"] == [rule]
