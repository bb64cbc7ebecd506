"""What each part of the demo does alike: acts that begin and end, claims, listings, nodes that come and go."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path

from world.nodes.api import Api

from . import claims, listings
from .events import Event, Source, Tone
from .files import Files
from .observers import Observers
from .record import Act, Claim, Record
from .seen import NotSeen, Seen
from .services import Services
from .timeline import Style

# A join or a drain takes half a minute here; on a machine that does other things, more.
JOIN_SECONDS = 240
DRAIN_SECONDS = 300
MOMENT_SECONDS = 60


class Telling:
    """A part of the demo, told once. All that was seen is in `record`."""

    def __init__(
        self, seen: Seen, services: Services, files: Files, api: Api, observers: Observers, record: Record, style: Style,
        environment: Mapping[str, str], world: Path,
    ):  # fmt: skip
        self._seen, self._services, self._files, self._api = seen, services, files, api
        self._observers, self._record, self._style = observers, record, style
        self._environment, self._world = environment, world
        self._under_store = world / "ufs"

    async def _scale_out(self, title: str) -> list[str]:
        act = self._begin(title, "SetDesiredCapacity: nvme-nodes from 0 to 2 instances of m5d.4xlarge")
        self._services.set_desired_capacity(2)
        await self._seen.until(
            "two instances in service, their executions at their end",
            JOIN_SECONDS,
            lambda: len(self._seen.in_service()) == 2 and self._all_ended(self._seen.in_service(), act.began),
        )
        both = self._seen.in_service()
        self._end(act)
        self._claim(*claims.joined(self._seen, both, act.began))
        return both

    async def _has_gone(self, id: str, since: float) -> None:
        seen = self._seen
        await seen.until(
            f"{id} drained, ended, and its executions at their end",
            DRAIN_SECONDS,
            lambda: seen.when("ec2/terminated", id, since) is not None
            and seen.when("lifecycle/gone", id, since) is not None
            and self._all_ended([id], since),
        )
        await seen.until(
            f"the node of {id} is deleted, with its volumes",
            MOMENT_SECONDS,
            lambda: seen.node_of(id) is None and not seen.volumes_of(id),
        )

    def _all_ended(self, instances: list[str], since: float) -> bool:
        """Each instance has executions since then, all of which have ended."""
        started = {event.instance for event in self._seen.all_of("execution/started", since=since - 1)}
        running = {e.instance for e in self._seen.executions.values() if e.arn not in self._seen.ended}
        return set(instances) <= started and not running & set(instances)

    async def _pass_time(self, seconds: float) -> None:
        try:
            await self._seen.until("nothing", seconds, lambda: False)
        except NotSeen:
            return

    async def _list(self, when: str) -> None:
        taken = await listings.take(self._environment)
        taken.append(listings.worker_listing(self._seen.workers, self._seen.host_names()))
        self._record.listings.append((when, taken))
        print(self._style.heading(f"What a reader sees {when}"), *map(self._style.listing, taken), sep="\n", flush=True)

    def _begin(self, title: str, trigger: str, pictured: bool = True) -> Act:
        act = Act(title, trigger, time.time(), pictured=pictured)
        self._record.acts.append(act)
        print(self._style.act(len(self._record.acts), act), flush=True)
        return act

    def _end(self, act: Act) -> None:
        act.ended = time.time()

    def _tell(self, text: str, instance: str = "", tone: Tone = Tone.PLAIN) -> None:
        self._seen.add(Event(time.time(), Source.STORY, "story", text, instance, tone))

    def _claim(self, *made: Claim) -> None:
        for one in made:
            claim = dataclasses.replace(one, act=self._record.acts[-1].title)
            self._record.claims.append(claim)
            print(self._style.claim(claim), flush=True)
