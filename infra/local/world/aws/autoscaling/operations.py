"""The Auto Scaling API. Each method is one operation: parameters in, result out, under the lock."""

from __future__ import annotations

import uuid
from typing import Any

from ..config import Config
from ..ec2 import Ec2
from ..errors import ApiError, NotPlayed, validation_error
from ..wire import Call
from . import decisions, requests, views, wording
from .engine import Engine
from .model import ABANDON, CONTINUE, LAUNCHING, Group, Member

PAGE = 50
LONGEST_PAGE = 100
PROCESSES = (
    "Launch",
    "Terminate",
    "AddToLoadBalancer",
    "AlarmNotification",
    "AZRebalance",
    "HealthCheck",
    "InstanceRefresh",
    "ReplaceUnhealthy",
    "ScheduledActions",
)


class Operations:
    def __init__(self, config: Config, engine: Engine, ec2: Ec2):
        self._config = config
        self._engine = engine
        self._ec2 = ec2

    def handle(self, call: Call) -> dict[str, Any]:
        method = getattr(self, call.operation, None)
        if method is None:
            raise NotPlayed("autoscaling", call.operation)
        with self._engine.lock:
            return method(call.params) or {}

    def group(self, name: str) -> Group:
        group = self._engine.groups.get(name)
        if group is None:
            raise validation_error(
                f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found"
            )
        return group

    def _member(self, instance_id: str) -> tuple[Group, Member]:
        group = self._engine.group_of(instance_id)
        if group is None:
            raise validation_error(
                f"Instance Id not found - No managed instance found for instance ID: {instance_id}"
            )
        return group, group.members[instance_id]

    # groups

    def CreateAutoScalingGroup(self, params: dict[str, Any]) -> None:  # noqa: N802
        name = params["AutoScalingGroupName"]
        if name in self._engine.groups:
            raise ApiError(
                "AlreadyExists",
                "AutoScalingGroup by this name already exists - A group with the name "
                f"{name} already exists",
                400,
            )
        minimum, maximum = int(params["MinSize"]), int(params["MaxSize"])
        desired = int(params["DesiredCapacity"] if "DesiredCapacity" in params else minimum)
        requests.check_sizes(minimum, maximum, desired)
        if ("LaunchTemplate" in params) == ("MixedInstancesPolicy" in params):
            raise validation_error(
                "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, "
                "InstanceId or MixedInstancesPolicy parameter."
            )
        moment = self._engine.moment()
        arn = (
            f"arn:aws:autoscaling:{self._config.region}:{self._config.account}:autoScalingGroup:"
            f"{uuid.uuid4()}:autoScalingGroupName/{name}"
        )
        group = Group(
            name=name,
            arn=arn,
            created_at=moment.now,
            min_size=minimum,
            max_size=maximum,
            desired=desired,
            subnets=self._subnets(params),
            capacity_cause=wording.group_created(moment.now, minimum, maximum, desired),
        )
        self._apply(group, params)
        for tag in params.get("Tags", []):
            group.tags[tag["Key"]] = (tag.get("Value", ""), bool(tag.get("PropagateAtLaunch")))
        for hook in params.get("LifecycleHookSpecificationList", []):
            requests.put_hook(group, hook, self._config.minimum_heartbeat)
        self._engine.groups[name] = group
        self._engine.rebalance(group)

    def UpdateAutoScalingGroup(self, params: dict[str, Any]) -> None:  # noqa: N802
        group = self.group(params["AutoScalingGroupName"])
        minimum = int(params.get("MinSize", group.min_size))
        maximum = int(params.get("MaxSize", group.max_size))
        # Without a desired capacity the bounds pull the present one with them.
        desired = int(params.get("DesiredCapacity", min(max(group.desired, minimum), maximum)))
        requests.check_sizes(minimum, maximum, desired)
        if "VPCZoneIdentifier" in params or "AvailabilityZones" in params:
            group.subnets = self._subnets(params)
        self._apply(group, params)
        moment = self._engine.moment()
        if desired != group.desired:
            group.capacity_cause = wording.constraints_updated(
                moment.now, minimum, maximum, group.desired, desired
            )
        group.min_size, group.max_size, group.desired = minimum, maximum, desired
        self._engine.rebalance(group)

    def _apply(self, group: Group, params: dict[str, Any]) -> None:
        """The members that create and update have in common."""
        if "LaunchTemplate" in params:
            # Id and name are shown whichever was given; the version only as it was given.
            found = self._ec2.template(params["LaunchTemplate"])
            group.launch_template = found | {"Version": "$Default"} | params["LaunchTemplate"]
            group.mixed_instances_policy = None
        if "MixedInstancesPolicy" in params:
            policy = params["MixedInstancesPolicy"]
            self._ec2.template(policy["LaunchTemplate"]["LaunchTemplateSpecification"])
            group.mixed_instances_policy = policy
            group.launch_template = None
        if "InstanceLifecyclePolicy" in params:
            triggers = params["InstanceLifecyclePolicy"].get("RetentionTriggers", {})
            choice = triggers.get("TerminateHookAbandon", "terminate")
            if choice not in ("retain", "terminate"):
                raise validation_error(
                    f"1 validation error detected: Value '{choice}' at 'instanceLifecyclePolicy."
                    "retentionTriggers.terminateHookAbandon' failed to satisfy constraint: Member "
                    "must satisfy enum value set: [retain, terminate]"
                )
            group.retain_on_abandon = choice == "retain"
        group.protect_new = bool(params.get("NewInstancesProtectedFromScaleIn", group.protect_new))
        group.capacity_rebalance = bool(params.get("CapacityRebalance", group.capacity_rebalance))
        group.default_cooldown = int(params.get("DefaultCooldown", group.default_cooldown))
        group.health_check_type = params.get("HealthCheckType", group.health_check_type)
        group.health_check_grace_seconds = int(
            params.get("HealthCheckGracePeriod", group.health_check_grace_seconds)
        )
        group.max_instance_lifetime = params.get("MaxInstanceLifetime", group.max_instance_lifetime)
        if "TerminationPolicies" in params:
            requests.check_policies(params["TerminationPolicies"])
            group.termination_policies = params["TerminationPolicies"]

    def _subnets(self, params: dict[str, Any]) -> dict[str, str]:
        """Subnet id -> zone. Zones alone mean the world's subnets in them."""
        if params.get("VPCZoneIdentifier"):
            wanted = [part.strip() for part in params["VPCZoneIdentifier"].split(",")]
            known = {subnet.id: subnet for subnet in self._ec2.backend.describe_subnets()}
            unknown = [subnet for subnet in wanted if subnet not in known]
            if unknown:
                raise validation_error(f"The subnet ID '{unknown[0]}' does not exist")
            return {subnet: known[subnet].availability_zone for subnet in wanted}
        zones = params.get("AvailabilityZones") or []
        subnets = {self._ec2.subnets[z]: z for z in zones if z in self._ec2.subnets}
        if not subnets:
            raise validation_error("At least one Availability Zone or VPC Subnet is required.")
        return subnets

    def DeleteAutoScalingGroup(self, params: dict[str, Any]) -> None:  # noqa: N802
        group = self.group(params["AutoScalingGroupName"])
        effects = requests.delete(group, bool(params.get("ForceDelete")), self._engine.moment())
        self._engine.settle(group, list(effects))
        if not group.members:
            self._engine.groups.pop(group.name, None)

    def DescribeAutoScalingGroups(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        names = params.get("AutoScalingGroupNames") or []
        groups = [g for g in self._engine.groups.values() if not names or g.name in names]
        for filtered in params.get("Filters", []):
            groups = [g for g in groups if _passes(g, filtered)]
        return _page(params, "AutoScalingGroups", [views.group_view(g) for g in groups])

    def SetDesiredCapacity(self, params: dict[str, Any]) -> None:  # noqa: N802
        group = self.group(params["AutoScalingGroupName"])
        requests.set_desired(group, int(params["DesiredCapacity"]), self._engine.moment().now)
        self._engine.rebalance(group)

    def SuspendProcesses(self, params: dict[str, Any]) -> None:  # noqa: N802
        group = self.group(params["AutoScalingGroupName"])
        group.suspended |= set(params.get("ScalingProcesses") or PROCESSES)

    def ResumeProcesses(self, params: dict[str, Any]) -> None:  # noqa: N802
        group = self.group(params["AutoScalingGroupName"])
        group.suspended -= set(params.get("ScalingProcesses") or PROCESSES)
        self._engine.rebalance(group)

    # instances

    def DescribeAutoScalingInstances(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        ids = params.get("InstanceIds") or []
        found = [
            views.instance_view(group, member)
            for group in self._engine.groups.values()
            for member in group.members.values()
            if not ids or member.id in ids
        ]
        return _page(params, "AutoScalingInstances", found)

    def TerminateInstanceInAutoScalingGroup(  # noqa: N802
        self, params: dict[str, Any]
    ) -> dict[str, Any]:
        group, member = self._member(params["InstanceId"])
        decrement = bool(params["ShouldDecrementDesiredCapacity"])
        activity, effects = requests.terminate(group, member, decrement, self._engine.moment())
        self._engine.settle(group, effects)
        return {"Activity": views.activity_view(group, activity)}

    def SetInstanceProtection(self, params: dict[str, Any]) -> None:  # noqa: N802
        group = self.group(params["AutoScalingGroupName"])
        for instance_id in params["InstanceIds"]:
            if instance_id not in group.members:
                raise validation_error(
                    f"The instance {instance_id} is not part of Auto Scaling group {group.name}."
                )
            group.members[instance_id].protected = bool(params["ProtectedFromScaleIn"])

    def SetInstanceHealth(self, params: dict[str, Any]) -> None:  # noqa: N802
        group, member = self._member(params["InstanceId"])
        if params["HealthStatus"] == "Unhealthy":
            effects = decisions.mark_unhealthy(group, member, self._engine.moment())
            self._engine.settle(group, effects)
        else:
            member.healthy = True

    # hooks

    def PutLifecycleHook(self, params: dict[str, Any]) -> None:  # noqa: N802
        group = self.group(params["AutoScalingGroupName"])
        requests.put_hook(group, params, self._config.minimum_heartbeat)

    def DescribeLifecycleHooks(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        group = self.group(params["AutoScalingGroupName"])
        names = params.get("LifecycleHookNames") or []
        hooks = [hook for hook in group.hooks.values() if not names or hook.name in names]
        return {"LifecycleHooks": [views.hook_view(group, hook) for hook in hooks]}

    def DeleteLifecycleHook(self, params: dict[str, Any]) -> None:  # noqa: N802
        """Outstanding actions are completed first: ABANDON at launch, CONTINUE at termination."""
        group = self.group(params["AutoScalingGroupName"])
        name = params["LifecycleHookName"]
        if name not in group.hooks:
            raise validation_error(
                f"No Lifecycle Hook found with name {name} on AutoScalingGroup {group.name}"
            )
        hook = group.hooks.pop(name)
        moment = self._engine.moment()
        for member in list(group.members.values()):
            for action in [a for a in member.active_actions() if a.hook.name == name]:
                result = ABANDON if hook.transition == LAUNCHING else CONTINUE
                effects = decisions.complete(
                    group, member, action, result, wording.HOOK_DELETED, moment
                )
                self._engine.settle(group, effects)
        self._engine.rebalance(group)

    def DescribeLifecycleHookTypes(self, _: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {
            "LifecycleHookTypes": [
                "autoscaling:EC2_INSTANCE_LAUNCHING",
                "autoscaling:EC2_INSTANCE_TERMINATING",
            ]
        }

    def CompleteLifecycleAction(self, params: dict[str, Any]) -> None:  # noqa: N802
        group = self.group(params["AutoScalingGroupName"])
        self._engine.settle(group, requests.complete(group, params, self._engine.moment()))

    def RecordLifecycleActionHeartbeat(self, params: dict[str, Any]) -> None:  # noqa: N802
        group = self.group(params["AutoScalingGroupName"])
        _, action = requests.active_action(
            group,
            params["LifecycleHookName"],
            params.get("InstanceId"),
            params.get("LifecycleActionToken"),
        )
        decisions.beat(action, self._engine.moment())
        self._engine.settle(group, [])

    # activities and tags

    def DescribeScalingActivities(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        name = params.get("AutoScalingGroupName")
        groups = [self.group(name)] if name else list(self._engine.groups.values())
        wanted = params.get("ActivityIds") or []
        found = [(a, g) for g in groups for a in g.activities if not wanted or a.id in wanted]
        found.sort(key=lambda pair: pair[0].start_time, reverse=True)
        return _page(params, "Activities", [views.activity_view(g, a) for a, g in found])

    def CreateOrUpdateTags(self, params: dict[str, Any]) -> None:  # noqa: N802
        for tag in params["Tags"]:
            group = self.group(tag["ResourceId"])
            group.tags[tag["Key"]] = (tag.get("Value", ""), bool(tag.get("PropagateAtLaunch")))

    def DeleteTags(self, params: dict[str, Any]) -> None:  # noqa: N802
        for tag in params["Tags"]:
            self.group(tag["ResourceId"]).tags.pop(tag["Key"], None)

    def DescribeTags(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        tags = [views.tag_view(g, key) for g in self._engine.groups.values() for key in g.tags]
        for filtered in params.get("Filters", []):
            field = {
                "auto-scaling-group": "ResourceId",
                "key": "Key",
                "value": "Value",
                "propagate-at-launch": "PropagateAtLaunch",
            }[filtered["Name"]]
            tags = [t for t in tags if str(t[field]).lower() in map(str.lower, filtered["Values"])]
        return _page(params, "Tags", tags)


def _passes(group: Group, filtered: dict[str, Any]) -> bool:
    name, values = filtered["Name"], filtered["Values"]
    if name == "tag-key":
        return any(key in values for key in group.tags)
    if name == "tag-value":
        return any(value in values for value, _ in group.tags.values())
    if name.startswith("tag:"):
        key = name.removeprefix("tag:")
        return key in group.tags and group.tags[key][0] in values
    raise validation_error(f"Filter name {name} is not supported")


def _page(params: dict[str, Any], key: str, items: list[Any]) -> dict[str, Any]:
    size = int(params.get("MaxRecords") or PAGE)
    if size > LONGEST_PAGE:
        raise validation_error(f"MaxRecords must be at most {LONGEST_PAGE}")
    try:
        start = int(params.get("NextToken") or 0)
    except ValueError as error:
        raise ApiError("InvalidNextToken", "The NextToken value is not valid.", 400) from error
    page: dict[str, Any] = {key: items[start : start + size]}
    if start + size < len(items):
        page["NextToken"] = str(start + size)
    return page
