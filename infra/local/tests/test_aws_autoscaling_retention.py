"""InstanceLifecyclePolicy: what an abandoned drain leaves in Terminating:Retained, and how that ends."""

from __future__ import annotations

import aws_support  # noqa: F401  (puts the package on the path)
from autoscaling_play import serving  # noqa: F401
from world.aws.autoscaling import requests
from world.aws.autoscaling.model import (
    ABANDON,
    CONTINUE,
    State,
)


def test_an_abandoned_drain_retains_the_instance_where_the_group_says_so(serving):
    serving.group.retain_on_abandon = True
    serving.scale(0)
    member = serving.members[0]
    serving.complete(member, "drain", ABANDON)
    assert (member.state, serving.ended) == (State.TERMINATING_RETAINED, [])


def test_a_timed_out_drain_with_default_abandon_retains_too(serving):
    serving.group.retain_on_abandon = True
    serving.scale(0)
    serving.pass_time(60)
    assert serving.states() == [State.TERMINATING_RETAINED]


def test_retention_has_no_effect_on_continue(serving):
    serving.group.retain_on_abandon = True
    serving.scale(0)
    member = serving.members[0]
    serving.complete(member, "drain", CONTINUE)
    assert serving.ended == [member.id]


def test_without_the_policy_an_abandoned_drain_ends_the_instance(serving):
    serving.scale(0)
    member = serving.members[0]
    serving.complete(member, "drain", ABANDON)
    assert serving.ended == [member.id]


def test_retained_and_terminating_members_do_not_count(serving):
    serving.group.retain_on_abandon = True
    member = serving.members[0]
    _, effects = requests.terminate(serving.group, member, False, serving.moment())
    serving.settle(effects)
    assert member.state == State.TERMINATING_WAIT
    assert [m.state for m in serving.members if m is not member] == [State.PENDING]
    serving.complete(member, "drain", ABANDON)
    assert member.state == State.TERMINATING_RETAINED
    assert len(serving.group.counting()) == serving.group.desired == 1


def test_a_retained_instance_ends_by_call_without_hooks_and_without_replacement(serving):
    serving.group.retain_on_abandon = True
    serving.scale(0)
    member = serving.members[0]
    serving.complete(member, "drain", ABANDON)
    _, effects = requests.terminate(serving.group, member, False, serving.moment())
    serving.settle(effects)
    assert serving.ended == [member.id]
    serving.gone(member)
    assert serving.members == []
    assert serving.group.desired == 0


def test_ending_a_retained_instance_with_decrement_shrinks_the_group_too(serving):
    serving.group.retain_on_abandon = True
    member = serving.members[0]
    _, effects = requests.terminate(serving.group, member, False, serving.moment())
    serving.settle(effects)
    serving.complete(member, "drain", ABANDON)
    _, effects = requests.terminate(serving.group, member, True, serving.moment())
    serving.settle(effects)
    assert serving.group.desired == 0
