"""Groups, their members, hooks and open lifecycle actions. Data only; times are UTC datetimes."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

# https://docs.aws.amazon.com/autoscaling/ec2/userguide/lifecycle-hooks.html: "The maximum is
# 172800 seconds (48 hours) or 100 times HeartbeatTimeout, whichever is smaller."
LONGEST_ACTION_SECONDS = 172_800
HEARTBEATS_IN_AN_ACTION = 100
DEFAULT_HEARTBEAT_SECONDS = 3600
HOOKS_OF_A_GROUP = 50

LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"

CONTINUE = "CONTINUE"
ABANDON = "ABANDON"


class State(StrEnum):
    PENDING = "Pending"
    PENDING_WAIT = "Pending:Wait"
    PENDING_PROCEED = "Pending:Proceed"
    IN_SERVICE = "InService"
    TERMINATING = "Terminating"
    TERMINATING_WAIT = "Terminating:Wait"
    TERMINATING_PROCEED = "Terminating:Proceed"
    TERMINATING_RETAINED = "Terminating:Retained"


JOINING = frozenset({State.PENDING, State.PENDING_WAIT, State.PENDING_PROCEED})
# What the group counts toward its desired capacity: retained and terminating members do not.
COUNTING = JOINING | {State.IN_SERVICE}


@dataclass
class Hook:
    name: str
    transition: str
    heartbeat_seconds: int = DEFAULT_HEARTBEAT_SECONDS
    default_result: str = ABANDON
    notification_metadata: str | None = None
    notification_target_arn: str | None = None
    role_arn: str | None = None

    @property
    def global_seconds(self) -> int:
        return min(LONGEST_ACTION_SECONDS, HEARTBEATS_IN_AN_ACTION * self.heartbeat_seconds)


@dataclass
class Action:
    """One hook holding one instance. The token identifies it."""

    hook: Hook
    token: str
    started_at: dt.datetime
    beat_at: dt.datetime
    result: str | None = None
    """None while it is active; then CONTINUE or ABANDON."""
    reason: str = ""

    @property
    def expires_at(self) -> dt.datetime:
        heartbeat = self.beat_at + dt.timedelta(seconds=self.hook.heartbeat_seconds)
        longest = self.started_at + dt.timedelta(seconds=self.hook.global_seconds)
        return min(heartbeat, longest)


@dataclass
class Activity:
    """A scaling activity, as DescribeScalingActivities shows it."""

    id: str
    kind: str
    """`launch` or `terminate`."""
    description: str
    cause: str
    start_time: dt.datetime
    end_time: dt.datetime | None = None
    status: str = "InProgress"
    status_message: str = ""
    progress: int = 0
    zone: str = ""
    subnet_id: str = ""
    instance_id: str = ""


@dataclass
class Member:
    """An instance of a group. `id` is known as soon as EC2 has accepted the launch."""

    id: str
    zone: str
    subnet_id: str
    instance_type: str
    image_id: str
    template: dict[str, str]
    state: State
    joined_at: dt.datetime
    activity: Activity
    """The activity under way, or the last one."""
    protected: bool = False
    healthy: bool = True
    running: bool = False
    """EC2 says `running`."""
    actions: list[Action] = field(default_factory=list)
    pass_at: dt.datetime | None = None
    """When a passing state (Pending, ...:Proceed) ends."""
    retain_next: bool = False
    """Terminating:Proceed leads to Terminating:Retained and not to the end."""
    reclaimed: bool = False
    """EC2 takes the instance back whatever the hooks say."""
    ending: bool = False
    """EC2 has been told to end it, or has ended it by itself."""

    def active_actions(self) -> list[Action]:
        return [action for action in self.actions if action.result is None]


@dataclass
class Group:
    name: str
    arn: str
    created_at: dt.datetime
    min_size: int
    max_size: int
    desired: int
    subnets: dict[str, str]
    """Subnet id -> zone, in the order given."""
    launch_template: dict[str, str] | None = None
    mixed_instances_policy: dict[str, Any] | None = None
    retain_on_abandon: bool = False
    protect_new: bool = False
    capacity_rebalance: bool = False
    default_cooldown: int = 300
    health_check_type: str = "EC2"
    health_check_grace_seconds: int = 0
    max_instance_lifetime: int | None = None
    termination_policies: list[str] = field(default_factory=lambda: ["Default"])
    tags: dict[str, tuple[str, bool]] = field(default_factory=dict)
    """Key -> (value, propagated at launch)."""
    suspended: set[str] = field(default_factory=set)
    hooks: dict[str, Hook] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    launching: list[Activity] = field(default_factory=list)
    """Launches asked of EC2 whose instance id is not known yet."""
    activities: list[Activity] = field(default_factory=list)
    """Newest last."""
    capacity_cause: str = ""
    """Why the desired capacity is what it is, in AWS's words; goes into the next activities."""
    deleting: bool = False
    asking: bool = False
    """The termination policy's function has been asked and has not answered yet."""
    ask_again_at: dt.datetime | None = None
    """When the function is asked once more, as it named too few or did not answer."""

    @property
    def policy_function(self) -> str | None:
        """The function that is the group's termination policy."""
        first = self.termination_policies[0] if self.termination_policies else ""
        return first if first.startswith("arn:") else None

    @property
    def market(self) -> str:
        """`spot` or `on-demand`: all of one group are bought alike here."""
        policy: dict[str, Any] = self.mixed_instances_policy or {}
        distribution = policy.get("InstancesDistribution", {})
        only_spot = (
            int(distribution.get("OnDemandBaseCapacity") or 0) == 0
            and int(distribution.get("OnDemandPercentageAboveBaseCapacity", 100)) == 0
        )
        return "spot" if only_spot else "on-demand"

    @property
    def zones(self) -> list[str]:
        return sorted(set(self.subnets.values()))

    def counting(self) -> list[Member]:
        return [member for member in self.members.values() if member.state in COUNTING]

    def hooks_for(self, transition: str) -> list[Hook]:
        return [hook for hook in self.hooks.values() if hook.transition == transition]
