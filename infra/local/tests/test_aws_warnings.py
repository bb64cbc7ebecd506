"""What EC2 and AWS Health tell in advance, and what becomes of the instance and its group."""

from __future__ import annotations

import datetime as dt
import time

import pytest
import requests
from aws_support import Aws, aws, until  # noqa: F401

SPOT = "EC2 Spot Instance Interruption Warning"
STATE = "EC2 Instance State-change Notification"
TERMINATE = "EC2 Instance-terminate Lifecycle Action"


def in_service(aws: Aws, capacity: int = 1, drain_hook: bool = False) -> tuple[str, list[str]]:
    group = aws.group()
    if drain_hook:
        aws.hook(group, "drain", "TERMINATING", DefaultResult="CONTINUE")
    aws.desire(group, capacity)
    until(lambda: aws.states(group) == ["InService"] * capacity)
    return group, list(aws.members(group))


def told(aws: Aws, kind: str, instance: str) -> list[dict]:
    details = [(event, event["detail"]) for event in aws.events(kind)]
    return [e for e, d in details if instance in (d.get("instance-id"), d.get("EC2InstanceId"))]


def states(aws: Aws, instance: str) -> list[str]:
    return [event["detail"]["state"] for event in told(aws, STATE, instance)]


def warn(aws: Aws, kind: str, *instances: str, **more) -> None:
    aws.admin("POST", f"warnings/{kind}", {"instanceIds": list(instances), **more})


def test_a_spot_instance_is_warned_of_its_end_and_then_gone_whatever_its_hook_says(aws):
    group, (instance,) = in_service(aws, drain_hook=True)
    warn(aws, "spot", instance, afterSeconds=0.5)
    (warning,) = told(aws, SPOT, instance)
    assert warning["source"] == "aws.ec2"
    assert warning["detail"] == {"instance-id": instance, "instance-action": "terminate"}
    # By its zone and without an account, as the user guide shows it.
    (resource,) = warning["resources"]
    assert resource.startswith("arn:aws:ec2:us-west-2")
    assert resource.endswith(f":instance/{instance}") and "123456789012" not in resource
    assert states(aws, instance) == ["pending", "running"]
    until(lambda: states(aws, instance)[2:] == ["shutting-down", "terminated"])


def test_the_end_of_a_spot_instance_comes_no_earlier_than_was_warned(aws):
    _, (instance,) = in_service(aws)
    begun = time.monotonic()
    warn(aws, "spot", instance, afterSeconds=0.6)
    until(lambda: "shutting-down" in states(aws, instance))
    assert time.monotonic() - begun >= 0.6


def test_the_group_replaces_a_reclaimed_instance_and_runs_its_terminate_hook(aws):
    group, (instance,) = in_service(aws, drain_hook=True)
    warn(aws, "spot", instance, afterSeconds=0)
    until(lambda: "terminated" in states(aws, instance))
    until(lambda: aws.states(group) == ["InService", "Terminating:Wait"])
    assert aws.members(group)[instance] == "Terminating:Wait"
    (action,) = told(aws, TERMINATE, instance)
    aws.client("autoscaling").complete_lifecycle_action(
        AutoScalingGroupName=group,
        LifecycleHookName="drain",
        LifecycleActionToken=action["detail"]["LifecycleActionToken"],
        LifecycleActionResult="CONTINUE",
    )
    until(lambda: instance not in aws.members(group))
    assert aws.states(group) == ["InService"]


def test_a_reclaimed_instance_is_never_retained(aws):
    group = aws.group(
        InstanceLifecyclePolicy={"RetentionTriggers": {"TerminateHookAbandon": "retain"}}
    )
    aws.hook(group, "drain", "TERMINATING")
    aws.desire(group, 1)
    until(lambda: aws.states(group) == ["InService"])
    (instance,) = aws.members(group)
    warn(aws, "spot", instance, afterSeconds=0)
    until(lambda: aws.members(group).get(instance) == "Terminating:Wait")
    aws.client("autoscaling").complete_lifecycle_action(
        AutoScalingGroupName=group,
        LifecycleHookName="drain",
        InstanceId=instance,
        LifecycleActionResult="ABANDON",
    )
    until(lambda: aws.states(group) == ["InService"] and instance not in aws.members(group))


def test_a_drain_that_runs_when_the_instance_is_reclaimed_keeps_its_hook(aws):
    group, (instance,) = in_service(aws, drain_hook=True)
    aws.desire(group, 0)
    until(lambda: aws.states(group) == ["Terminating:Wait"])
    warn(aws, "spot", instance, afterSeconds=0)
    until(lambda: "terminated" in states(aws, instance))
    assert aws.states(group) == ["Terminating:Wait"]
    assert len(told(aws, TERMINATE, instance)) == 1


def test_a_capacity_warning_names_the_end_of_the_instance(aws):
    _, (instance,) = in_service(aws)
    warn(aws, "capacity", instance, afterSeconds=0.5)
    (event,) = told(aws, "EC2 Capacity Reservation Instance Interruption Warning", instance)
    assert (event["source"], event["detail"]["instance-action"]) == ("aws.ec2", "terminate")
    ends = dt.datetime.fromisoformat(event["detail"]["instance-termination-time"])
    assert abs((ends - dt.datetime.fromisoformat(event["time"])).total_seconds()) <= 2
    until(lambda: states(aws, instance)[2:] == ["shutting-down", "terminated"])


def test_a_degraded_store_is_an_issue_of_the_instance(aws):
    _, (instance,) = in_service(aws)
    warn(aws, "store", instance)
    detail = aws.events("AWS Health Event")[-1]["detail"]
    assert detail["eventTypeCode"] == "AWS_EC2_INSTANCE_STORE_DRIVE_PERFORMANCE_DEGRADED"
    assert (detail["eventTypeCategory"], detail["statusCode"]) == ("issue", "open")
    assert [entity["entityValue"] for entity in detail["affectedEntities"]] == [instance]


def test_a_rebalance_recommendation_is_told_and_changes_nothing(aws):
    group, (instance,) = in_service(aws)
    warn(aws, "rebalance", instance)
    (event,) = told(aws, "EC2 Instance Rebalance Recommendation", instance)
    assert (event["source"], event["detail"]) == ("aws.ec2", {"instance-id": instance})
    assert aws.members(group) == {instance: "InService"}


def test_a_scheduled_change_names_every_affected_instance_in_one_event(aws):
    _, instances = in_service(aws, 2)
    warn(aws, "health", *instances)
    event = aws.events("AWS Health Event")[-1]
    assert event["source"] == "aws.health"
    assert event["resources"] == instances
    detail = event["detail"]
    assert [entity["entityValue"] for entity in detail["affectedEntities"]] == instances
    assert (detail["service"], detail["eventTypeCategory"]) == ("EC2", "scheduledChange")
    assert detail["eventTypeCode"] == "AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED"
    assert detail["startTime"].endswith(" GMT")


@pytest.mark.parametrize("kind", ["spot", "capacity", "rebalance", "health", "store"])
def test_a_warning_about_an_instance_that_is_not_there_is_refused(aws, kind):
    before = len(aws.events())
    given = {"instanceIds": ["i-0123456789abcdef0"]}
    answer = requests.post(f"{aws.url}/local-api/warnings/{kind}", json=given, timeout=10)
    assert answer.status_code == 400
    assert "i-0123456789abcdef0" in answer.json()["message"]
    assert len(aws.events()) == before


def test_a_stopped_instance_tells_it_and_the_group_replaces_it_through_its_hook(aws):
    group, (instance,) = in_service(aws, drain_hook=True)
    answer = aws.client("ec2").stop_instances(InstanceIds=[instance])
    (changed,) = answer["StoppingInstances"]
    assert changed["PreviousState"]["Name"] == "running"
    assert changed["CurrentState"] == {"Name": "stopping", "Code": 64}
    until(lambda: states(aws, instance)[2:] == ["stopping", "stopped"])
    until(lambda: aws.states(group) == ["InService", "Terminating:Wait"])
    assert len(told(aws, TERMINATE, instance)) == 1


def test_a_stopped_instance_of_no_group_can_be_started_again(aws):
    (instance,) = aws.client("ec2").run_instances(
        ImageId="ami-12345678", InstanceType="m5d.4xlarge", MinCount=1, MaxCount=1
    )["Instances"]
    name = instance["InstanceId"]
    aws.client("ec2").stop_instances(InstanceIds=[name])
    until(lambda: states(aws, name) == ["stopping", "stopped"])
    aws.client("ec2").start_instances(InstanceIds=[name])
    until(lambda: states(aws, name)[2:] == ["pending", "running"])
