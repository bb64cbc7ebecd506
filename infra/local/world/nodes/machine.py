"""One instance as a machine: it boots, mounts its disks, joins as a node, runs pods, and dies with all it has."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..alluxio import jvm
from ..alluxio.process import Process
from . import cloud, images, kubelet, metrics_server, pod_spec, provisioner, serving_certificate
from .api import ApiError, Cluster
from .containers import CannotStart, NothingRunner, ProcessRunner, ProvisionerRunner, Runner
from .disks import Disks, as_set_up, raw_sizes
from .instances import Instance
from .kubelet_server import KubeletServer
from .names import Names, of_pod
from .node_object import now
from .pod_addresses import PodAddresses
from .pod_spec import Addresses
from .pods import Pod
from .usage import Meter
from .volumes import Volumes

Object = dict[str, Any]

# How many seconds a container without a process takes to end after SIGTERM, and to end by itself.
STOP_SECONDS = "tidegate-local/stop-seconds"
RUN_SECONDS = "tidegate-local/run-seconds"


@dataclass(frozen=True)
class Settings:
    """What all machines of a player share. Times in seconds."""

    world: Path
    runtime: jvm.Runtime
    kubelet_version: str
    short_path: Path
    """Leads to the directory of all machines: see :func:`images.with_short_socket_path`."""
    names: Names
    """Of the cluster, for the pods' processes."""
    discovery_seconds: float = 1.0
    programs: Path = Path()
    """Where the programs of containers lie that are no JVMs."""


class Machine:
    """``boot_seconds`` is the time until the kubelet registers, None for never; ``disk_fault`` as in :meth:`Disks.mount`,
    ``user_data`` what cloud-init is given: of it only how the disks are set up is played."""

    def __init__(
        self,
        cluster: Cluster,
        instance: Instance,
        instance_type: Object,
        settings: Settings,
        pod_addresses: PodAddresses,
        *,
        boot_seconds: float | None,
        disk_fault: str = "",
        user_data: str = "",
    ):
        self.instance, self._type, self._settings = instance, instance_type, settings
        self._boot_seconds, self._disk_fault, self._user_data = boot_seconds, disk_fault, user_data
        self.directory = settings.world / "nodes" / instance.id
        self.disks = Disks(self.directory)
        self._cluster, self._pod_addresses = cluster, pod_addresses
        self._responsive = asyncio.Event()
        self._responsive.set()
        user, groups = kubelet.identity(instance.private_dns_name)
        self._api = cluster.acting_as(user, groups, self._responsive.wait)
        self._kubelet = kubelet.Kubelet(self._api, instance, instance_type, settings.kubelet_version)
        self._volumes = Volumes(self._api, self.directory, settings.world / "ufs", settings.world / "ebs")
        self._meter = Meter()
        self._pods: dict[str, Pod] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None
        self._log = logging.getLogger(f"nodes.{instance.private_dns_name}")
        self.state = "booting"

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            if self._boot_seconds is None:
                self.state = "never joins"
                self._log.info("%s boots, and will never join", self.instance.id)
                return
            self._log.info("%s boots (%s, %s)", self.instance.id, self.instance.type, self.instance.address)
            await asyncio.sleep(self._boot_seconds)
            await asyncio.to_thread(self.disks.mount, as_set_up(raw_sizes(self._type), self._user_data), self._disk_fault)
            await self._kubelet.register()
            self.state = "joined"
            administrator = self._cluster.acting_as(*cloud.IDENTITY)
            await asyncio.gather(
                cloud.initialize(administrator, self.instance), self._kubelet.run(), self._serve(), self._follow_pods()
            )
        except asyncio.CancelledError:
            raise
        except Exception:
            self.state = "defect"
            self._log.exception("the player failed")

    async def _serve(self) -> None:
        """What the kubelet tells of its pods."""
        node, address = self.instance.private_dns_name, self.instance.address
        server = KubeletServer(self._api, node, address, self._used, self._responsive.wait)
        approver = self._cluster.acting_as(*serving_certificate.APPROVER)
        keys = self.directory / "var/lib/kubelet/pki"
        await server.run(serving_certificate.obtain(self._api, approver, self.instance, keys))

    def _used(self) -> str:
        return self._meter.told(running for pod in self._pods.values() for running in pod.processes())

    async def _follow_pods(self) -> None:
        selector = f"spec.nodeName={self.instance.private_dns_name}"
        async for event in self._api.follow("/api/v1/pods", fieldSelector=selector):
            if event.type == "SYNCED":
                continue
            uid = event.object["metadata"]["uid"]
            if event.type == "DELETED":
                # Deleted by force: the kubelet ends what is still running, without the object.
                if uid in self._pods:
                    self._forget(uid)
            elif uid in self._pods:
                self._pods[uid].update(event.object)
            else:
                self._begin(event.object)

    def _begin(self, told: Object) -> None:
        uid = told["metadata"]["uid"]
        host = self.instance.address
        own = host if told["spec"].get("hostNetwork") else told.get("status", {}).get("podIP") or self._pod_addresses.take()
        self._pod_addresses.keep(own)
        pod = Pod(self._api, told, Addresses(host, own), self._volumes, self._make_runner, self._data_of)
        self._pods[uid] = pod
        task = asyncio.create_task(pod.run())
        self._tasks[uid] = task
        task.add_done_callback(lambda done: self._ended(uid, done))
        if own != host:
            task.add_done_callback(lambda _: self._pod_addresses.give_back(own))

    def _ended(self, uid: str, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception():
            self._log.error("a pod's task failed", exc_info=task.exception())
        if self._tasks.get(uid) is task:
            del self._tasks[uid], self._pods[uid]
        self._settings.names.remove(self._hosts_file(uid))

    def _forget(self, uid: str) -> None:
        self._pods[uid].kill_now()
        self._tasks[uid].cancel()

    async def _data_of(self, pod: Object) -> dict[tuple[str, str], dict[str, str] | None]:
        """The ConfigMaps and Secrets that the pod's environments name; None for one that is not there."""
        namespace, found = pod["metadata"]["namespace"], {}
        for container in (*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]):
            for kind, name in pod_spec.references(container):
                try:
                    told = await self._api.get(f"/api/v1/namespaces/{namespace}/{kind}/{name}")
                    found[kind, name] = told.get("data") or {}
                except ApiError as error:
                    if error.status != 404:
                        raise
                    found[kind, name] = None
        return found

    def _make_runner(self, pod: Object, container: Object, volumes: dict, data: dict, addresses: Addresses) -> Runner:
        image = container["image"]
        try:
            environment = pod_spec.environment(container, pod, addresses, lambda kind, name: data.get((kind, name)))
        except pod_spec.ConfigError as error:
            raise CannotStart("CreateContainerConfigError", str(error)) from None
        mounts = pod_spec.mount_paths(container, volumes)
        if images.is_alluxio(image):
            return self._alluxio(pod, container, environment, mounts, addresses)
        if images.is_provisioner(image):
            return self._provisioner(pod, container, environment, mounts, addresses)
        if metrics_server.is_image(image):
            return self._metrics_server(pod, container, environment, mounts, addresses)
        annotations = pod["metadata"].get("annotations", {})
        lasts = annotations.get(RUN_SECONDS)
        return NothingRunner(float(annotations.get(STOP_SECONDS, 0)), float(lasts) if lasts else None)

    def _alluxio(self, pod: Object, container: Object, environment: dict, mounts: dict, addresses: Addresses) -> Runner:
        log = self._container_log(container)
        home = self.directory / "alluxio" / container["name"]
        hosts = self._hosts_file(pod["metadata"]["uid"])
        self._settings.names.add(hosts, of_pod(pod, addresses.pod))
        uid, gid, _ = pod_spec.user(container, pod, images.USER.uid)
        for directory in (home, *(home / name for name in ("logs", "conf", "tmp", "dev-shm"))):
            directory.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(PermissionError):
                shutil.chown(directory, uid, gid)
        if images.is_script(container):
            return self._script(pod, container, environment, mounts, addresses, home)
        try:
            process = images.alluxio_process(container, environment, mounts, addresses.pod, home, hosts)
            process = images.with_short_socket_path(process, self.directory.parent, self._settings.short_path)
        except images.UsageError as error:
            _say(log, f"Usage: COMMAND [COMMAND_OPTIONS]\n{error}")
            raise CannotStart("RunContainerError", str(error)) from None
        for name in images.lines_lost(environment):
            _say(log, f"{name} has several lines, of which the image's entry point takes the first only")
        if process.dropped_flags:
            _say(log, "instead of " + " ".join(process.dropped_flags) + " with the small heap of the local world")
        child = self._process(pod, container, images.USER, images.command(process, self._settings.runtime))
        return ProcessRunner(child, process.format_directories)

    def _script(
        self, pod: Object, container: Object, environment: dict, mounts: dict, addresses: Addresses, home: Path
    ) -> Runner:
        """A script in Alluxio's image, with the image's command line tool."""
        tool = home / "bin" / "alluxio"
        tool.parent.mkdir(exist_ok=True)
        hosts = self._hosts_file(pod["metadata"]["uid"])
        runtime = self._settings.runtime
        tool.write_text(images.command_line_tool(environment, mounts, addresses.pod, home, hosts, runtime))
        tool.chmod(0o755)
        path = {"PATH": f"{tool.parent}:{os.environ['PATH']}"}
        command = images.script(container, mounts)
        return ProcessRunner(self._process(pod, container, images.USER, command, environment | path))

    def _process(
        self, pod: Object, container: Object, image_user: pod_spec.ImageUser, command: list[str], environment: dict | None = None
    ) -> Process:
        """One that runs as the container's user, which where nothing else is said is the image's."""
        uid, gid, groups = pod_spec.user(container, pod, image_user.uid)
        groups |= image_user.supplementary_groups
        name = f"nodes-{self.instance.id}-{container['name']}-{pod['metadata']['uid'][:8]}"
        confined = jvm.confined(command, uid=uid, gid=gid, groups=groups)
        return Process(name, confined, self._container_log(container), self._settings.world / "pids", environment)

    def _hosts_file(self, uid: str) -> Path:
        """Where the kubelet keeps a pod's ``/etc/hosts``."""
        return self.directory / "var/lib/kubelet/pods" / uid / "etc-hosts"

    def _metrics_server(self, pod: Object, container: Object, environment: dict, mounts: dict, addresses: Addresses) -> Runner:
        kubeconfig = self._volumes.on_this_machine("/var/lib/kubelet/pods") / pod["metadata"]["uid"] / "kubeconfig"
        kubeconfig.write_text(metrics_server.kubeconfig(self._cluster.server, mounts))
        program = self._settings.programs / "metrics-server"
        command = metrics_server.command(program, container, mounts, addresses.pod, kubeconfig)
        return ProcessRunner(self._process(pod, container, metrics_server.USER, command, environment))

    def _provisioner(self, pod: Object, container: Object, environment: dict, mounts: dict, addresses: Addresses) -> Runner:
        log = self._container_log(container)
        namespace, account = pod["metadata"]["namespace"], pod["spec"].get("serviceAccountName", "default")
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
        api = self._cluster.acting_as(f"system:serviceaccount:{namespace}:{account}", groups, self._responsive.wait)

        def make() -> provisioner.Provisioner:
            node_name = environment.get(provisioner.NODE_NAME_VARIABLE)
            if not node_name:
                raise provisioner.Misconfigured(f"{provisioner.NODE_NAME_VARIABLE} environment variable not set")
            told = provisioner.read_config(mounts.get(provisioner.CONFIG_PATH, Path("/nonexistent")))
            say = lambda line: _say(log, line)  # noqa: E731
            return provisioner.Provisioner(api, node_name, told, mounts, self._settings.discovery_seconds, say)

        return ProvisionerRunner(make, addresses.pod, provisioner.listen_port(container), lambda line: _say(log, line))

    def _container_log(self, container: Object) -> Path:
        return self.directory / f"{container['name']}.log"

    # What tests do to a machine.

    def freeze(self) -> None:
        """The kubelet neither speaks nor hears; its processes go on. After the grace period the node is Unknown."""
        self._responsive.clear()

    def thaw(self) -> None:
        self._responsive.set()

    def signal(self, container_name: str, number: int) -> int:
        """Sends a signal to the containers of that name; returns to how many."""
        found = [c for pod in self._pods.values() for c in pod.containers if c.name == container_name and c.runner]
        for container in found:
            assert container.runner
            container.runner.signal(number)
        return len(found)

    async def crash(self) -> None:
        """The kernel panics: everything ends at once, while EC2 still says running."""
        self.state = "crashed"
        await self._power_off()

    async def end(self) -> None:
        """The instance is gone: everything at once, and what was on its disks. Logs stay."""
        self.state = "ended"
        await self._power_off()
        await asyncio.to_thread(self.disks.wipe)
        for name in ("alluxio", "var"):
            shutil.rmtree(self.directory / name, ignore_errors=True)
        for record in (self._settings.world / "pids").glob(f"nodes-{self.instance.id}-*"):
            record.unlink(missing_ok=True)

    async def _power_off(self) -> None:
        for pod in self._pods.values():
            pod.kill_now()
        tasks = [*self._tasks.values(), *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def told(self) -> Object:
        return {
            "instance": self.instance.id,
            "node": self.instance.private_dns_name,
            "address": self.instance.address,
            "state": self.state,
            "frozen": not self._responsive.is_set(),
            "disks": [str(path) for path in self.disks.mounted()],
            "pods": {
                f"{pod.object['metadata']['namespace']}/{pod.name}": {
                    container.name: next(iter(container.state)) for container in pod.containers
                }
                for pod in self._pods.values()
            },
        }


def _say(log: Path, line: str) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as out:
        out.write(f"{now()} {line}\n")
