"""What is known of the world at this moment, and every event so far. The observers write it, the story waits on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from .changes import kubernetes
from .changes.alluxio import LIVE, File, Worker
from .changes.autoscaling import Instance
from .changes.executions import Execution
from .events import Event

Object = dict[str, Any]


class NotSeen(Exception):
    """Something did not happen in its time; the text says what and how long it was waited for."""


class Seen:
    """Belongs to one event loop. `tell` is called with each event that gets a line."""

    def __init__(self, tell: Callable[[Event], None]):
        self._tell = tell
        self._pulse = asyncio.Event()
        self.events: list[Event] = []
        self.instances: dict[str, Instance] = {}
        self.known: dict[str, Instance] = {}
        """Each instance that was ever there, as it was when it had an address last."""
        self.nodes: dict[str, Object] = {}
        self.volumes: dict[str, Object] = {}
        self.pods: dict[str, Object] = {}
        self.workers: dict[str, Worker] = {}
        self.files: dict[str, File] = {}
        self.executions: dict[str, Execution] = {}
        self.ended: set[str] = set()
        """ARNs of executions that have ended."""
        self.outcomes: list[Object] = []

    def add(self, *events: Event) -> None:
        for event in events:
            self.events.append(event)
            if event.told:
                self._tell(event)
        self.changed()

    def changed(self) -> None:
        """Wakes who waits."""
        self._pulse.set()

    async def until(self, what: str, seconds: float, met: Callable[[], bool]) -> None:
        """Returns when `met`; raises NotSeen after so many seconds."""
        deadline = time.monotonic() + seconds
        while not met():
            self._pulse.clear()
            left = deadline - time.monotonic()
            if left <= 0:
                raise NotSeen(f"not seen within {seconds:.0f} s: {what}")
            try:
                await asyncio.wait_for(self._pulse.wait(), left)
            except TimeoutError:
                continue

    # who is who

    def remember(self, instances: Mapping[str, Instance]) -> None:
        """EC2 forgets name and address of an instance that has ended; here they are kept."""
        for id, now in instances.items():
            before = self.known.get(id)
            if now.address or before is None:
                self.known[id] = now

    def short(self, instance: str) -> str:
        """The short name of an instance's node; of one without a name its id."""
        known = self.known.get(instance)
        return known.name if known and known.name else instance

    def hosts(self) -> dict[str, str]:
        """The instance of each address."""
        return {known.address: id for id, known in self.known.items() if known.address}

    def host_names(self) -> dict[str, str]:
        """The short name of each address."""
        return {known.address: known.name for known in self.known.values() if known.address}

    # what claims ask

    def in_service(self) -> list[str]:
        return sorted(id for id, instance in self.instances.items() if instance.lifecycle == "InService")

    def node_of(self, instance: str) -> Object | None:
        return next((node for node in self.nodes.values() if kubernetes.instance_of(node) == instance), None)

    def volumes_of(self, instance: str) -> list[Object]:
        return [v for v in self.volumes.values() if kubernetes.labels(v).get(kubernetes.INSTANCE_LABEL) == instance]

    def worker_of(self, instance: str) -> Worker | None:
        """The instance's worker, if it is in service."""
        address = self.known[instance].address
        worker = self.workers.get(address)
        return worker if worker and worker.state == LIVE else None

    def when(self, key: str, instance: str = "", since: float = 0.0) -> float | None:
        """The moment of the first event of that key about that instance, not before `since`."""
        moments = [
            event.at
            for event in self.events
            if event.key == key and (not instance or event.instance == instance) and event.at >= since
        ]
        return min(moments, default=None)

    def all_of(self, key: str, instance: str = "", since: float = 0.0) -> list[Event]:
        return [
            event
            for event in self.events
            if event.key == key and (not instance or event.instance == instance) and event.at >= since
        ]
