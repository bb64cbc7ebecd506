"""Looks at every part of the world, over and over, and tells what changed. Each observer runs until it is cancelled."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from world.nodes.api import Cluster

from .changes import alluxio, autoscaling, bus, executions, kubernetes
from .events import Event, Source, Tone
from .files import Files, FilesError
from .seen import Seen
from .services import Services

Object = dict[str, Any]

# An instance passes through a state like Pending:Proceed in less than a second.
_AUTO_SCALING_SECONDS = 0.4
_EXECUTIONS_SECONDS = 0.5
_ALLUXIO_SECONDS = 0.7
_FILE_TAIL_SECONDS = 0.2
# Between two tries of a look that failed: what it looks at may be starting or busy.
_AGAIN_SECONDS = 1.0


class Observers:
    """All observers of one world; `files_watched` are the Alluxio paths that are looked at."""

    def __init__(self, seen: Seen, services: Services, files: Files, cluster: Cluster, world: Path):
        self._seen, self._services, self._files = seen, services, files
        self._api = cluster.acting_as()
        self._events = world / "events.jsonl"
        self._events_begin = self._events.stat().st_size if self._events.exists() else 0
        self._histories: dict[str, int] = {}
        self.files_watched: list[str] = []

    async def run(self) -> None:
        """Until it is cancelled. A look that fails is told once and tried again."""
        async with asyncio.TaskGroup() as group:
            for name, look, pause in (
                ("Auto Scaling and EC2", self._look_at_instances, _AUTO_SCALING_SECONDS),
                ("Step Functions", self._look_at_executions, _EXECUTIONS_SECONDS),
                ("Alluxio's workers", self._look_at_workers, _ALLUXIO_SECONDS),
                ("Alluxio's files", self._look_at_files, _ALLUXIO_SECONDS),
            ):
                group.create_task(self._repeat(name, look, pause))
            group.create_task(self._follow_bus())
            group.create_task(self._watch("/api/v1/nodes", self._seen.nodes, self._node))
            group.create_task(self._watch("/api/v1/persistentvolumes", self._seen.volumes, self._volume))
            group.create_task(self._watch("/api/v1/pods", self._seen.pods, self._pod))

    async def look_at_files(self) -> None:
        """One look now, so that what was just written is known."""
        await self._look_at_files()

    async def _repeat(self, name: str, look: Callable[[], Awaitable[None]], pause: float) -> None:
        failing = False
        while True:
            try:
                await look()
                failing = False
                await asyncio.sleep(pause)
            except (OSError, RuntimeError, FilesError, *self._services.errors) as error:
                if not failing:
                    text = f"cannot look at {name}: {type(error).__name__}: {error}"
                    self._seen.add(Event(time.time(), Source.STORY, "observer/failed", text, tone=Tone.BAD))
                failing = True
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _look_at_instances(self) -> None:
        now = await asyncio.to_thread(self._services.instances)
        at = time.time()
        before, self._seen.instances = self._seen.instances, now
        self._seen.remember(now)
        changed = autoscaling.instances(before, now, at)
        if changed or before != now:
            self._seen.add(*changed)

    async def _look_at_executions(self) -> None:
        for execution, running in await asyncio.to_thread(self._services.executions, self._seen.ended):
            self._seen.executions[execution.arn] = execution
            raw = await asyncio.to_thread(self._services.history, execution.arn)
            told = self._histories.get(execution.arn, 0)
            read = executions.history(execution, raw)
            self._histories[execution.arn] = raw[-1]["id"] if raw else told
            self._seen.add(*(event for number, event in read if number > told))
            if not running:
                self._seen.ended.add(execution.arn)
        self._seen.changed()

    async def _look_at_workers(self) -> None:
        now = await self._files.workers()
        before, self._seen.workers = self._seen.workers, now
        self._seen.add(*alluxio.workers(before, now, time.time(), self._seen.hosts()))

    async def _look_at_files(self) -> None:
        for path in list(self.files_watched):
            now = await self._files.status(path)
            before = self._seen.files.get(path)
            if now is None or now == before:
                continue
            self._seen.files[path] = now
            self._seen.add(*alluxio.file(before, now, time.time(), self._seen.hosts(), self._seen.host_names()))

    async def _follow_bus(self) -> None:
        async for line in _appended(self._events, self._events_begin):
            outcome = bus.outcome(line)
            if outcome is not None:
                self._seen.outcomes.append(outcome)
            event = bus.event(line)
            if event is not None:
                self._seen.add(event)

    async def _watch(self, path: str, known: dict[str, Object], changes: Callable[..., list[Event]]) -> None:
        async for change in self._api.follow(path):
            if change.type == "SYNCED":
                continue
            uid = change.object["metadata"]["uid"]
            before = known.get(uid)
            after = None if change.type == "DELETED" else change.object
            if after is None:
                known.pop(uid, None)
            else:
                known[uid] = after
            if before is not None or after is not None:
                self._seen.add(*changes(before, after or None, time.time()))

    def _node(self, before: Object | None, after: Object | None, at: float) -> list[Event]:
        return kubernetes.node(before, after, at)

    def _volume(self, before: Object | None, after: Object | None, at: float) -> list[Event]:
        about = after or before or {}
        id = kubernetes.labels(about).get(kubernetes.INSTANCE_LABEL, "")
        others = [v for v in self._seen.volumes_of(id) if v["metadata"]["uid"] != about["metadata"]["uid"]]
        return kubernetes.volume(before, after, at, others)

    def _pod(self, before: Object | None, after: Object | None, at: float) -> list[Event]:
        name = ((after or before) or {"spec": {}})["spec"].get("nodeName")
        node = next((node for node in self._seen.nodes.values() if node["metadata"]["name"] == name), None)
        # The pods of a node that was deleted go after it; its instance is known by the node's name still.
        by_name = {f"{known.name}.": id for id, known in self._seen.known.items() if known.name}
        instance = kubernetes.instance_of(node) if node else by_name.get(f"{str(name).split('.', 1)[0]}.", "")
        return kubernetes.pod(before, after, at, instance)


async def _appended(path: Path, offset: int) -> AsyncIterator[str]:
    """The whole lines that are written to a file from `offset` on, for ever."""
    rest = ""
    while True:
        if path.exists():
            with path.open() as file:
                file.seek(offset)
                text = file.read()
                offset = file.tell()
            *lines, rest = (rest + text).split("\n")
            for line in lines:
                if line.strip():
                    json.loads(line)
                    yield line
        await asyncio.sleep(_FILE_TAIL_SECONDS)
