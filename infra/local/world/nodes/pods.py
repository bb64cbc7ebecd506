"""The pods of one node: each is a task that mounts its volumes, runs its containers, tells its status, and ends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

from . import images, node_object, probes, usage
from .api import Api, ApiError, Unreachable
from .containers import Container, ProcessRunner, Runner
from .pod_spec import Addresses, mount_paths
from .volumes import NotYet, Volumes, play_chown

Object = dict[str, Any]

# make(pod, container, volume paths, data, addresses) -> a runner; raises containers.CannotStart
MakeRunner = Callable[[Object, Object, dict, dict, Addresses], Runner]

# The kubelet tries a failed mount again after 0.5 s, then doubles; a disk is published within a second here.
_MOUNT_RETRY_SECONDS = (0.5, 5.0)


class Pod:
    """One pod, from its assignment to this node until it is gone. ``api`` acts as the node's kubelet."""

    def __init__(
        self, api: Api, pod: Object, addresses: Addresses, volumes: Volumes, make_runner: MakeRunner, data_of: Callable
    ):
        self._api, self.object, self.addresses = api, pod, addresses
        self._volumes, self._make_runner, self._data_of = volumes, make_runner, data_of
        metadata = pod["metadata"]
        self.uid: str = metadata["uid"]
        self._path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        self._log = logging.getLogger(f"nodes.{pod['spec']['nodeName']}")
        self.containers: list[Container] = []
        # Of the init containers those that are processes, in their order, and by their names.
        self._init_containers: dict[str, Container] = {}
        self._start_time = pod.get("status", {}).get("startTime") or node_object.now()
        self._prepared: dict = {}
        self._data: dict = {}
        self._mounted = False
        self._deletion = asyncio.Event()
        self._changed = asyncio.Event()
        self._transitions: dict[str, tuple[str, str]] = {}
        self._events: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        return self.object["metadata"]["name"]

    def update(self, pod: Object) -> None:
        """The API server's newest version of it."""
        self.object = pod
        if pod["metadata"].get("deletionTimestamp"):
            self._deletion.set()

    async def run(self) -> None:
        """The pod's whole life; cancelling it is the power switch (then :meth:`kill_now`)."""
        self.update(self.object)
        if self.object.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            await self._deletion.wait()
            await self._delete()
            return
        self._make_containers()
        telling = asyncio.create_task(self._tell_changes())
        running = asyncio.create_task(self._live())
        try:
            deleting = asyncio.create_task(self._deletion.wait())
            await asyncio.wait({running, deleting}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
            await deleting
            await self._end(running)
        finally:
            running.cancel()
            telling.cancel()
        await self._tell()
        await self._delete()
        self._volumes.release(self.object)

    def kill_now(self) -> None:
        for container in (*self._init_containers.values(), *self.containers):
            container.kill_now()

    def processes(self) -> list[usage.Running]:
        """Its containers that are processes at the moment."""
        namespace = self.object["metadata"]["namespace"]
        return [
            usage.Running((self.uid, c.name, c.restart_count), namespace, self.name, c.name, c.began.timestamp(), c.runner.pid)
            for c in self.containers
            if isinstance(c.runner, ProcessRunner) and c.runner.pid and c.began
        ]

    def _make_containers(self) -> None:
        """A node that comes back finds its pods running in the API: they count as restarted."""
        spec, known = self.object["spec"], self.object.get("status", {}).get("containerStatuses", [])
        before = {status["name"]: status for status in known}
        policy = spec.get("restartPolicy", "Always")
        for init in filter(images.is_script, spec.get("initContainers", [])):
            self._init_containers[init["name"]] = self._container(init, "OnFailure")
        for container in spec["containers"]:
            told = before.get(container["name"], {})
            has_run = bool(told.get("state", {}).get("running") or told.get("lastState", {}).get("terminated"))
            self.containers.append(self._container(container, policy, told.get("restartCount", 0) + has_run))
        self._changed.set()

    def _container(self, spec: Object, restart_policy: str, restart_count: int = 0) -> Container:
        return Container(
            spec=spec,
            make=lambda: self._make_runner(self.object, spec, self._prepared, self._data, self.addresses),
            restart_policy=restart_policy,
            changed=self._changed.set,
            event=self._emit,
            restart_count=restart_count,
        )

    async def _live(self) -> None:
        await self._prepare()
        self._mounted = True
        for init in self.object["spec"].get("initContainers", []):
            if init["name"] in self._init_containers:
                await self._init_containers[init["name"]].run(_unsupervised)
            else:
                play_chown(init, mount_paths(init, self._prepared))
        if not self._initialized():
            # The pod is ended meanwhile.
            return
        await asyncio.gather(*(container.run(self._supervised) for container in self.containers))

    def _initialized(self) -> bool:
        return all(container.succeeded for container in self._init_containers.values())

    async def _prepare(self) -> None:
        pause, told = _MOUNT_RETRY_SECONDS[0], ""
        while True:
            try:
                self._data = await self._data_of(self.object)
                self._prepared = await self._volumes.prepare(self.object)
                return
            except NotYet as error:
                if str(error) != told:
                    told = str(error)
                    self._log.info("%s: %s", self.name, told)
                    self._emit("Warning", "FailedMount", told)
            except (ApiError, *Unreachable) as error:
                self._log.warning("%s: %s", self.name, error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, _MOUNT_RETRY_SECONDS[1])

    @contextlib.asynccontextmanager
    async def _supervised(self, container: Container) -> AsyncIterator[None]:
        """The probes of one run of a container."""
        watching = asyncio.create_task(self._probe(container))
        try:
            yield
        finally:
            watching.cancel()

    async def _probe(self, container: Container) -> None:
        spec, host = container.spec, self.addresses.pod
        if "startupProbe" in spec:
            async for started, why in probes.results(spec["startupProbe"], spec, host, initially=False):
                if started:
                    break
                self._emit("Warning", "Unhealthy", f"Startup probe failed: {why}")
        container.started = True
        if "readinessProbe" not in spec:
            container.ready = True
        self._changed.set()
        async with asyncio.TaskGroup() as group:
            if "readinessProbe" in spec:
                group.create_task(self._watch_readiness(container))
            if "livenessProbe" in spec:
                group.create_task(self._watch_liveness(container))

    async def _watch_readiness(self, container: Container) -> None:
        probe = container.spec["readinessProbe"]
        async for ready, why in probes.results(probe, container.spec, self.addresses.pod, initially=False):
            container.ready = ready
            self._changed.set()
            if not ready:
                self._emit("Warning", "Unhealthy", f"Readiness probe failed: {why}")

    async def _watch_liveness(self, container: Container) -> None:
        probe = container.spec["livenessProbe"]
        async for alive, why in probes.results(probe, container.spec, self.addresses.pod, initially=True):
            if not alive and container.runner:
                self._emit("Warning", "Unhealthy", f"Liveness probe failed: {why}")
                await container.runner.stop(self._grace())
                return

    def _grace(self) -> float:
        metadata = self.object["metadata"]
        if "deletionGracePeriodSeconds" in metadata:
            return float(metadata["deletionGracePeriodSeconds"])
        return float(self.object["spec"].get("terminationGracePeriodSeconds", 30))

    async def _end(self, running: asyncio.Task[None]) -> None:
        grace = self._grace()
        for container in self.containers:
            container.ready = False
        self._changed.set()
        everything = (*self._init_containers.values(), *self.containers)
        await asyncio.gather(*(container.end(grace) for container in everything))
        if not self._mounted:
            # Still waiting for a volume: no container was ever started.
            running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    async def _delete(self) -> None:
        """As the last act of a kubelet: the object goes, if it still is the same pod."""
        while True:
            try:
                await self._api.delete(self._path, grace_seconds=0, uid=self.uid)
                return
            except (ApiError, *Unreachable) as error:
                self._log.warning("%s: cannot be deleted yet: %s", self.name, error)
                await asyncio.sleep(1)

    async def _tell_changes(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._tell()

    async def _tell(self) -> None:
        while True:
            try:
                await self._api.patch(f"{self._path}/status", {"metadata": {"uid": self.uid}, "status": self._status()})
                return
            except ApiError as error:
                if error.status in (404, 409, 422):
                    return
                self._log.warning("%s: status refused: %s", self.name, error)
                await asyncio.sleep(1)
            except Unreachable:
                await asyncio.sleep(1)

    def _status(self) -> Object:
        statuses = [container.status() for container in self.containers]
        ended = [status["state"]["terminated"]["exitCode"] for status in statuses if "terminated" in status["state"]]
        policy = self.object["spec"].get("restartPolicy", "Always")
        over = len(ended) == len(statuses) and (self._deletion.is_set() or policy != "Always")
        if over:
            phase = "Succeeded" if not any(ended) else "Failed"
        else:
            phase = "Running" if any("running" in s["state"] or s["restartCount"] for s in statuses) else "Pending"
        ready = bool(statuses) and all(status["ready"] for status in statuses)
        unready = [status["name"] for status in statuses if not status["ready"]]
        reason = "" if ready else "PodCompleted" if over else "ContainersNotReady"
        message = "" if ready else f"containers with unready status: [{' '.join(unready)}]"
        conditions = [
            self._condition("PodReadyToStartContainers", self._mounted),
            self._condition("Initialized", self._initialized()),
            self._condition("ContainersReady", ready, reason, message),
            self._condition("Ready", ready, reason, message),
        ]
        told: Object = {
            "phase": phase,
            "conditions": conditions,
            "hostIP": self.addresses.host,
            "hostIPs": [{"ip": self.addresses.host}],
            "startTime": self._start_time,
            "containerStatuses": statuses,
            "initContainerStatuses": [self._init_status(spec) for spec in self.object["spec"].get("initContainers", [])],
        }
        # The address is there as soon as something of the pod runs, be it an init container.
        if phase != "Pending" or any("waiting" not in c.state for c in self._init_containers.values()):
            told |= {"podIP": self.addresses.pod, "podIPs": [{"ip": self.addresses.pod}]}
        return told

    def _condition(self, type: str, met: bool, reason: str = "", message: str = "") -> Object:
        status = "True" if met else "False"
        before, since = self._transitions.get(type, ("", ""))
        if before != status:
            since = node_object.now()
            self._transitions[type] = (status, since)
        return {
            "type": type,
            "status": status,
            "lastTransitionTime": since,
            "reason": reason or None,
            "message": message or None,
        }

    def _init_status(self, spec: Object) -> Object:
        """Init containers that are no processes count as done at once; of what they do only a chown is played."""
        if spec["name"] in self._init_containers:
            container = self._init_containers[spec["name"]]
            return container.status() | {"ready": container.succeeded}
        times = {"startedAt": self._start_time, "finishedAt": self._start_time}
        return {
            "name": spec["name"],
            "image": spec["image"],
            "imageID": spec["image"],
            "ready": True,
            "started": False,
            "restartCount": 0,
            "state": {"terminated": {"exitCode": 0, "reason": "Completed", **times}},
        }

    def _emit(self, type: str, reason: str, message: str) -> None:
        """An Event, for who looks with kubectl describe; nothing waits for it."""
        metadata = self.object["metadata"]
        moment = node_object.now()
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{metadata['name']}.", "namespace": metadata["namespace"]},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Pod",
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": self.uid,
            },
            "type": type,
            "reason": reason,
            "message": message,
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
            "source": {"component": "kubelet", "host": self.object["spec"]["nodeName"]},
        }
        task = asyncio.create_task(self._send_event(metadata["namespace"], event))
        self._events.add(task)
        task.add_done_callback(self._events.discard)

    async def _send_event(self, namespace: str, event: Object) -> None:
        with contextlib.suppress(ApiError, *Unreachable):
            await self._api.create(f"/api/v1/namespaces/{namespace}/events", event)


@contextlib.asynccontextmanager
async def _unsupervised(container: Container) -> AsyncIterator[None]:
    """Init containers have no probes."""
    yield
