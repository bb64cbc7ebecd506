"""The local volume provisioner of one node: publishes mounted disks as PVs, empties and deletes released ones.

It runs while its container runs, as the service account of its pod, with the ConfigMap that its pod mounts.
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from aiohttp import web

from ..alluxio.under_store import mount_points_below
from . import local_volumes
from .api import Api, ApiError, Unreachable
from .local_volumes import Config, Misconfigured, Object

# Where the container must find its ConfigMap, and the name of its node.
CONFIG_PATH = "/etc/provisioner/config"
NODE_NAME_VARIABLE = "MY_NODE_NAME"


def read_config(directory: Path) -> Config:
    """Raises :class:`Misconfigured`."""
    if not directory.is_dir():
        raise Misconfigured(f"Error parsing Provisioner's configuration: open {CONFIG_PATH}: no such file or directory")
    return local_volumes.config({file.name: file.read_text() for file in directory.iterdir() if file.is_file()})


class Provisioner:
    """``mounts`` maps a path of the container to where it is here; ``say`` writes a line of its log."""

    def __init__(
        self, api: Api, node_name: str, told: Config, mounts: dict[str, Path], period_seconds: float, say: Callable[[str], None]
    ):
        self._api, self._node_name, self._config = api, node_name, told
        self._mounts, self._period, self._say = mounts, period_seconds, say
        self._node: Object = {}
        self._volumes: dict[str, Object] = {}
        self._classes: dict[str, Object] = {}
        self._cleaning: dict[str, asyncio.Task[None]] = {}
        # As GET /ready tells it: the last discovery of every class had no error.
        self.ready = False
        self._errors: list[str] = []

    async def run(self) -> None:
        """For ever; raises :class:`Misconfigured` where the real one ends."""
        self._node = await self._get_node()
        if local_volumes.HOSTNAME not in self._node["metadata"].get("labels", {}):
            raise Misconfigured(f"Node does not have expected label {local_volumes.HOSTNAME}")
        synced = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_volumes(synced[0]))
            group.create_task(self._follow_classes(synced[1]))
            await asyncio.gather(*(one.wait() for one in synced))
            while True:
                await self._delete_released()
                await self._discover()
                await asyncio.sleep(self._period)

    async def _get_node(self) -> Object:
        for _ in range(3):
            try:
                return await self._api.get(f"/api/v1/nodes/{self._node_name}")
            except (ApiError, *Unreachable) as error:
                self._say(f"Could not get node information: {error}")
                await asyncio.sleep(1)
        raise Misconfigured("Could not get node information")

    async def _follow_volumes(self, synced: asyncio.Event) -> None:
        """Only what this very provisioner has made is its own: the annotation has the node's uid in it."""
        own = local_volumes.provisioner_name(self._node, self._config)
        async for event in self._api.follow("/api/v1/persistentvolumes"):
            if event.type == "SYNCED":
                synced.set()
                continue
            name = event.object["metadata"]["name"]
            if event.object["metadata"].get("annotations", {}).get(local_volumes.PROVISIONED_BY) != own:
                continue
            if event.type == "DELETED":
                self._volumes.pop(name, None)
            else:
                self._volumes[name] = event.object

    async def _follow_classes(self, synced: asyncio.Event) -> None:
        async for event in self._api.follow("/apis/storage.k8s.io/v1/storageclasses"):
            if event.type == "SYNCED":
                synced.set()
            elif event.type == "DELETED":
                self._classes.pop(event.object["metadata"]["name"], None)
            else:
                self._classes[event.object["metadata"]["name"]] = event.object

    async def _discover(self) -> None:
        self._errors = []
        for class_name, mount in self._config.classes.items():
            storage_class = self._classes.get(class_name)
            if storage_class is None:
                self._errors.append(
                    f'failed to get ReclaimPolicy from storage class "{class_name}": storageclass.storage.k8s.io '
                    f'"{class_name}" not found'
                )
                continue
            directory = self._here(mount.mount_dir)
            if not directory.is_dir():
                self._errors.append(f"error reading directory: open {mount.mount_dir}: no such file or directory")
                continue
            mounted = set(mount_points_below(directory))
            for file in sorted(os.listdir(directory)):
                if fnmatch.fnmatchcase(file, mount.name_pattern):
                    await self._publish(directory / file, storage_class, mounted)
        for error in self._errors:
            self._say(f"Failed to discover local volumes: {error}")
        self.ready = not self._errors

    async def _publish(self, path: Path, storage_class: Object, mounted: set[str]) -> None:
        class_name = storage_class["metadata"]["name"]
        inside = f"{self._config.classes[class_name].mount_dir}/{path.name}"
        if not path.is_dir():
            self._errors.append(f'Block device check for "{inside}" failed: it is neither a directory nor a block device')
            return
        name = local_volumes.volume_name(path.name, self._node_name, class_name)
        if name in self._volumes:
            return
        if name in self._cleaning and not self._cleaning[name].done():
            self._say(f"PV {name} is still being cleaned, not going to recreate it")
            return
        self._cleaning.pop(name, None)
        if str(path) not in mounted:
            self._errors.append(f'path "{inside}" is not an actual mountpoint')
            return
        told = os.statvfs(path)
        volume = local_volumes.persistent_volume(
            path.name, storage_class, told.f_blocks * told.f_frsize, self._node, self._config
        )
        try:
            await self._api.create("/api/v1/persistentvolumes", volume)
            self._say(f'Created PV "{name}" for volume at "{volume["spec"]["local"]["path"]}"')
        except (ApiError, *Unreachable) as error:
            self._errors.append(f'error creating PV "{name}" for volume at "{inside}": {error}')

    async def _delete_released(self) -> None:
        for name, volume in list(self._volumes.items()):
            # Retain: nothing happens. Nor to an available volume whose disk has gone: it stays, and stays available.
            released = volume.get("status", {}).get("phase") == "Released"
            if released and volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete":
                await self._clean_and_delete(name, self._volume_path(volume))

    async def _clean_and_delete(self, name: str, path: Path) -> None:
        cleaning = self._cleaning.get(name)
        if cleaning is None:
            if not path.is_dir():
                self._say(f'Error cleaning PV "{name}": failed to get volume mode of path "{path.name}"')
                return
            self._say(f"Start cleanup for pv {name}")
            self._cleaning[name] = asyncio.create_task(asyncio.to_thread(_empty, path))
        elif cleaning.done():
            del self._cleaning[name]
            if cleaning.exception():
                self._say(f"Cleanup for pv {name} failed. Restarting cleanup: {cleaning.exception()}")
                return
            self._say(f"Deleting pv {name} after successful cleanup")
            try:
                await self._api.delete(f"/api/v1/persistentvolumes/{name}")
            except (ApiError, *Unreachable) as error:
                self._say(f'Error deleting PV "{name}": {error}')

    def _volume_path(self, volume: Object) -> Path:
        mount = self._config.classes.get(volume["spec"]["storageClassName"])
        host_path = volume["spec"]["local"]["path"]
        if mount is None:
            return Path("/nonexistent") / host_path.lstrip("/")
        return self._here(mount.mount_dir) / os.path.relpath(host_path, mount.host_dir)

    def _here(self, path: str) -> Path:
        for mount_path in sorted(self._mounts, key=len, reverse=True):
            if path == mount_path or path.startswith(mount_path.rstrip("/") + "/"):
                return self._mounts[mount_path] / path[len(mount_path) :].lstrip("/")
        return Path("/nonexistent") / path.lstrip("/")


def listen_port(container: Object) -> int:
    """Of the flag ``--listen-address``, as in ``:8080``."""
    for word in (*container.get("command", []), *container.get("args", [])):
        match = re.fullmatch(r"--?listen-address=.*:(\d+)", word)
        if match:
            return int(match[1])
    return 8080


@contextlib.asynccontextmanager
async def serving(provisioner: Provisioner, host: str, port: int) -> AsyncIterator[None]:
    """``GET /ready`` and ``GET /metrics`` on the pod's own address, for the probes of its container."""

    async def ready(request: web.Request) -> web.Response:
        if provisioner.ready:
            return web.Response(text="ok")
        return web.Response(status=500, text="[-]DiscovererReadyzCheck failed: reason withheld\n")

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(text="")

    application = web.Application()
    application.add_routes([web.get("/ready", ready), web.get("/metrics", metrics)])
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield
    finally:
        await runner.cleanup()


def _empty(directory: Path) -> None:
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
