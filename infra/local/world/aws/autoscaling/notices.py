"""The events that Auto Scaling puts on the default bus, field by field as documented.

https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .model import LAUNCHING, Action, Activity, Group, Member
from .wording import stamp

LAUNCH_ACTION = "EC2 Instance-launch Lifecycle Action"
TERMINATE_ACTION = "EC2 Instance-terminate Lifecycle Action"
LAUNCH_SUCCESSFUL = "EC2 Instance Launch Successful"
LAUNCH_UNSUCCESSFUL = "EC2 Instance Launch Unsuccessful"
TERMINATE_SUCCESSFUL = "EC2 Instance Terminate Successful"

SOURCE = "aws.autoscaling"


@dataclass(frozen=True)
class Announce:
    """An effect: put this event on the default bus."""

    detail_type: str
    resources: tuple[str, ...]
    detail: dict[str, Any]


def lifecycle_action(group: Group, member: Member, action: Action) -> Announce:
    launching = action.hook.transition == LAUNCHING
    detail: dict[str, Any] = {
        "LifecycleActionToken": action.token,
        "AutoScalingGroupName": group.name,
        "LifecycleHookName": action.hook.name,
        "EC2InstanceId": member.id,
        "LifecycleTransition": action.hook.transition,
    }
    if action.hook.notification_metadata is not None:
        detail["NotificationMetadata"] = action.hook.notification_metadata
    detail["Origin"] = "EC2" if launching else "AutoScalingGroup"
    detail["Destination"] = "AutoScalingGroup" if launching else "EC2"
    return Announce(LAUNCH_ACTION if launching else TERMINATE_ACTION, (group.arn,), detail)


def activity_ended(detail_type: str, group: Group, activity: Activity, status: str) -> Announce:
    """`status` is what the event says: InProgress for a success (so documented), else Failed."""
    account_and_region = group.arn.split(":")[3:5]
    resources = [group.arn]
    if activity.instance_id:
        region, account = account_and_region
        resources.append(f"arn:aws:ec2:{region}:{account}:instance/{activity.instance_id}")
    launching = activity.kind == "launch"
    return Announce(
        detail_type,
        tuple(resources),
        {
            "StatusCode": status,
            "Description": activity.description,
            "AutoScalingGroupName": group.name,
            "ActivityId": activity.id,
            "Details": {"Availability Zone": activity.zone, "Subnet ID": activity.subnet_id},
            "RequestId": activity.id,
            "StatusMessage": activity.status_message,
            "EndTime": stamp(activity.end_time or activity.start_time),
            "EC2InstanceId": activity.instance_id,
            "StartTime": stamp(activity.start_time),
            "Cause": activity.cause,
            "Origin": "EC2" if launching else "AutoScalingGroup",
            "Destination": "AutoScalingGroup" if launching else "EC2",
        },
    )
