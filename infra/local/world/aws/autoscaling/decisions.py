"""What happens to a group. Pure: the moment goes in, effects come out, nothing is read or sent.

The engine holds the lock, passes the moment, carries out the effects and reports back what EC2 did
(`launched`, `ec2_running`, `ec2_ending`, `ec2_gone`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import notices, victims, wording
from .model import (
    ABANDON,
    CONTINUE,
    JOINING,
    LAUNCHING,
    TERMINATING,
    Action,
    Activity,
    Group,
    Member,
    State,
)
from .notices import Announce


@dataclass(frozen=True)
class Moment:
    now: dt.datetime
    new_id: Callable[[], str]
    passing: dt.timedelta = dt.timedelta(0)
    """How long a passing state (Pending, Terminating, ...:Proceed) stays visible."""


@dataclass(frozen=True)
class Launch:
    activity: Activity


@dataclass(frozen=True)
class End:
    instance_id: str


@dataclass(frozen=True)
class Ask:
    """Asks the function that is the group's termination policy; its answer goes to `answered`."""

    function: str
    question: dict[str, Any]
    cause: str
    """Why the capacity is what it is, in AWS's words."""


Effect = Announce | Launch | End | Ask

# How soon AWS asks again is not documented.
ASK_AGAIN = dt.timedelta(seconds=5)


def balance(group: Group, moment: Moment, launch_cause: str | None = None) -> list[Effect]:
    """Brings what counts to the desired capacity: launches what is missing, ends what is over."""
    if group.deleting:
        return []
    effects: list[Effect] = []
    actual = len(group.counting()) + len(group.launching)
    missing = group.desired - actual
    if missing > 0 and "Launch" not in group.suspended:
        cause = launch_cause or wording.launched(
            moment.now, group.capacity_cause, actual, group.desired
        )
        for _ in range(missing):
            subnet = _emptiest_subnet(group)
            activity = Activity(
                id=moment.new_id(),
                kind="launch",
                description="Launching a new EC2 instance",
                cause=cause,
                start_time=moment.now,
                status="PreInService",
                subnet_id=subnet,
                zone=group.subnets[subnet],
            )
            group.launching.append(activity)
            group.activities.append(activity)
            effects.append(Launch(activity))
    elif missing < 0 and "Terminate" not in group.suspended:
        if group.policy_function is None:
            leaving = victims.by_default(group, -missing)
            effects += _scale_in(group, leaving, group.capacity_cause, moment)
        elif not group.asking and (group.ask_again_at or moment.now) <= moment.now:
            group.asking, group.ask_again_at = True, None
            asked = victims.question(group, -missing)
            effects.append(Ask(group.policy_function, asked, group.capacity_cause))
    group.capacity_cause = ""
    return effects


def _emptiest_subnet(group: Group) -> str:
    load = dict.fromkeys(group.subnets, 0)
    for placed in [*group.counting(), *group.launching]:
        if placed.subnet_id in load:
            load[placed.subnet_id] += 1
    return min(load, key=lambda subnet: load[subnet])


def answered(group: Group, ask: Ask, named: list[str] | None, moment: Moment) -> list[Effect]:
    """The policy's function has named who may go. None: it gave no answer, and nobody goes."""
    group.asking = False
    over = len(group.counting()) + len(group.launching) - group.desired
    leaving = victims.by_answer(group, ask.question, named or [], max(over, 0))
    if len(leaving) < over:
        group.ask_again_at = moment.now + ASK_AGAIN
    return _scale_in(group, leaving, ask.cause, moment)


def _scale_in(group: Group, leaving: list[Member], cause: str, moment: Moment) -> list[Effect]:
    effects: list[Effect] = []
    actual = len(group.counting()) + len(group.launching)
    for member in leaving:
        why = wording.selected(moment.now, cause, actual, group.desired, member.id)
        effects += begin_termination(group, member, why, moment)
    return effects


def launched(group: Group, activity: Activity, member: Member, moment: Moment) -> None:
    """EC2 has accepted a launch: the member is Pending from here on."""
    group.launching.remove(activity)
    activity.instance_id = member.id
    activity.description = wording.launch_description(member.id)
    member.pass_at = moment.now + moment.passing
    group.members[member.id] = member


def launch_failed(group: Group, activity: Activity, message: str, moment: Moment) -> list[Effect]:
    group.launching.remove(activity)
    _end(activity, "Failed", moment, message)
    activity.description = "Launching a new EC2 instance.  Status Reason: " + message
    return [notices.activity_ended(notices.LAUNCH_UNSUCCESSFUL, group, activity, "Failed")]


def begin_termination(
    group: Group, member: Member, cause: str, moment: Moment, launch_message: str = ""
) -> list[Effect]:
    """The member leaves the capacity at once; its terminate hooks run, whatever state it was in."""
    if member.state in JOINING:
        _end(member.activity, "Cancelled", moment, launch_message)
    for action in member.active_actions():
        action.result = ABANDON
        action.reason = "the instance is being terminated"
    activity = Activity(
        id=moment.new_id(),
        kind="terminate",
        description=wording.terminate_description(member.id),
        cause=cause,
        start_time=moment.now,
        subnet_id=member.subnet_id,
        zone=member.zone,
        instance_id=member.id,
    )
    group.activities.append(activity)
    member.activity = activity
    member.state = State.TERMINATING
    member.pass_at = moment.now + moment.passing
    return _progress(group, member, moment)


def complete(
    group: Group, member: Member, action: Action, result: str, reason: str, moment: Moment
) -> list[Effect]:
    """A hook's action has a result, by call or by timeout.

    CONTINUE waits for the group's other hooks on the transition; ABANDON stops them.
    """
    action.result = result
    action.reason = reason
    if result == ABANDON:
        for other in member.active_actions():
            other.result = ABANDON
            other.reason = f"{action.hook.name} was abandoned"
    elif member.active_actions():
        return []
    if action.hook.transition == LAUNCHING:
        if result == ABANDON:
            message = wording.abandoned(action.token, reason)
            _end(member.activity, "Cancelled", moment, message)
            notice = notices.activity_ended(
                notices.LAUNCH_UNSUCCESSFUL, group, member.activity, "Failed"
            )
            cause = wording.after_abandoned_launch(moment.now)
            return [notice, *begin_termination(group, member, cause, moment, message)]
        member.state = State.PENDING_PROCEED
    else:
        member.state = State.TERMINATING_PROCEED
        member.retain_next = result == ABANDON and group.retain_on_abandon
    member.pass_at = moment.now + moment.passing
    return _progress(group, member, moment)


def beat(action: Action, moment: Moment) -> None:
    """Restarts the heartbeat timeout; the action's longest time is not extended."""
    action.beat_at = moment.now


def advance(group: Group, moment: Moment) -> list[Effect]:
    """Everything that is due by time alone: passing states, expired actions."""
    effects: list[Effect] = []
    for member in list(group.members.values()):
        for action in member.active_actions():
            if action.result is None and moment.now >= action.expires_at:
                effects += complete(
                    group,
                    member,
                    action,
                    action.hook.default_result,
                    wording.HEARTBEAT_EXPIRED,
                    moment,
                )
        effects += _progress(group, member, moment)
    return effects + balance(group, moment)


def next_due(group: Group) -> dt.datetime | None:
    """When `advance` has something to do again."""
    times = [member.pass_at for member in group.members.values() if member.pass_at]
    times += [a.expires_at for m in group.members.values() for a in m.active_actions()]
    times += [group.ask_again_at] if group.ask_again_at else []
    return min(times, default=None)


def _progress(group: Group, member: Member, moment: Moment) -> list[Effect]:
    """Leaves a passing state whose time is over. Zero passing time leaves it at once."""
    effects: list[Effect] = []
    while member.pass_at is not None and moment.now >= member.pass_at:
        member.pass_at = None
        if member.state == State.PENDING and group.hooks_for(LAUNCHING):
            effects += _wait(group, member, LAUNCHING, State.PENDING_WAIT, moment)
            member.activity.status = "MidLifecycleAction"
        elif member.state in (State.PENDING, State.PENDING_PROCEED):
            if member.running:
                effects += _in_service(group, member, moment)
        elif member.state == State.TERMINATING and group.hooks_for(TERMINATING):
            effects += _wait(group, member, TERMINATING, State.TERMINATING_WAIT, moment)
            member.activity.status = "MidTerminatingLifecycleAction"
        elif member.state == State.TERMINATING:
            member.state = State.TERMINATING_PROCEED
            member.pass_at = moment.now + moment.passing
        elif member.state == State.TERMINATING_PROCEED:
            effects += _leave(group, member, moment)
    return effects


def _wait(
    group: Group, member: Member, transition: str, state: State, moment: Moment
) -> list[Effect]:
    member.state = state
    member.actions = [
        Action(hook=hook, token=moment.new_id(), started_at=moment.now, beat_at=moment.now)
        for hook in group.hooks_for(transition)
    ]
    return [notices.lifecycle_action(group, member, action) for action in member.actions]


def _in_service(group: Group, member: Member, moment: Moment) -> list[Effect]:
    member.state = State.IN_SERVICE
    _end(member.activity, "Successful", moment)
    return [notices.activity_ended(notices.LAUNCH_SUCCESSFUL, group, member.activity, "InProgress")]


def _leave(group: Group, member: Member, moment: Moment) -> list[Effect]:
    if member.retain_next and not member.reclaimed:
        member.retain_next = False
        member.state = State.TERMINATING_RETAINED
        abandoned = next((a for a in member.actions if a.result == ABANDON), None)
        message = wording.abandoned(abandoned.token, abandoned.reason) if abandoned else ""
        _end(member.activity, "Cancelled", moment, message)
        return []
    member.ending = True
    return [End(member.id)]


def ec2_running(group: Group, member: Member, moment: Moment) -> list[Effect]:
    member.running = True
    if member.state in (State.PENDING, State.PENDING_PROCEED) and member.pass_at is None:
        return _in_service(group, member, moment)
    return []


def ec2_ending(group: Group, member: Member, moment: Moment) -> list[Effect]:
    """EC2 ends the instance. When the group did not ask for it, no hook can hold it."""
    if member.ending or member.reclaimed:
        return []
    was_counting = member in group.counting()
    if member.state in JOINING:
        _end(member.activity, "Cancelled", moment)
    for action in member.active_actions():
        action.result = ABANDON
        action.reason = "EC2 ended the instance"
    activity = Activity(
        id=moment.new_id(),
        kind="terminate",
        description=wording.terminate_description(member.id),
        cause=wording.unhealthy(moment.now, by_user_report=False),
        start_time=moment.now,
        subnet_id=member.subnet_id,
        zone=member.zone,
        instance_id=member.id,
    )
    group.activities.append(activity)
    member.activity = activity
    member.healthy = False
    member.ending = True
    member.state = State.TERMINATING
    member.pass_at = None
    return (
        balance(group, moment, wording.launched_for_unhealthy(moment.now)) if was_counting else []
    )


def ec2_gone(group: Group, member: Member, moment: Moment) -> list[Effect]:
    """The instance is `terminated`: it is no longer a member, unless hooks run that hold only its membership."""
    if member.reclaimed and not member.ending:
        return []
    effects = ec2_ending(group, member, moment)
    group.members.pop(member.id, None)
    _end(member.activity, "Successful", moment)
    return [
        *effects,
        notices.activity_ended(notices.TERMINATE_SUCCESSFUL, group, member.activity, "InProgress"),
    ]


def ec2_reclaimed(group: Group, member: Member, moment: Moment) -> list[Effect]:
    """EC2 takes a Spot instance back: the terminate hooks run, and hold nothing but the membership."""
    if member.ending:
        return []
    member.reclaimed = True
    return ec2_failed(group, member, moment)


def ec2_failed(group: Group, member: Member, moment: Moment) -> list[Effect]:
    """A health check finds the instance stopped or reclaimed: it is replaced, and its hooks run."""
    member.healthy = False
    if member.ending or member.state.value.startswith("Terminating"):
        return []
    cause = wording.unhealthy(moment.now, by_user_report=False)
    effects = begin_termination(group, member, cause, moment)
    return effects + balance(group, moment, wording.launched_for_unhealthy(moment.now))


def mark_unhealthy(group: Group, member: Member, moment: Moment) -> list[Effect]:
    """A health report by a user: replaced, and here the terminate hooks do run."""
    member.healthy = False
    if member.state != State.IN_SERVICE or "ReplaceUnhealthy" in group.suspended:
        return []
    cause = wording.unhealthy(moment.now, by_user_report=True)
    effects = begin_termination(group, member, cause, moment)
    return effects + balance(group, moment, wording.launched_for_unhealthy(moment.now))


def _end(activity: Activity, status: str, moment: Moment, message: str = "") -> None:
    if activity.end_time is not None:
        return
    activity.status = status
    activity.status_message = message
    activity.end_time = moment.now
    activity.progress = 100


__all__ = ["CONTINUE", "Ask", "Effect", "End", "Launch", "Moment"]
