"""What Auto Scaling accepts, and the sentences it refuses with. Pure."""

from __future__ import annotations

import datetime as dt
from typing import Any

from ..errors import ApiError, validation_error
from . import decisions, wording
from .decisions import Effect, End, Moment
from .model import (
    ABANDON,
    CONTINUE,
    DEFAULT_HEARTBEAT_SECONDS,
    HOOKS_OF_A_GROUP,
    LAUNCHING,
    TERMINATING,
    Action,
    Activity,
    Group,
    Hook,
    Member,
    State,
)

LONGEST_HEARTBEAT_SECONDS = 7200


def check_sizes(minimum: int, maximum: int, desired: int) -> None:
    if maximum < minimum:
        raise validation_error(
            f"Max bound, {maximum}, must be greater than or equal to min bound, {minimum}"
        )
    if not minimum <= desired <= maximum:
        raise validation_error(
            f"Desired capacity:{desired} must be between the specified min size:{minimum} and "
            f"max size:{maximum}"
        )


def set_desired(group: Group, desired: int, now: dt.datetime) -> None:
    if desired > group.max_size:
        raise validation_error(
            f"New SetDesiredCapacity value {desired} is above max value {group.max_size} for the "
            "AutoScalingGroup."
        )
    if desired < group.min_size:
        raise validation_error(
            f"New SetDesiredCapacity value {desired} is below min value {group.min_size} for the "
            "AutoScalingGroup."
        )
    if desired != group.desired:
        group.capacity_cause = wording.desired_by_user(now, group.desired, desired)
        group.desired = desired


def check_policies(policies: list[str]) -> None:
    """A function stands before all others, as on AWS; of the others only the default one is played."""
    for place, policy in enumerate(policies):
        if policy.startswith("arn:aws:lambda:") and place > 0:
            raise validation_error(
                "Lambda function ARN must be the first termination policy in the list."
            )
        if policy.endswith(":$LATEST"):
            raise validation_error("The $LATEST version of a function is not a termination policy.")
        if policy != "Default" and not policy.startswith("arn:aws:lambda:"):
            raise validation_error(f"Termination policy {policy} is not played here.")


def put_hook(group: Group, params: dict[str, Any], minimum_heartbeat: int) -> None:
    """Creates or updates a hook. An update leaves out what it does not change."""
    name = params["LifecycleHookName"]
    known = group.hooks.get(name)
    transition = params.get("LifecycleTransition") or (known.transition if known else None)
    if transition is None:
        raise validation_error("Lifecycle transition must be specified for a new lifecycle hook.")
    if transition not in (LAUNCHING, TERMINATING):
        raise validation_error(f"Lifecycle transition {transition} is not supported.")
    heartbeat = params.get("HeartbeatTimeout")
    heartbeat = int(
        heartbeat
        if heartbeat is not None
        else known.heartbeat_seconds
        if known
        else DEFAULT_HEARTBEAT_SECONDS
    )
    if not minimum_heartbeat <= heartbeat <= LONGEST_HEARTBEAT_SECONDS:
        raise validation_error(
            f"Heartbeat Timeout {heartbeat} must be between {minimum_heartbeat} and "
            f"{LONGEST_HEARTBEAT_SECONDS} seconds"
        )
    result = params.get("DefaultResult") or (known.default_result if known else ABANDON)
    if result not in (CONTINUE, ABANDON):
        raise validation_error("Lifecycle Action Default Result must be CONTINUE or ABANDON")
    if known is None and len(group.hooks) >= HOOKS_OF_A_GROUP:
        raise ApiError("LimitExceeded", "The limit of lifecycle hooks has been reached.", 400)
    group.hooks[name] = Hook(
        name=name,
        transition=transition,
        heartbeat_seconds=heartbeat,
        default_result=result,
        notification_metadata=params.get("NotificationMetadata")
        or (known.notification_metadata if known else None),
        notification_target_arn=params.get("NotificationTargetARN"),
        role_arn=params.get("RoleARN"),
    )


def active_action(
    group: Group, hook_name: str, instance_id: str | None, token: str | None
) -> tuple[Member, Action]:
    """The action that a token names, or else the hook's on that instance.

    Errors: ValidationError `No active Lifecycle Action found with ...`, which is what a caller sees
    for an action that is done, expired, or never was.
    """
    if hook_name not in group.hooks:
        raise validation_error(
            f"No Lifecycle Hook found with name {hook_name} on AutoScalingGroup {group.name}"
        )
    if token is None and instance_id is None:
        raise validation_error("Either Lifecycle Action Token or Instance Id must be specified.")
    for member in group.members.values():
        for action in member.active_actions():
            if action.hook.name != hook_name:
                continue
            if token == action.token or (token is None and member.id == instance_id):
                return member, action
    what = f"token {token}" if token is not None else f"instance ID {instance_id}"
    raise validation_error(f"No active Lifecycle Action found with {what}")


def complete(group: Group, params: dict[str, Any], moment: Moment) -> list[Effect]:
    result = params["LifecycleActionResult"]
    if result not in (CONTINUE, ABANDON):
        raise validation_error(
            f"Lifecycle Action Result {result} is not valid. Valid values are CONTINUE and ABANDON"
        )
    member, action = active_action(
        group,
        params["LifecycleHookName"],
        params.get("InstanceId"),
        params.get("LifecycleActionToken"),
    )
    reason = wording.ABANDONED_BY_CALL if result == ABANDON else ""
    effects = decisions.complete(group, member, action, result, reason, moment)
    return effects + decisions.balance(group, moment)


def terminate(
    group: Group, member: Member, decrement: bool, moment: Moment
) -> tuple[Activity, list[Effect]]:
    """TerminateInstanceInAutoScalingGroup. A retained instance really ends, without hooks."""
    retained = member.state == State.TERMINATING_RETAINED
    leaving = member.ending or member.state.value.startswith("Terminating")
    if leaving and not retained:
        # Called again while it leaves: AWS answers with the activity and changes nothing.
        return member.activity, []
    before = group.desired
    if decrement:
        if group.desired <= group.min_size:
            raise validation_error(
                f"Currently, desiredSize equals minSize ({group.min_size}). Terminating instance "
                "without replacement will violate group's min size constraint. Either set "
                "shouldDecrementDesiredCapacity flag to false or lower group's min size."
            )
        group.desired -= 1
    cause = wording.by_user(
        moment.now, member.id, before if decrement else None, group.desired if decrement else None
    )
    if retained:
        activity = Activity(
            id=moment.new_id(),
            kind="terminate",
            description=wording.terminate_description(member.id),
            cause=cause,
            start_time=moment.now,
            zone=member.zone,
            subnet_id=member.subnet_id,
            instance_id=member.id,
        )
        group.activities.append(activity)
        member.activity = activity
        member.state = State.TERMINATING
        member.ending = True
        effects: list[Effect] = [End(member.id)]
    else:
        effects = decisions.begin_termination(group, member, cause, moment)
        activity = member.activity
    return activity, effects + decisions.balance(group, moment)


def delete(group: Group, force: bool, moment: Moment) -> list[Effect]:
    """Forced deletion ends what is there without hooks, as documented."""
    if group.members and not force:
        raise ApiError(
            "ResourceInUse",
            "You cannot delete an AutoScalingGroup while there are instances or pending Spot "
            "instance request(s) still in the group.",
            400,
        )
    group.deleting = True
    group.desired = 0
    effects: list[Effect] = []
    for member in group.members.values():
        for action in member.active_actions():
            action.result = ABANDON
            action.reason = "the group was deleted"
        member.state = State.TERMINATING
        member.pass_at = None
        member.ending = True
        effects.append(End(member.id))
    return effects
