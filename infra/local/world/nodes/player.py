"""Follows the instances of the groups, and plays a machine for each as long as it runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import shutil
import tempfile
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from ..alluxio import jvm
from ..alluxio.process import end_recorded, record_self
from . import aggregated, cloud, ebs_csi, instances, names, pod_addresses
from .api import ApiError, Cluster, Unreachable
from .disks import unmount_below
from .instances import Ec2, Instance
from .machine import Machine, Settings

# An instance's tags can say how it boots and what befalls its last disk; a switch can say so for the next one.
BOOT_TAG = "tidegate-local/boot"
DISK_TAG = "tidegate-local/disk"

_log = logging.getLogger("nodes")


@dataclass
class Options:
    """Times in seconds. On AWS an instance takes 30 to 60 s to join; ``boot`` is short, for who watches."""

    boot: float = 2.0
    boot_jitter: float = 1.0
    slow_boot: float = 20.0
    node_deletion: float = 3.0
    poll: float = 0.5
    # The provisioner's own period is 10 s.
    discovery: float = 1.0


@dataclass
class Orders:
    """What befalls the next instances: one boot mode (never, slow) or disk fault each, in order of their launch."""

    boots: deque[str] = field(default_factory=deque)
    disk_faults: deque[str] = field(default_factory=deque)


class Player:
    """The nodes of one world. Reads ``endpoints.json`` and ``kubeconfig`` in the world directory when it starts."""

    def __init__(self, world: Path, runtime: jvm.Runtime, programs: Path, options: Options | None = None):
        self.world = world.resolve()
        self.options = options or Options()
        self.orders = Orders()
        self.machines: dict[str, Machine] = {}
        self._runtime, self._programs = runtime, programs
        self._deletions: set[asyncio.Task[None]] = set()
        self._following: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Returns when instances are followed. Raises what the kubeconfig or the endpoints file lack."""
        endpoints = json.loads((self.world / "endpoints.json").read_text())
        record_self(self.world / "pids", "nodes")
        self._cluster = Cluster(self.world / "kubeconfig")
        self._ec2 = Ec2(endpoints["aws"], endpoints["region"], endpoints["clusterName"])
        self._pod_addresses = pod_addresses.of_world(endpoints["network"], endpoints.get("podNetwork"))
        version = (await self._cluster.acting_as().get("/version"))["gitVersion"]
        link = _link_to_nodes(self.world, endpoints["network"])
        known = names.Names(self._cluster.acting_as(*names.IDENTITY), self.world / "nodes" / "hosts")
        self._settings = Settings(self.world, self._runtime, version, link, known, self.options.discovery, self._programs)
        volumes = ebs_csi.Ec2Volumes(instances.client(endpoints["aws"], endpoints["region"]))
        driver = ebs_csi.EbsCsi(
            self._cluster.acting_as(*ebs_csi.IDENTITY), volumes, endpoints["clusterName"], self.world / "ebs"
        )
        followed = aggregated.AggregatedApis(self._cluster.acting_as(*aggregated.IDENTITY))
        self._following = [asyncio.create_task(part) for part in (self._poll(), known.run(), driver.run(), followed.run())]
        for task in self._following:
            task.add_done_callback(_tell_defect)

    async def stop(self) -> None:
        """Ends every machine's processes and unmounts its disks; the API objects stay as they are."""
        for task in (*self._following, *self._deletions):
            task.cancel()
        await asyncio.gather(*(machine.end() for machine in self.machines.values()))
        if hasattr(self, "_cluster"):
            await self._cluster.close()
        _unlink_nodes(self.world)
        (self.world / "pids" / "nodes").unlink(missing_ok=True)

    async def _poll(self) -> None:
        away = False
        while True:
            try:
                await self._look()
                if away:
                    _log.info("EC2 answers again")
                away = False
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is, an instance that cannot be seen is not gone
                if not away:
                    _log.warning("EC2 cannot be asked: %s", error)
                away = True
            await asyncio.sleep(self.options.poll)

    async def _look(self) -> None:
        running = await self._ec2.running()
        for gone in [id for id in self.machines if id not in running]:
            machine = self.machines.pop(gone)
            _log.info("%s is gone: its node dies", gone)
            task = asyncio.create_task(self._bury(machine))
            self._deletions.add(task)
            task.add_done_callback(self._deletions.discard)
        for instance in running.values():
            if instance.id not in self.machines:
                await self._launch(instance)

    async def _launch(self, instance: Instance) -> None:
        instance_type = await self._ec2.instance_type(instance.type)
        mode = instance.tags.get(BOOT_TAG) or (self.orders.boots.popleft() if self.orders.boots else "")
        fault = instance.tags.get(DISK_TAG) or (self.orders.disk_faults.popleft() if self.orders.disk_faults else "")
        boot: float | None = self.options.boot + random.uniform(0, self.options.boot_jitter)
        if mode == "slow":
            boot = self.options.slow_boot
        if mode == "never":
            boot = None
        elif await self._has_joined(instance):
            # This player was started again: the instance has been up all the time.
            boot = 0.0
        machine = Machine(
            self._cluster, instance, instance_type, self._settings, self._pod_addresses,
            boot_seconds=boot, disk_fault=fault, user_data=await self._ec2.user_data(instance.id),
        )  # fmt: skip
        self.machines[instance.id] = machine
        machine.start()

    async def _has_joined(self, instance: Instance) -> bool:
        try:
            node = await self._cluster.acting_as().get(f"/api/v1/nodes/{instance.private_dns_name}")
            return node["spec"].get("providerID") == instance.provider_id
        except (ApiError, *Unreachable):
            return False

    async def _bury(self, machine: Machine) -> None:
        await machine.end()
        await asyncio.sleep(self.options.node_deletion)
        await cloud.delete_node(self._cluster.acting_as(*cloud.IDENTITY), machine.instance)

    def machine(self, name: str) -> Machine:
        """By instance id or node name; raises KeyError."""
        for machine in self.machines.values():
            if name in (machine.instance.id, machine.instance.private_dns_name):
                return machine
        raise KeyError(name)


def _tell_defect(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception():
        _log.error("a part of the player failed", exc_info=task.exception())


def short_path(network: str) -> Path:
    """Of the directory of all machines. No other world has this network, so none has this name."""
    return Path(tempfile.gettempdir()) / f"tidegate-{network.removesuffix('.0.0/16')}"


def _link_to_nodes(world: Path, network: str) -> Path:
    link = short_path(network)
    link.unlink(missing_ok=True)
    link.symlink_to(world / "nodes")
    return link


def _unlink_nodes(world: Path) -> None:
    for link in Path(tempfile.gettempdir()).glob("tidegate-127.*"):
        if link.is_symlink() and link.readlink() == world.resolve() / "nodes":
            link.unlink(missing_ok=True)


def clean(world: Path) -> None:
    """Undoes what a killed player left: processes, mounted disks."""
    end_recorded(world / "pids", "nodes")
    _unlink_nodes(world)
    unmount_below(world / "nodes")
    for directory in (world / "nodes").glob("i-*"):
        with contextlib.suppress(OSError):
            shutil.rmtree(directory / "mnt")


def write_told(world: Path, control: str) -> None:
    """``nodes/player.json``: who follows the instances, and where its switches are."""
    target = world / "nodes" / "player.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".new")
    unfinished.write_text(json.dumps({"pid": os.getpid(), "control": control}) + "\n")
    os.replace(unfinished, target)
