"""Schedules that fire: rate() and at(), of rules and of EventBridge Scheduler. cron() does not."""

from __future__ import annotations

import datetime as dt
import logging
import re
import time
from typing import Any

from moto.scheduler.models import scheduler_backends

from ..config import Config
from ..timers import Timers
from .bus import EventBus
from .delivery import Delivery

log = logging.getLogger(__name__)

# Rules are made and changed through moto, which tells nobody; looking once a second is cheap.
LOOK_SECONDS = 1.0
SCHEDULER = "scheduler.amazonaws.com"
_UNITS = {"minute": 60, "hour": 3600, "day": 86400}


def interval_seconds(expression: str) -> float | None:
    """Seconds of a rate() expression, or None for any other."""
    found = re.fullmatch(r"rate\((\d+)\s+(minute|hour|day)s?\)", expression.strip())
    return int(found.group(1)) * _UNITS[found.group(2)] if found else None


def due_time(expression: str) -> dt.datetime | None:
    """The moment of an at() expression (UTC), or None for any other."""
    found = re.fullmatch(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)", expression.strip())
    return dt.datetime.fromisoformat(found.group(1)).replace(tzinfo=dt.UTC) if found else None


class Schedules:
    def __init__(self, config: Config, timers: Timers, bus: EventBus, delivery: Delivery):
        self._config = config
        self._timers = timers
        self._bus = bus
        self._delivery = delivery
        self._next: dict[tuple[str, str], float] = {}
        self._done: set[tuple[str, str]] = set()
        timers.after(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        try:
            for kind, item in self._all():
                self._consider(kind, item)
        finally:
            self._timers.after(LOOK_SECONDS, self._look)

    def _all(self) -> list[tuple[str, Any]]:
        rules = [
            ("rule", rule)
            for bus in self._bus.backend.event_buses.values()
            for rule in bus.rules.values()
            if rule.scheduled_expression
        ]
        backend = scheduler_backends[self._config.account][self._config.region]
        schedules = [
            ("schedule", schedule)
            for group in backend.schedule_groups.values()
            for schedule in group.schedules.values()
        ]
        return rules + schedules

    def _consider(self, kind: str, item: Any) -> None:
        expression = item.scheduled_expression if kind == "rule" else item.schedule_expression
        key = (item.arn, expression)
        if item.state != "ENABLED":
            self._next.pop(key, None)
            return
        interval, moment = interval_seconds(expression), due_time(expression)
        if interval is not None:
            due = self._next.setdefault(key, time.monotonic() + interval)
            if time.monotonic() >= due:
                self._next[key] = due + interval
                self.fire(kind, item)
        elif moment is not None and key not in self._done and dt.datetime.now(dt.UTC) >= moment:
            self._done.add(key)
            self.fire(kind, item)

    def fire(self, kind: str, item: Any) -> None:
        if kind == "rule":
            self._bus.schedule_fired(item)
        else:
            target = dict(item.target)
            self._delivery.send(item.arn, target, target.get("Input") or "{}", SCHEDULER)

    def fire_by_name(self, name: str) -> bool:
        """Fires a schedule or a scheduled rule now. False when there is none of that name."""
        for kind, item in self._all():
            if item.name == name:
                self.fire(kind, item)
                return True
        return False
