"""Auto Scaling's rules on their own, with the clock in the test's hand."""

from __future__ import annotations

import datetime as dt

import aws_support  # noqa: F401  (puts the package on the path)
import pytest
from autoscaling_play import START, Play, joining, serving  # noqa: F401
from world.aws.autoscaling import decisions, requests
from world.aws.autoscaling.decisions import End, Moment
from world.aws.autoscaling.model import (
    ABANDON,
    CONTINUE,
    LAUNCHING,
    TERMINATING,
    Hook,
    Member,
    State,
)
from world.aws.errors import ApiError


def test_without_hooks_an_instance_serves_once_it_runs():
    play = Play()
    play.scale(1)
    assert play.states() == [State.PENDING]
    play.boot()
    assert play.states() == [State.IN_SERVICE]
    assert play.types() == ["EC2 Instance Launch Successful"]


def test_a_launch_hook_holds_an_instance_until_it_is_continued(joining):
    joining.boot()
    assert joining.states() == [State.PENDING_WAIT]
    joining.complete(joining.members[0], "join", CONTINUE)
    assert joining.states() == [State.IN_SERVICE]


def test_a_continued_launch_waits_for_the_instance_to_run(joining):
    joining.complete(joining.members[0], "join", CONTINUE)
    assert joining.states() == [State.PENDING_PROCEED]
    joining.boot()
    assert joining.states() == [State.IN_SERVICE]


def test_the_launch_event_has_every_documented_field(joining):
    member = joining.members[0]
    event = joining.announced[0]
    assert event.detail_type == "EC2 Instance-launch Lifecycle Action"
    assert event.resources == (joining.group.arn,)
    assert event.detail == {
        "LifecycleActionToken": member.actions[0].token,
        "AutoScalingGroupName": "nvme-nodes",
        "LifecycleHookName": "join",
        "EC2InstanceId": member.id,
        "LifecycleTransition": LAUNCHING,
        "Origin": "EC2",
        "Destination": "AutoScalingGroup",
    }


def test_the_terminate_event_goes_the_other_way(serving):
    serving.scale(0)
    detail = serving.announced[-1].detail
    assert serving.announced[-1].detail_type == "EC2 Instance-terminate Lifecycle Action"
    assert (detail["Origin"], detail["Destination"]) == ("AutoScalingGroup", "EC2")
    assert detail["LifecycleTransition"] == TERMINATING


def test_an_abandoned_launch_is_ended_and_replaced(joining):
    first = joining.members[0]
    joining.complete(first, "join", ABANDON)
    assert joining.ended == [first.id]
    assert [m.state for m in joining.members if m is not first] == [State.PENDING_WAIT]
    assert "EC2 Instance Launch Unsuccessful" in joining.types()
    launch = joining.group.activities[0]
    assert launch.status == "Cancelled"
    assert launch.status_message.endswith(
        "was abandoned: Lifecycle Action Completed with ABANDON Result"
    )


def test_the_terminate_hook_also_runs_for_an_abandoned_launch(joining):
    joining.hook("drain", TERMINATING)
    first = joining.members[0]
    joining.complete(first, "join", ABANDON)
    assert first.state == State.TERMINATING_WAIT
    assert joining.ended == []


def test_a_heartbeat_restarts_the_timeout(joining):
    member = joining.members[0]
    joining.pass_time(59)
    joining.beat(member, "join")
    joining.pass_time(59)
    assert member.state == State.PENDING_WAIT
    joining.pass_time(1)
    assert member.state == State.TERMINATING_PROCEED
    assert "Heartbeat Timeout Expired" in joining.group.activities[0].status_message


def test_heartbeats_cannot_hold_an_action_longer_than_a_hundred_timeouts(joining):
    member = joining.members[0]
    for _ in range(199):
        joining.pass_time(30)
        joining.beat(member, "join")
    assert member.state == State.PENDING_WAIT
    joining.pass_time(30)
    assert member.state != State.PENDING_WAIT


def test_the_longest_action_is_48_hours():
    assert Hook("h", LAUNCHING, heartbeat_seconds=7200).global_seconds == 172_800
    assert Hook("h", LAUNCHING, heartbeat_seconds=300).global_seconds == 30_000


def test_a_timeout_with_default_continue_lets_the_instance_serve():
    play = Play()
    play.hook("join", LAUNCHING, heartbeat=60, result=CONTINUE)
    play.scale(1)
    play.boot()
    play.pass_time(60)
    assert play.states() == [State.IN_SERVICE]


def test_an_instance_waits_for_all_hooks_of_a_transition():
    play = Play()
    play.hook("one", LAUNCHING)
    play.hook("two", LAUNCHING)
    play.scale(1)
    play.boot()
    member = play.members[0]
    assert len({action.token for action in member.actions}) == 2
    play.complete(member, "one", CONTINUE)
    assert member.state == State.PENDING_WAIT
    play.complete(member, "two", CONTINUE)
    assert member.state == State.IN_SERVICE


def test_one_abandon_ends_the_wait_for_the_other_terminate_hooks(serving):
    serving.hook("other", TERMINATING)
    serving.scale(0)
    member = serving.members[0]
    serving.complete(member, "drain", ABANDON)
    assert serving.ended == [member.id]
    with pytest.raises(ApiError, match="No active Lifecycle Action found"):
        serving.complete(member, "other", CONTINUE)


def test_continue_on_terminate_waits_for_the_other_hooks(serving):
    serving.hook("other", TERMINATING)
    serving.scale(0)
    member = serving.members[0]
    serving.complete(member, "drain", CONTINUE)
    assert (member.state, serving.ended) == (State.TERMINATING_WAIT, [])
    serving.complete(member, "other", CONTINUE)
    assert serving.ended == [member.id]


def test_completing_twice_says_that_no_action_is_active(joining):
    member = joining.members[0]
    token = member.actions[0].token
    joining.complete(member, "join", CONTINUE)
    with pytest.raises(ApiError) as raised:
        joining.complete(member, "join", CONTINUE)
    assert raised.value.code == "ValidationError"
    assert raised.value.message == f"No active Lifecycle Action found with instance ID {member.id}"
    with pytest.raises(ApiError, match=f"No active Lifecycle Action found with token {token}"):
        joining.complete(member, "join", CONTINUE, token)


def test_a_token_of_another_action_completes_nothing(joining):
    member = joining.members[0]
    with pytest.raises(ApiError, match="found with token somebody-elses"):
        joining.complete(member, "join", CONTINUE, "somebody-elses")
    assert member.state == State.PENDING_WAIT


def test_scale_in_of_a_joining_instance_runs_its_terminate_hook(joining):
    joining.hook("drain", TERMINATING)
    member = joining.members[0]
    joining.scale(0)
    assert member.state == State.TERMINATING_WAIT
    with pytest.raises(ApiError, match="No active Lifecycle Action found"):
        joining.complete(member, "join", CONTINUE)
    joining.complete(member, "drain", CONTINUE)
    assert joining.ended == [member.id]


def test_terminating_with_decrement_shrinks_the_group(serving):
    member = serving.members[0]
    activity, effects = requests.terminate(serving.group, member, True, serving.moment())
    serving.settle(effects)
    assert serving.group.desired == 0
    assert len(serving.members) == 1
    assert "shrinking the capacity from 1 to 0" in activity.cause


def test_terminating_with_decrement_below_the_minimum_is_refused(serving):
    serving.group.min_size = 1
    with pytest.raises(ApiError, match=r"Currently, desiredSize equals minSize \(1\)"):
        requests.terminate(serving.group, serving.members[0], True, serving.moment())
    assert serving.states() == [State.IN_SERVICE]


def test_terminating_again_changes_nothing(serving):
    serving.scale(2)
    serving.boot()
    member = serving.members[0]
    first, effects = requests.terminate(serving.group, member, True, serving.moment())
    serving.settle(effects)
    again, effects = requests.terminate(serving.group, member, True, serving.moment())
    assert (again.id, effects, serving.group.desired) == (first.id, [], 1)


def test_instances_are_spread_over_the_zones():
    play = Play()
    play.scale(6)
    zones = [member.zone for member in play.members]
    assert sorted(zones.count(zone) for zone in set(zones)) == [2, 2, 2]


def test_the_victim_is_the_oldest_of_the_fullest_zone():
    play = Play()
    play.scale(3)
    play.boot()
    play.pass_time(10)
    play.scale(4)
    play.boot()
    crowded = play.members[3].zone
    oldest = next(member for member in play.members if member.zone == crowded)
    play.scale(3)
    assert play.ended == [oldest.id]


def test_a_protected_instance_is_not_scaled_in():
    play = Play()
    play.scale(2)
    play.boot()
    play.members[0].protected = True
    play.scale(0)
    assert [m.state for m in play.members if m.protected] == [State.IN_SERVICE]
    assert len(play.ended) == 1


def test_an_instance_that_ec2_ends_is_replaced_without_its_hooks(serving):
    member = serving.members[0]
    serving.settle(decisions.ec2_ending(serving.group, member, serving.moment()))
    assert "EC2 Instance-terminate Lifecycle Action" not in serving.types()
    assert [m.state for m in serving.members if m is not member] == [State.PENDING]
    serving.gone(member)
    assert member not in serving.members
    assert "EC2 health check" in serving.group.activities[1].cause


def test_an_unhealthy_report_replaces_the_instance_with_its_hooks(serving):
    member = serving.members[0]
    serving.settle(decisions.mark_unhealthy(serving.group, member, serving.moment()))
    assert member.state == State.TERMINATING_WAIT
    assert len(serving.group.counting()) == 1


def test_passing_states_can_be_seen_for_a_while():
    play = Play()
    play.hook("join", LAUNCHING)
    slow = Moment(play.now, lambda: f"id-{next(play.ids)}", dt.timedelta(seconds=2))
    requests.set_desired(play.group, 1, play.now)
    (launch,) = decisions.balance(play.group, slow)
    member = Member(
        "i-1", "us-west-2a", "subnet-a", "t", "ami", {}, State.PENDING, play.now, launch.activity
    )
    decisions.launched(play.group, launch.activity, member, slow)
    assert decisions.advance(play.group, slow) == []
    assert member.state == State.PENDING
    assert decisions.next_due(play.group) == play.now + dt.timedelta(seconds=2)
    play.pass_time(2)
    assert member.state == State.PENDING_WAIT


def test_suspended_processes_neither_launch_nor_terminate(serving):
    serving.group.suspended = {"Launch", "Terminate"}
    serving.scale(3)
    assert len(serving.members) == 1
    serving.scale(0)
    assert serving.states() == [State.IN_SERVICE]


def test_the_activity_tells_why_in_the_words_of_aws(serving):
    assert serving.group.activities[0].cause == (
        "At 2026-01-01T00:00:00Z a user request explicitly set group desired capacity changing the "
        "desired capacity from 0 to 1.  At 2026-01-01T00:00:00Z an instance was started in "
        "response to a difference between desired and actual capacity, increasing the capacity from 0 to 1."
    )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"HeartbeatTimeout": 29}, "must be between 30 and 7200"),
        ({"DefaultResult": "MAYBE"}, "must be CONTINUE or ABANDON"),
        ({"LifecycleTransition": "autoscaling:ELSEWHERE"}, "is not supported"),
    ],
)
def test_a_hook_that_aws_refuses_is_refused(parameters, message):
    wanted = {"LifecycleHookName": "h", "LifecycleTransition": LAUNCHING} | parameters
    with pytest.raises(ApiError, match=message):
        requests.put_hook(Play().group, wanted, minimum_heartbeat=30)


def test_an_updated_hook_keeps_what_the_update_leaves_out():
    group = Play().group
    first = {"LifecycleHookName": "h", "LifecycleTransition": LAUNCHING, "HeartbeatTimeout": 99}
    requests.put_hook(group, first, 30)
    requests.put_hook(group, {"LifecycleHookName": "h", "DefaultResult": CONTINUE}, 30)
    hook = group.hooks["h"]
    assert (hook.heartbeat_seconds, hook.default_result) == (99, CONTINUE)


def test_desired_capacity_stays_within_the_bounds():
    group = Play().group
    with pytest.raises(ApiError, match="is above max value 10"):
        requests.set_desired(group, 11, START)
    group.min_size = 2
    with pytest.raises(ApiError, match="is below min value 2"):
        requests.set_desired(group, 1, START)


def test_a_forced_deletion_ends_everything_without_hooks(serving):
    member = serving.members[0]
    with pytest.raises(ApiError, match="while there are instances"):
        requests.delete(serving.group, False, serving.moment())
    effects = requests.delete(serving.group, True, serving.moment())
    assert effects == [End(member.id)]
