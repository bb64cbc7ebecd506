"""One event's whole way: group, hook, bus, rule, state machine, function, completed hook."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
from aws_support import Aws, aws, until  # noqa: F401

LOOK = """
import boto3
def handle(event, context):
    detail = event["detail"]
    client = boto3.client("autoscaling")
    found = client.describe_auto_scaling_instances(InstanceIds=[detail["EC2InstanceId"]])
    (member,) = found["AutoScalingInstances"]
    return {"outcome": "ready", "state": member["LifecycleState"]}
"""


def machine(function: str) -> dict:
    complete = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:autoscaling:completeLifecycleAction",
        "Arguments": {
            "AutoScalingGroupName": "{% $detail.AutoScalingGroupName %}",
            "LifecycleHookName": "{% $detail.LifecycleHookName %}",
            "InstanceId": "{% $detail.EC2InstanceId %}",
            "LifecycleActionResult": "CONTINUE",
        },
        "Catch": [
            {
                "ErrorEquals": ["AutoScaling.AutoScalingException"],
                "Assign": {"why": "{% $states.errorOutput.Cause %}"},
                "Next": "DoneAlready",
            }
        ],
        "Next": "Tell",
    }
    tell = {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:eventbridge:putEvents",
        "Arguments": {
            "Entries": [
                {
                    "Source": "tidegate",
                    "DetailType": "Node Join Outcome",
                    "Detail": "{% $string({'instanceId': $detail.EC2InstanceId, 'seen': $seen}) %}",
                }
            ]
        },
        "End": True,
    }
    look = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": function, "Payload": "{% $states.input %}"},
        "Assign": {
            "detail": "{% $states.input.detail %}",
            "seen": "{% $states.result.Payload.state %}",
        },
        "Retry": [{"ErrorEquals": ["Runtime.ExitError"], "IntervalSeconds": 1}],
        "Next": "Complete",
    }
    ready = {
        "Type": "Choice",
        "Choices": [
            {"Condition": "{% $contains($why, 'No active Lifecycle Action') %}", "Next": "Fine"}
        ],
        "Default": "Broken",
    }
    return {
        "StartAt": "Look",
        "States": {
            "Look": look,
            "Complete": complete,
            "Tell": tell,
            "DoneAlready": ready,
            "Fine": {"Type": "Succeed", "Output": "done already"},
            "Broken": {"Type": "Fail", "Error": "Broken", "Cause": "{% $why %}"},
        },
    }


class Story:
    """A group whose launch hook is completed by a machine that its own event starts."""

    def __init__(self, aws: Aws):
        self.aws = aws
        describe = {
            "Effect": "Allow",
            "Action": "autoscaling:DescribeAutoScalingInstances",
            "Resource": "*",
        }
        role = aws.role("lambda.amazonaws.com", describe)
        self.function = aws.function(LOOK, role=role, Timeout=20)
        self.group = aws.group()
        aws.hook(self.group, "join", "LAUNCHING")
        self.machine = aws.machine(machine(self.function))
        start = {"Effect": "Allow", "Action": "states:StartExecution", "Resource": self.machine}
        target = {
            "Id": "join",
            "Arn": self.machine,
            "RoleArn": aws.role("events.amazonaws.com", start),
        }
        self.pattern = {
            "source": ["aws.autoscaling"],
            "detail-type": ["EC2 Instance-launch Lifecycle Action"],
            "detail": {"AutoScalingGroupName": [self.group], "LifecycleHookName": ["join"]},
        }
        rule = f"join-{uuid.uuid4().hex[:6]}"
        events = aws.client("events")
        events.put_rule(Name=rule, EventPattern=json.dumps(self.pattern))
        events.put_targets(Rule=rule, Targets=[target])

    def executions(self, status: str) -> list[dict]:
        return self.aws.client("stepfunctions").list_executions(
            stateMachineArn=self.machine, statusFilter=status
        )["executions"]


@pytest.fixture
def story(aws) -> Story:
    yield Story(aws)
    aws.admin("POST", "events", {"reset": True})


def test_a_launch_is_completed_by_the_machine_that_its_event_starts(aws, story):
    aws.desire(story.group, 2)
    until(lambda: aws.states(story.group) == ["InService", "InService"], 20)
    until(lambda: len(story.executions("SUCCEEDED")) == 2)
    told = [e for e in aws.events("Node Join Outcome") if e["source"] == "tidegate"]
    assert {e["detail"]["instanceId"] for e in told} == set(aws.members(story.group))
    assert {e["detail"]["seen"] for e in told} == {"Pending:Wait"}


def test_each_call_on_the_way_has_its_source(aws, story):
    aws.desire(story.group, 1)
    until(lambda: story.executions("SUCCEEDED"), 20)
    wanted = {
        ("states", "StartExecution", "events"),
        ("lambda", "Invoke", "stepfunctions"),
        ("autoscaling", "DescribeAutoScalingInstances", "lambda"),
        ("autoscaling", "CompleteLifecycleAction", "stepfunctions"),
        ("events", "PutEvents", "stepfunctions"),
    }
    assert wanted <= {(c["service"], c["action"], c["source"]) for c in aws.calls()}


def test_an_event_that_comes_twice_completes_the_hook_once(aws, story):
    aws.admin("POST", "events", {"duplicate": True, "pattern": story.pattern})
    aws.desire(story.group, 1)
    until(lambda: len(story.executions("SUCCEEDED")) == 2, 20)
    assert aws.states(story.group) == ["InService"]
    assert story.executions("FAILED") == []


def test_a_lost_event_leaves_the_instance_waiting(aws, story):
    aws.admin("POST", "events", {"drop": True, "pattern": story.pattern})
    aws.desire(story.group, 1)
    until(lambda: aws.states(story.group) == ["Pending:Wait"])
    time.sleep(0.5)
    assert aws.states(story.group) == ["Pending:Wait"]
    assert story.executions("RUNNING") == []


def test_a_function_killed_half_way_is_called_again(aws, story):
    aws.admin("POST", f"lambda/{story.function}/kill-next", {"afterMillis": 50})
    aws.desire(story.group, 1)
    until(lambda: aws.states(story.group) == ["InService"], 20)
    (execution,) = until(lambda: story.executions("SUCCEEDED"))
    history = aws.client("stepfunctions").get_execution_history(
        executionArn=execution["executionArn"]
    )["events"]
    failures = [e["taskFailedEventDetails"] for e in history if e["type"] == "TaskFailed"]
    assert [failure["error"] for failure in failures] == ["Runtime.ExitError"]


class Process:
    """The endpoint as a process of its own."""

    def __init__(self, world: Path):
        command = [sys.executable, "-m", "world.aws", "--world", str(world)]
        self.process = subprocess.Popen(
            [*command, "--network", "127.78.0.0/16"],
            cwd=Path(__file__).resolve().parents[1],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.ready = json.loads(self.process.stdout.readline())
        self.aws = Aws(
            SimpleNamespace(url=self.ready["endpoint"], config=SimpleNamespace(world=world))
        )

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(10)


@pytest.fixture(scope="module")
def process(tmp_path_factory) -> Process:
    process = Process(tmp_path_factory.mktemp("process"))
    yield process
    process.process.kill()


def test_the_process_says_that_it_is_ready(process):
    assert process.ready["status"] == "ready"
    url = f"{process.ready['endpoint']}/local-api/health"
    assert requests.get(url, timeout=5).json() == process.ready


def test_functions_die_with_the_endpoint_however_it_ends(process):
    name = process.aws.function("def handle(event, context): return os.getpid()")
    pid = json.loads(process.aws.client("lambda").invoke(FunctionName=name)["Payload"].read())
    assert Path(f"/proc/{pid}").exists()
    process.end(signal.SIGKILL)
    until(lambda: not Path(f"/proc/{pid}").exists())


def test_the_process_ends_when_told(tmp_path):
    assert Process(tmp_path).end(signal.SIGTERM) == 0
