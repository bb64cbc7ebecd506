"""The first part, one node's whole life: what is done, and what is waited for. Observing and judging are others' work."""

from __future__ import annotations

import json
import time
from typing import Any

from . import claims, listings
from .changes import kubernetes
from .changes.alluxio import mebibytes
from .events import Source, Tone
from .files import FilesError
from .record import Written
from .seen import NotSeen
from .telling import MOMENT_SECONDS, Telling

ROOT = "/demo"
_MIB = 2**20
# Small enough for seconds, large enough for several blocks a file.
_BLOCK = 8 * _MIB
# So long nobody may persist what is ASYNC_THROUGH: longer than any interval that Alluxio's masters have here.
_LAZY_SECONDS = 12.0
_AFTER_SCALE_IN = "after the scale-in"
_IN_THE_END = "in the end, in the under store"

# path below ROOT, write type, MiB, whether Alluxio may ever persist it
_ON_VICTIM = (
    ("orders/must-cache.parquet", "MUST_CACHE", 24, True),
    ("orders/async-through.parquet", "ASYNC_THROUGH", 16, True),
    ("orders/cache-through.parquet", "CACHE_THROUGH", 16, True),
    ("orders/_temporary/0/task-0.parquet", "MUST_CACHE", 8, False),
)
_ON_OTHER = (("orders/elsewhere.parquet", "MUST_CACHE", 8, True),)
_LATE = (("orders/late.parquet", "MUST_CACHE", 16, True),)

_APPLICATION = "report-builder"


class Story(Telling):
    """One node's whole life. `run` raises NotSeen where it cannot go on."""

    async def run(self) -> None:
        await self._files.delete(ROOT)
        both = await self._scale_out("Two NVMe nodes join")
        victim, pod = await self._write_files(both)
        stayer = next(id for id in both if id != victim)
        await self._list("while two nodes serve")
        await self._still_only_there(victim, pod)
        await self._scale_in(victim, stayer)
        await self._drain_by_hand(stayer)
        await self._list("in the end")

    # the acts

    async def _write_files(self, both: list[str]) -> tuple[str, str]:
        """The node on which the application's pod came to run is the one that will go; it gets the files."""
        act = self._begin(
            "An application comes, and files are written",
            "a Deployment of one pod; files of each write type, most of them on that pod's node only",
            pictured=False,
        )
        await self._api.create("/apis/apps/v1/namespaces/default/deployments", _deployment())
        await self._seen.until("the application's pod is ready", MOMENT_SECONDS, lambda: bool(self._running_pods(both)))
        victim = next(id for id in both if self._running_pods([id]))
        other = next(id for id in both if id != victim)
        await self._write(_ON_VICTIM, victim)
        await self._write(_ON_OTHER, other)
        self._end(act)
        return victim, ", ".join(self._running_pods([victim]))

    async def _still_only_there(self, victim: str, pod: str) -> None:
        lazy = next(file for file in self._record.files if file.write_type == "ASYNC_THROUGH")
        waited = time.time() - lazy.written_at
        if waited < _LAZY_SECONDS:
            await self._pass_time(_LAZY_SECONDS - waited)
        await self._observers.look_at_files()
        self._claim(*claims.written(self._seen, self._record.files, victim, pod, time.time()))

    async def _scale_in(self, victim: str, stayer: str) -> None:
        node = self._seen.short(victim)
        pods = self._running_pods([victim])
        alone = sum(file.node == node and file.write_type != "CACHE_THROUGH" for file in self._record.files)
        act = self._begin(
            f"The group scales in: {node} goes, which has the only copy of {alone} files",
            f"TerminateInstanceInAutoScalingGroup: {victim}, desired capacity from 2 to 1",
        )
        self._services.end_instance(victim)
        await self._has_gone(victim, act.began)
        self._end(act)
        self._claim(*claims.drained(self._seen, victim, act.began, pods))
        here = [file for file in self._record.files if file.node == node]
        await self._observers.look_at_files()
        self._claim(*claims.saved(self._seen, here, self._seen.known[stayer].address, self._under_store))
        self._claim(claims.group_has(self._seen, [stayer], self._services.group()["DesiredCapacity"]))
        await self._read_all(_AFTER_SCALE_IN)
        self._claim(claims.read_back(self._record.files, _AFTER_SCALE_IN))

    async def _drain_by_hand(self, last: str) -> None:
        node = self._seen.short(last)
        await self._prepare_the_end(last)
        await self._seen.until(
            "the application's pod runs on the node that is left", MOMENT_SECONDS, lambda: bool(self._running_pods([last]))
        )
        pods = self._running_pods([last])
        command = (
            "aws", "stepfunctions", "start-execution", "--state-machine-arn", self._services.machine_arn(Source.DRAIN),
            "--input", json.dumps({"instanceId": last}),
        )  # fmt: skip
        act = self._begin(f"The last node is drained by hand: {node}", f"$ {' '.join(command[:3])} --input '{command[-1]}'")
        shown = await listings.run(command, self._environment)
        if '"executionArn"' not in shown.output:
            raise NotSeen(f"start-execution was not accepted: {shown.output.strip()}")
        await self._has_gone(last, act.began)
        self._end(act)
        # Not from the moment at which the command was typed, of whose second the CLI takes its own.
        started = self._seen.when("execution/started", last, act.began)
        act.began = started if started is not None else act.began
        self._claim(*claims.drained(self._seen, last, act.began, pods))
        self._claim(*claims.by_hand(self._seen, last, act.began))
        self._claim(claims.group_has(self._seen, [], self._services.group()["DesiredCapacity"]))
        await self._seen.until("the last objects of the node are gone", MOMENT_SECONDS, self._nothing_is_left)
        self._claim(claims.nothing_left(self._seen))
        for file in self._record.files:
            if file.persistable:
                file.under_store = claims.under_store_says(file, self._under_store)
                file.read_back[_IN_THE_END] = claims.under_store_checksum(file, self._under_store)
        self._claim(claims.read_back(self._record.files, _IN_THE_END))

    async def _prepare_the_end(self, last: str) -> None:
        self._tell(
            "the _temporary file is removed, as its job would: it must never be persisted, and no other worker is left"
            " to copy it to, so a drain of the last node would rightly wait for it",
        )
        for file in self._record.files:
            if not file.persistable:
                self._observers.files_watched.remove(file.path)
                await self._files.delete(file.path.split("/_temporary")[0] + "/_temporary")
        await self._write(_LATE, last)

    # steps that acts share

    def _running_pods(self, instances: list[str]) -> list[str]:
        nodes = {node["metadata"]["name"] for id in instances if (node := self._seen.node_of(id))}
        return sorted(
            f"default/{pod['metadata']['name']}"
            for pod in self._seen.pods.values()
            if kubernetes.labels(pod).get("app") == _APPLICATION
            and pod["spec"].get("nodeName") in nodes
            and kubernetes.is_ready(pod)
            and not pod["metadata"].get("deletionTimestamp")
        )

    def _nothing_is_left(self) -> bool:
        return claims.nothing_left(self._seen).seen

    async def _write(self, wanted: tuple[tuple[str, str, int, bool], ...], instance: str) -> None:
        host, node = self._seen.known[instance].address, self._seen.short(instance)
        for name, write_type, size, persistable in wanted:
            path = f"{ROOT}/{name}"
            seed = len(self._record.files) + 1
            sha256 = await self._files.write(path, write_type, host, size * _MIB, _BLOCK, seed)
            file = Written(path, write_type, size * _MIB, host, node, sha256, time.time(), persistable)
            self._record.files.append(file)
            self._observers.files_watched.append(path)
            self._tell(f"{path} written with {write_type}, {mebibytes(file.bytes)}", instance)
        await self._observers.look_at_files()

    async def _read_all(self, when: str) -> None:
        for file in self._record.files:
            try:
                file.read_back[when] = await self._files.checksum(file.path)
            except (FilesError, KeyError) as error:
                file.read_back[when] = str(error)
            same = file.read_back[when] == file.sha256
            words = "reads back as it was written" if same else f"does NOT read back: {file.read_back[when]}"
            self._tell(f"{file.path} {words} ({when})", tone=Tone.GOOD if same else Tone.BAD)


def _deployment() -> dict[str, Any]:
    pod = {
        # Long enough to be seen going, short enough not to be waited for.
        "terminationGracePeriodSeconds": 2,
        "containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10"}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": _APPLICATION},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": _APPLICATION}},
            "template": {"metadata": {"labels": {"app": _APPLICATION}}, "spec": pod},
        },
    }
