"""Makes decisions real: holds groups and lock, keeps the clock, talks to EC2 and the bus."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import uuid
from collections.abc import Callable
from typing import Any

from ..config import Config
from ..ec2 import RECLAIMED, Bus, Ec2
from ..timers import Timer, Timers
from . import decisions
from .decisions import Ask, Effect, End, Launch, Moment
from .model import Group, Member, State
from .notices import SOURCE, Announce

log = logging.getLogger(__name__)

# A launch that EC2 refuses (template gone, subnet full) is tried again, as AWS does, not in a loop.
RETRY_LAUNCH_SECONDS = 5.0


class Engine:
    def __init__(
        self,
        config: Config,
        ec2: Ec2,
        bus: Bus,
        timers: Timers,
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ):
        self._config = config
        self._ec2 = ec2
        self._bus = bus
        self._timers = timers
        self._clock = clock
        self._wakeup: Timer | None = None
        self.lock = threading.RLock()
        self.groups: dict[str, Group] = {}
        self.ask_policy: Callable[[str, dict[str, Any]], list[str]] | None = None
        """Asks a group's function who goes: its ARN and the question. Set by the server once Lambda exists."""
        ec2.listen(self._ec2_state)

    def moment(self) -> Moment:
        return Moment(
            self._clock(),
            lambda: str(uuid.uuid4()),
            dt.timedelta(seconds=self._config.pace.transition),
        )

    def group_of(self, instance_id: str) -> Group | None:
        with self.lock:
            return next((g for g in self.groups.values() if instance_id in g.members), None)

    def settle(self, group: Group, effects: list[Effect]) -> None:
        """Carries out effects, then whatever follows from them, and sets the next wake-up."""
        with self.lock:
            while effects:
                effects = [
                    follow for effect in effects for follow in self._carry_out(group, effect)
                ]
            self._plan_wakeup()

    def rebalance(self, group: Group) -> None:
        with self.lock:
            self.settle(group, decisions.balance(group, self.moment()))

    def tick(self) -> None:
        with self.lock:
            for group in list(self.groups.values()):
                self.settle(group, decisions.advance(group, self.moment()))
            self._plan_wakeup()

    def _plan_wakeup(self) -> None:
        due = min(
            (d for d in (decisions.next_due(g) for g in self.groups.values()) if d), default=None
        )
        if self._wakeup is not None:
            self._wakeup.cancel()
            self._wakeup = None
        if due is not None:
            delay = (due - self._clock()).total_seconds()
            self._wakeup = self._timers.after(delay, self.tick)

    def _carry_out(self, group: Group, effect: Effect) -> list[Effect]:
        if isinstance(effect, Announce):
            self._bus.emit(SOURCE, effect.detail_type, list(effect.resources), effect.detail)
            return []
        if isinstance(effect, End):
            if not self._ec2.is_gone(effect.instance_id):
                self._ec2.end([effect.instance_id])
                return []
            # A reclaimed instance, whose hooks are done only now.
            return decisions.ec2_gone(group, group.members[effect.instance_id], self.moment())
        if isinstance(effect, Ask):
            threading.Thread(target=self._ask, args=(group, effect), daemon=True).start()
            return []
        return self._launch(group, effect)

    def _ask(self, group: Group, ask: Ask) -> None:
        named = None
        try:
            named = self.ask_policy(ask.function, ask.question) if self.ask_policy else None
        except Exception as error:
            log.warning("%s: %s named nobody: %s", group.name, ask.function, error)
        with self.lock:
            self.settle(group, decisions.answered(group, ask, named, self.moment()))

    def _launch(self, group: Group, effect: Launch) -> list[Effect]:
        activity = effect.activity
        tags = {"aws:autoscaling:groupName": group.name}
        tags |= {key: value for key, (value, propagated) in group.tags.items() if propagated}
        try:
            template = self._ec2.template(self._template_of(group))
            instance = self._ec2.launch(
                template, activity.subnet_id, tags, self._type_of(group), group.market == "spot"
            )
        except Exception as error:
            log.exception("a launch of %s failed", group.name)
            self._timers.after(RETRY_LAUNCH_SECONDS, lambda: self.rebalance(group))
            return decisions.launch_failed(group, activity, str(error), self.moment())
        member = Member(
            id=instance.id,
            zone=activity.zone,
            subnet_id=activity.subnet_id,
            instance_type=instance.instance_type,
            image_id=instance.image_id,
            template=template,
            state=State.PENDING,
            joined_at=self._clock(),
            activity=activity,
            protected=group.protect_new,
        )
        decisions.launched(group, activity, member, self.moment())
        return decisions.advance(group, self.moment())

    @staticmethod
    def _template_of(group: Group) -> dict[str, str]:
        if group.launch_template is not None:
            return group.launch_template
        policy: dict[str, Any] = group.mixed_instances_policy or {}
        return policy["LaunchTemplate"]["LaunchTemplateSpecification"]

    @staticmethod
    def _type_of(group: Group) -> str | None:
        """The first override of a mixed policy, as the `prioritized` strategy would take it."""
        policy: dict[str, Any] = group.mixed_instances_policy or {}
        overrides = policy.get("LaunchTemplate", {}).get("Overrides") or []
        return next((o["InstanceType"] for o in overrides if "InstanceType" in o), None)

    def _ec2_state(self, instance_id: str, state: str) -> None:
        with self.lock:
            group = self.group_of(instance_id)
            if group is None:
                return
            member = group.members[instance_id]
            happened = {
                "running": decisions.ec2_running,
                "shutting-down": decisions.ec2_ending,
                "stopped": decisions.ec2_failed,
                RECLAIMED: decisions.ec2_reclaimed,
                "terminated": decisions.ec2_gone,
            }.get(state)
            if happened is not None:
                self.settle(group, happened(group, member, self.moment()))
                if group.deleting and not group.members:
                    self.groups.pop(group.name, None)
