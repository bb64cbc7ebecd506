"""Groups and their members as the API shows them."""

from __future__ import annotations

from typing import Any

from .model import Activity, Group, Hook, Member


def group_view(group: Group) -> dict[str, Any]:
    view: dict[str, Any] = {
        "AutoScalingGroupName": group.name,
        "AutoScalingGroupARN": group.arn,
        "MinSize": group.min_size,
        "MaxSize": group.max_size,
        "DesiredCapacity": group.desired,
        "DefaultCooldown": group.default_cooldown,
        "AvailabilityZones": group.zones,
        "LoadBalancerNames": [],
        "TargetGroupARNs": [],
        "HealthCheckType": group.health_check_type,
        "HealthCheckGracePeriod": group.health_check_grace_seconds,
        "Instances": [member_view(member) for member in group.members.values()],
        "CreatedTime": group.created_at,
        "SuspendedProcesses": [
            {"ProcessName": name, "SuspensionReason": "User suspended"}
            for name in sorted(group.suspended)
        ],
        "VPCZoneIdentifier": ",".join(group.subnets),
        "EnabledMetrics": [],
        "Tags": [tag_view(group, key) for key in group.tags],
        "TerminationPolicies": group.termination_policies,
        "NewInstancesProtectedFromScaleIn": group.protect_new,
        "CapacityRebalance": group.capacity_rebalance,
        "TrafficSources": [],
        "InstanceLifecyclePolicy": {
            "RetentionTriggers": {
                "TerminateHookAbandon": "retain" if group.retain_on_abandon else "terminate"
            }
        },
        "LaunchTemplate": group.launch_template,
        "MixedInstancesPolicy": group.mixed_instances_policy,
        "MaxInstanceLifetime": group.max_instance_lifetime,
    }
    if group.deleting:
        view["Status"] = "Delete in progress"
    return {key: value for key, value in view.items() if value is not None}


def member_view(member: Member) -> dict[str, Any]:
    return {
        "InstanceId": member.id,
        "InstanceType": member.instance_type,
        "AvailabilityZone": member.zone,
        "LifecycleState": member.state.value,
        "HealthStatus": "Healthy" if member.healthy else "Unhealthy",
        "LaunchTemplate": member.template,
        "ImageId": member.image_id,
        "ProtectedFromScaleIn": member.protected,
    }


def instance_view(group: Group, member: Member) -> dict[str, Any]:
    """DescribeAutoScalingInstances spells the health in capitals."""
    view = member_view(member) | {"AutoScalingGroupName": group.name}
    return view | {"HealthStatus": view["HealthStatus"].upper()}


def hook_view(group: Group, hook: Hook) -> dict[str, Any]:
    view = {
        "LifecycleHookName": hook.name,
        "AutoScalingGroupName": group.name,
        "LifecycleTransition": hook.transition,
        "NotificationTargetARN": hook.notification_target_arn,
        "RoleARN": hook.role_arn,
        "NotificationMetadata": hook.notification_metadata,
        "HeartbeatTimeout": hook.heartbeat_seconds,
        "GlobalTimeout": hook.global_seconds,
        "DefaultResult": hook.default_result,
    }
    return {key: value for key, value in view.items() if value is not None}


def activity_view(group: Group, activity: Activity) -> dict[str, Any]:
    view: dict[str, Any] = {
        "ActivityId": activity.id,
        "AutoScalingGroupName": group.name,
        "AutoScalingGroupARN": group.arn,
        "Description": activity.description,
        "Cause": activity.cause,
        "StartTime": activity.start_time,
        "EndTime": activity.end_time,
        "StatusCode": activity.status,
        "StatusMessage": activity.status_message or None,
        "Progress": activity.progress,
        "Details": (
            f'{{"Subnet ID":"{activity.subnet_id}","Availability Zone":"{activity.zone}"}}'
        ),
    }
    return {key: value for key, value in view.items() if value is not None}


def tag_view(group: Group, key: str) -> dict[str, Any]:
    value, propagated = group.tags[key]
    return {
        "ResourceId": group.name,
        "ResourceType": "auto-scaling-group",
        "Key": key,
        "Value": value,
        "PropagateAtLaunch": propagated,
    }
