"""A group that lives in a test of Auto Scaling's rules, with the clock in the test's hand."""

from __future__ import annotations

import datetime as dt
import itertools

import aws_support  # noqa: F401  (puts the package on the path)
import pytest
from world.aws.autoscaling import decisions, requests
from world.aws.autoscaling.decisions import Ask, End, Launch, Moment
from world.aws.autoscaling.model import (
    ABANDON,
    LAUNCHING,
    TERMINATING,
    Group,
    Hook,
    Member,
    State,
)
from world.aws.autoscaling.notices import Announce

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


class Play:
    """A group that lives in the test: launches succeed at once, time passes when told."""

    def __init__(self, desired: int = 0, **settings):
        self.now = START
        self.ids = itertools.count(1)
        self.announced: list[Announce] = []
        self.ended: list[str] = []
        self.asked: list[Ask] = []
        """What the function of the termination policy has been asked and has not answered."""
        self.group = Group(
            name="nvme-nodes",
            arn="arn:aws:autoscaling:us-west-2:123456789012:autoScalingGroup:u:autoScalingGroupName/nvme-nodes",
            created_at=START,
            min_size=0,
            max_size=10,
            desired=desired,
            subnets={"subnet-a": "us-west-2a", "subnet-b": "us-west-2b", "subnet-c": "us-west-2c"},
            **settings,
        )

    def moment(self) -> Moment:
        return Moment(self.now, lambda: f"id-{next(self.ids)}")

    def settle(self, effects) -> None:
        while effects:
            following = []
            for effect in effects:
                if isinstance(effect, Announce):
                    self.announced.append(effect)
                elif isinstance(effect, End):
                    self.ended.append(effect.instance_id)
                elif isinstance(effect, Ask):
                    self.asked.append(effect)
                else:
                    following += self._launch(effect)
            effects = following

    def _launch(self, effect: Launch):
        member = Member(
            id=f"i-{next(self.ids):04d}",
            zone=effect.activity.zone,
            subnet_id=effect.activity.subnet_id,
            instance_type="m5d.4xlarge",
            image_id="ami-1",
            template={"Version": "1"},
            state=State.PENDING,
            joined_at=self.now,
            activity=effect.activity,
        )
        decisions.launched(self.group, effect.activity, member, self.moment())
        return decisions.advance(self.group, self.moment())

    def scale(self, desired: int) -> None:
        requests.set_desired(self.group, desired, self.now)
        self.settle(decisions.balance(self.group, self.moment()))

    def pass_time(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)
        self.settle(decisions.advance(self.group, self.moment()))

    def answer(self, *named: Member) -> None:
        """The function of the termination policy names these."""
        ids = [member.id for member in named]
        self.settle(decisions.answered(self.group, self.asked.pop(), ids, self.moment()))

    def boot(self) -> None:
        for member in list(self.group.members.values()):
            self.settle(decisions.ec2_running(self.group, member, self.moment()))

    def gone(self, member: Member) -> None:
        self.settle(decisions.ec2_gone(self.group, member, self.moment()))

    def hook(self, name: str, transition: str, heartbeat: int = 60, result: str = ABANDON) -> None:
        self.group.hooks[name] = Hook(name, transition, heartbeat, result)

    def complete(self, member: Member, hook: str, result: str, token: str | None = None) -> None:
        parameters = {
            "LifecycleHookName": hook,
            "LifecycleActionResult": result,
            "InstanceId": member.id,
        }
        if token:
            parameters["LifecycleActionToken"] = token
        self.settle(requests.complete(self.group, parameters, self.moment()))

    def beat(self, member: Member, hook: str) -> None:
        _, action = requests.active_action(self.group, hook, member.id, None)
        decisions.beat(action, self.moment())

    @property
    def members(self) -> list[Member]:
        return list(self.group.members.values())

    def states(self) -> list[State]:
        return [member.state for member in self.members]

    def types(self) -> list[str]:
        return [announce.detail_type for announce in self.announced]


@pytest.fixture
def joining() -> Play:
    """One instance that waits for the join hook."""
    play = Play()
    play.hook("join", LAUNCHING)
    play.scale(1)
    return play


@pytest.fixture
def serving() -> Play:
    """One instance in service, with a drain hook on the group."""
    play = Play()
    play.scale(1)
    play.boot()
    play.hook("drain", TERMINATING)
    return play
