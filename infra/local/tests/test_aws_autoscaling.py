"""Auto Scaling and EC2 through their APIs, as a client of AWS sees them."""

from __future__ import annotations

import ipaddress
import uuid

import pytest
from aws_support import Aws, aws, until  # noqa: F401
from botocore.exceptions import ClientError


def complete(aws: Aws, group: str, hook: str, instance: str, result: str, **more) -> None:
    aws.client("autoscaling").complete_lifecycle_action(
        AutoScalingGroupName=group,
        LifecycleHookName=hook,
        InstanceId=instance,
        LifecycleActionResult=result,
        **more,
    )


def instance(aws: Aws, instance_id: str) -> dict:
    reservations = aws.client("ec2").describe_instances(InstanceIds=[instance_id])["Reservations"]
    return reservations[0]["Instances"][0]


def test_a_launch_goes_through_its_hook_to_service_and_out_again(aws):
    group = aws.group()
    aws.hook(group, "join", "LAUNCHING")
    aws.hook(group, "drain", "TERMINATING")
    aws.desire(group, 1)
    until(lambda: aws.states(group) == ["Pending:Wait"])
    (member,) = aws.members(group)
    complete(aws, group, "join", member, "CONTINUE")
    until(lambda: aws.states(group) == ["InService"])
    aws.desire(group, 0)
    until(lambda: aws.states(group) == ["Terminating:Wait"])
    assert instance(aws, member)["State"]["Name"] == "running"
    complete(aws, group, "drain", member, "CONTINUE")
    until(lambda: aws.states(group) == [])
    assert instance(aws, member)["State"]["Name"] == "terminated"


def test_an_instance_boots_with_a_loopback_address_and_its_groups_tag(aws):
    group = aws.group()
    aws.desire(group, 1)
    (member,) = until(lambda: aws.members(group))
    until(lambda: instance(aws, member)["State"]["Name"] == "running")
    seen = instance(aws, member)
    address = seen["PrivateIpAddress"]
    assert ipaddress.ip_address(address) in ipaddress.ip_network("127.77.0.0/16")
    dashed = address.replace(".", "-")
    assert seen["PrivateDnsName"] == f"ip-{dashed}.us-west-2.compute.internal"
    assert seen["InstanceType"] == "m5d.4xlarge"
    assert {"Key": "aws:autoscaling:groupName", "Value": group} in seen["Tags"]


def test_a_terminated_instance_has_no_address_any_more(aws):
    group = aws.group()
    aws.desire(group, 1)
    (member,) = until(lambda: aws.members(group))
    aws.desire(group, 0)
    until(lambda: instance(aws, member)["State"]["Name"] == "terminated")
    seen = instance(aws, member)
    assert "PrivateIpAddress" not in seen
    assert seen["PrivateDnsName"] == ""


def test_describe_auto_scaling_instances_knows_only_members_of_groups(aws):
    group = aws.group()
    aws.desire(group, 1)
    (member,) = until(lambda: aws.members(group))
    lone = aws.client("ec2").run_instances(
        ImageId="ami-12345678", InstanceType="m5d.4xlarge", MinCount=1, MaxCount=1
    )["Instances"][0]["InstanceId"]
    found = aws.client("autoscaling").describe_auto_scaling_instances(InstanceIds=[member, lone])
    (seen,) = found["AutoScalingInstances"]
    assert seen["InstanceId"] == member
    assert seen["AutoScalingGroupName"] == group
    assert seen["InstanceType"] == "m5d.4xlarge"
    assert seen["AvailabilityZone"].startswith("us-west-2")
    assert seen["LaunchTemplate"]["Version"] == "1"
    assert seen["HealthStatus"] == "HEALTHY"


def test_no_active_action_is_a_validation_error_with_status_400(aws):
    group = aws.group()
    aws.hook(group, "join", "LAUNCHING")
    aws.desire(group, 1)
    until(lambda: aws.states(group) == ["Pending:Wait"])
    (member,) = aws.members(group)
    complete(aws, group, "join", member, "CONTINUE")
    with pytest.raises(ClientError) as raised:
        complete(aws, group, "join", member, "CONTINUE")
    assert raised.value.response["Error"]["Code"] == "ValidationError"
    assert raised.value.response["Error"]["Message"] == (
        f"No active Lifecycle Action found with instance ID {member}"
    )
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    token = str(uuid.uuid4())
    with pytest.raises(ClientError, match=f"No active Lifecycle Action found with token {token}"):
        aws.client("autoscaling").record_lifecycle_action_heartbeat(
            AutoScalingGroupName=group, LifecycleHookName="join", LifecycleActionToken=token
        )


def test_a_token_alone_completes_an_action(aws):
    group = aws.group()
    aws.hook(group, "join", "LAUNCHING", NotificationMetadata="more")
    aws.desire(group, 1)
    until(lambda: aws.states(group) == ["Pending:Wait"])
    event = next(
        e
        for e in aws.events("EC2 Instance-launch Lifecycle Action")
        if e["detail"]["AutoScalingGroupName"] == group
    )
    assert event["detail"]["NotificationMetadata"] == "more"
    aws.client("autoscaling").complete_lifecycle_action(
        AutoScalingGroupName=group,
        LifecycleHookName="join",
        LifecycleActionToken=event["detail"]["LifecycleActionToken"],
        LifecycleActionResult="CONTINUE",
    )
    until(lambda: aws.states(group) == ["InService"])


def test_a_real_heartbeat_timeout_ends_in_the_default_result(aws):
    group = aws.group()
    aws.hook(group, "join", "LAUNCHING", HeartbeatTimeout=1, DefaultResult="CONTINUE")
    aws.desire(group, 1)
    until(lambda: aws.states(group) == ["Pending:Wait"])
    until(lambda: aws.states(group) == ["InService"], seconds=5)


def test_the_retention_policy_is_set_shown_and_obeyed(aws):
    policy = {"RetentionTriggers": {"TerminateHookAbandon": "retain"}}
    group = aws.group(InstanceLifecyclePolicy=policy)
    shown = aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group])
    assert shown["AutoScalingGroups"][0]["InstanceLifecyclePolicy"] == policy
    aws.hook(group, "drain", "TERMINATING")
    aws.desire(group, 1)
    until(lambda: aws.states(group) == ["InService"])
    (member,) = aws.members(group)
    aws.desire(group, 0)
    until(lambda: aws.states(group) == ["Terminating:Wait"])
    complete(aws, group, "drain", member, "ABANDON")
    until(lambda: aws.states(group) == ["Terminating:Retained"])
    assert instance(aws, member)["State"]["Name"] == "running"
    aws.client("autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=member, ShouldDecrementDesiredCapacity=False
    )
    until(lambda: aws.members(group) == {})


def test_a_retained_instance_is_replaced_when_the_group_wants_one(aws):
    policy = {"RetentionTriggers": {"TerminateHookAbandon": "retain"}}
    group = aws.group(InstanceLifecyclePolicy=policy)
    aws.hook(group, "drain", "TERMINATING", DefaultResult="ABANDON", HeartbeatTimeout=1)
    aws.desire(group, 1)
    until(lambda: aws.states(group) == ["InService"])
    (member,) = aws.members(group)
    aws.client("autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=member, ShouldDecrementDesiredCapacity=False
    )
    until(lambda: aws.states(group) == ["InService", "Terminating:Retained"], seconds=5)


def test_ec2_terminate_is_noticed_by_the_group(aws):
    group = aws.group()
    aws.hook(group, "drain", "TERMINATING")
    aws.desire(group, 1)
    until(lambda: aws.states(group) == ["InService"])
    (member,) = aws.members(group)
    answer = aws.client("ec2").terminate_instances(InstanceIds=[member])
    (changed,) = answer["TerminatingInstances"]
    assert changed["CurrentState"]["Name"] == "shutting-down"
    until(lambda: aws.states(group) == ["InService"] and member not in aws.members(group))
    actions = aws.events("EC2 Instance-terminate Lifecycle Action")
    assert not any(e["detail"]["EC2InstanceId"] == member for e in actions)


def test_the_life_of_an_instance_is_told_on_the_bus(aws):
    group = aws.group()
    aws.desire(group, 1)
    until(lambda: aws.states(group) == ["InService"])
    (member,) = aws.members(group)
    aws.desire(group, 0)
    until(lambda: aws.members(group) == {})
    states = [
        e["detail"]["state"]
        for e in aws.events("EC2 Instance State-change Notification")
        if e["detail"]["instance-id"] == member
    ]
    assert states == ["pending", "running", "shutting-down", "terminated"]
    successes = [
        e
        for kind in ("EC2 Instance Launch Successful", "EC2 Instance Terminate Successful")
        for e in aws.events(kind)
        if e["detail"]["EC2InstanceId"] == member
    ]
    assert len(successes) == 2
    assert successes[0]["resources"][1].endswith(f":instance/{member}")
    assert successes[0]["account"] == "123456789012"


def test_activities_are_shown_newest_first(aws):
    group = aws.group()
    aws.desire(group, 1)
    until(lambda: aws.states(group) == ["InService"])
    (member,) = aws.members(group)
    aws.desire(group, 0)
    until(lambda: aws.members(group) == {})
    found = aws.client("autoscaling").describe_scaling_activities(AutoScalingGroupName=group)
    last, first = found["Activities"]
    assert last["Description"] == f"Terminating EC2 instance: {member}"
    assert first["Description"] == f"Launching a new EC2 instance: {member}"
    assert (first["StatusCode"], last["StatusCode"]) == ("Successful", "Successful")


def test_a_launch_that_waits_is_mid_lifecycle_action(aws):
    group = aws.group()
    aws.hook(group, "join", "LAUNCHING")
    aws.desire(group, 1)
    until(lambda: aws.states(group) == ["Pending:Wait"])
    found = aws.client("autoscaling").describe_scaling_activities(AutoScalingGroupName=group)
    assert found["Activities"][0]["StatusCode"] == "MidLifecycleAction"


@pytest.mark.parametrize(
    ("operation", "parameters", "message"),
    [
        (
            "terminate_instance_in_auto_scaling_group",
            {"InstanceId": "i-0123456789abcdef0", "ShouldDecrementDesiredCapacity": True},
            "No managed instance found for instance ID: i-0123456789abcdef0",
        ),
        (
            "set_desired_capacity",
            {"AutoScalingGroupName": "nobody", "DesiredCapacity": 1},
            "AutoScalingGroup name not found",
        ),
        (
            "complete_lifecycle_action",
            {
                "AutoScalingGroupName": "nobody",
                "LifecycleHookName": "h",
                "LifecycleActionResult": "CONTINUE",
            },
            "AutoScalingGroup name not found",
        ),
    ],
)
def test_what_does_not_exist_is_named_in_the_error(aws, operation, parameters, message):
    with pytest.raises(ClientError, match=message) as raised:
        getattr(aws.client("autoscaling"), operation)(**parameters)
    assert raised.value.response["Error"]["Code"] == "ValidationError"


def test_what_is_not_played_is_an_error_and_not_a_silence(aws):
    group = aws.group()
    with pytest.raises(ClientError, match="is not played by the local AWS endpoint"):
        aws.client("autoscaling").start_instance_refresh(AutoScalingGroupName=group)


def test_update_brings_the_desired_capacity_into_the_new_bounds(aws):
    group = aws.group()
    aws.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=group, MinSize=2)
    until(lambda: aws.states(group) == ["InService", "InService"])
    aws.client("autoscaling").update_auto_scaling_group(
        AutoScalingGroupName=group, MinSize=0, MaxSize=1
    )
    until(lambda: aws.states(group) == ["InService"])


def test_a_deleted_hook_completes_what_waits_for_it(aws):
    group = aws.group()
    aws.hook(group, "drain", "TERMINATING")
    aws.desire(group, 1)
    until(lambda: aws.states(group) == ["InService"])
    aws.desire(group, 0)
    until(lambda: aws.states(group) == ["Terminating:Wait"])
    aws.client("autoscaling").delete_lifecycle_hook(
        AutoScalingGroupName=group, LifecycleHookName="drain"
    )
    until(lambda: aws.members(group) == {})


def test_the_local_disks_of_an_instance_type_are_described(aws):
    found = aws.client("ec2").describe_instance_types(InstanceTypes=["m5d.4xlarge"])
    (storage,) = [t["InstanceStorageInfo"] for t in found["InstanceTypes"]]
    assert storage["Disks"] == [{"SizeInGB": 300, "Count": 2, "Type": "ssd"}]
