"""A pod's volumes as directories of this machine: claims on local and EBS volumes, host paths, empty directories, data."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from . import ebs, metrics_server, service_account
from .api import Api, ApiError

# Every node has the directory of the world's under store mounted here, as a shared file system would be.
SHARED_DIRECTORY = "/mnt/under-store"

Object = dict[str, Any]

ReadData = Callable[[str, str, str], Awaitable[dict[str, str] | None]]


class NotYet(Exception):
    """A volume that may come: kubelet's event is FailedMount, and the pod stays in ContainerCreating."""


class Volumes:
    """Volumes of the pods of one machine whose root directory is ``root``; ``api`` acts as its kubelet.

    ``shared`` is what is mounted at :data:`SHARED_DIRECTORY`, ``ebs_volumes`` where the contents of EBS volumes are.
    """

    def __init__(self, api: Api, root: Path, shared: Path, ebs_volumes: Path):
        self._api, self._root, self._shared, self._ebs_volumes = api, root, shared, ebs_volumes

    async def prepare(self, pod: Object) -> dict[str, Path]:
        """Directory of each volume by name; raises :class:`NotYet`. Volumes of other kinds are left out."""
        prepared: dict[str, Path] = {}
        for volume in pod["spec"].get("volumes", []):
            path = await self._one(pod, volume)
            if path is not None:
                prepared[volume["name"]] = path
        return prepared

    async def _one(self, pod: Object, volume: Object) -> Path | None:
        name, metadata = volume["name"], pod["metadata"]
        if "ephemeral" in volume:
            return await self._claim(pod, f"{metadata['name']}-{name}", owner=metadata["uid"])
        if "persistentVolumeClaim" in volume:
            return await self._claim(pod, volume["persistentVolumeClaim"]["claimName"])
        if "hostPath" in volume:
            return self._host_path(volume["hostPath"])
        own = self._own_directory(metadata["uid"], name)
        if "emptyDir" in volume:
            own.mkdir(parents=True, exist_ok=True)
            own.chmod(0o777)
            apply_group(own, pod)
            return own
        if "projected" in volume and any(metrics_server.is_image(c["image"]) for c in pod["spec"]["containers"]):
            return await self._log_in(own, pod, volume["projected"]["sources"])
        for field, kind, key in (("configMap", "configmaps", "name"), ("secret", "secrets", "secretName")):
            if field in volume:
                await self._write_data(own, kind, metadata["namespace"], volume[field], key)
                return own
        return None

    async def _claim(self, pod: Object, name: str, owner: str | None = None) -> Path:
        namespace = pod["metadata"]["namespace"]
        try:
            claim = await self._api.get(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}")
            owners = [reference["uid"] for reference in claim["metadata"].get("ownerReferences", [])]
            if owner and owner not in owners:
                raise NotYet(f'PVC "{namespace}/{name}" was not created for this pod')
            if claim.get("status", {}).get("phase") != "Bound":
                raise NotYet(f'PersistentVolumeClaim "{name}" is not bound')
            volume = await self._api.get(f"/api/v1/persistentvolumes/{claim['spec']['volumeName']}")
        except ApiError as error:
            # The Node authorizer learns of a pod's claims from its own watch, a moment after the kubelet does.
            if error.status in (403, 404):
                raise NotYet(str(error)) from None
            raise
        path = await self._attached(volume, pod) if "csi" in volume["spec"] else self._local(volume)
        apply_group(path, pod)
        return path

    def _local(self, volume: Object) -> Path:
        local = volume["spec"].get("local")
        if not local:
            raise NotYet(f'volume "{volume["metadata"]["name"]}" is neither local nor of EBS, and no other kind is played')
        path = self.on_this_machine(local["path"])
        if not path.is_dir():
            raise NotYet(f'MountVolume.NewMounter initialization failed for volume: path "{local["path"]}" does not exist')
        return path

    async def _attached(self, volume: Object, pod: Object) -> Path:
        """An EBS volume is empty when it is mounted for the first time, and belongs to root."""
        name, csi = volume["metadata"]["name"], volume["spec"]["csi"]
        if csi["driver"] != ebs.DRIVER:
            raise NotYet(f"driver name {csi['driver']} not found in the list of registered CSI drivers")
        attachment = ebs.attachment_name(csi["volumeHandle"], pod["spec"]["nodeName"])
        try:
            told = await self._api.get(f"/apis/storage.k8s.io/v1/volumeattachments/{attachment}")
        except ApiError as error:
            if error.status in (403, 404):
                raise NotYet(f'volume "{name}" is not attached to the node yet') from None
            raise
        if not told.get("status", {}).get("attached") or told["metadata"].get("deletionTimestamp"):
            raise NotYet(f'volume "{name}" is not attached to the node yet')
        path = self._ebs_volumes / csi["volumeHandle"]
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _host_path(self, source: Object) -> Path:
        path = self.on_this_machine(source["path"])
        kind = source.get("type", "")
        if kind == "Directory" and not path.is_dir():
            raise NotYet(f"hostPath type check failed: {source['path']} is not a directory")
        # Without a type the container runtime makes a directory that is not there, owned by root.
        if not path.exists():
            path.mkdir(parents=True)
        return path

    def on_this_machine(self, path: str) -> Path:
        """Where a path of the node is here."""
        if path == SHARED_DIRECTORY or path.startswith(f"{SHARED_DIRECTORY}/"):
            return self._shared / path.removeprefix(SHARED_DIRECTORY).lstrip("/")
        return self._root / path.lstrip("/")

    async def _write_data(self, own: Path, kind: str, namespace: str, source: Object, key: str) -> None:
        try:
            told = await self._api.get(f"/api/v1/namespaces/{namespace}/{kind}/{source[key]}")
        except ApiError as error:
            if error.status == 404 and source.get("optional"):
                told = {}
            elif error.status in (403, 404):
                raise NotYet(f'{kind[:-1]} "{source[key]}" not found') from None
            else:
                raise
        own.mkdir(parents=True, exist_ok=True)
        data = told.get("data") or {}
        items = {item["key"]: item["path"] for item in source.get("items", [])} or {name: name for name in data}
        for name, file in items.items():
            if name in data:
                (own / file).write_text(data[name])

    async def _log_in(self, own: Path, pod: Object, sources: list[Object]) -> Path:
        try:
            await service_account.write(self._api, own, pod, sources)
        except ApiError as error:
            # The Node authorizer learns of a pod a moment after the kubelet does.
            if error.status in (403, 404):
                raise NotYet(str(error)) from None
            raise
        return own

    def _own_directory(self, uid: str, name: str) -> Path:
        return self._root / "var/lib/kubelet/pods" / uid / "volumes" / name

    def release(self, pod: Object) -> None:
        """The pod is gone, and what it had to itself. Claims are the cluster's business."""
        shutil.rmtree(self._root / "var/lib/kubelet/pods" / pod["metadata"]["uid"], ignore_errors=True)


def play_chown(container: Object, mounts: Mapping[str, Path]) -> bool:
    """Does what an init container does that runs ``chown UID:GID PATH...``; False for any other, which is not played.

    Without root every process of a pod is the caller's own, and so is every directory.
    """
    match container.get("command", []):
        case ["chown", str(owner), *paths] if paths and re.fullmatch(r"\d+:\d+", owner):
            uid, gid = map(int, owner.split(":"))
            for path in paths:
                if path in mounts and os.geteuid() == 0:
                    os.chown(mounts[path], uid, gid)
            return True
    return False


def apply_group(directory: Path, pod: Object) -> None:
    """``fsGroup``: the volume belongs to that group and lets it write, as the kubelet does for local volumes.

    The root directory is enough: these volumes are fresh, or were filled by a process of the same group.
    """
    group = pod["spec"].get("securityContext", {}).get("fsGroup")
    if group is None or os.geteuid() != 0:
        return
    try:
        os.chown(directory, -1, group)
        mode = stat.S_IMODE(directory.stat().st_mode)
        directory.chmod(mode | 0o770 | stat.S_ISGID)
    except OSError as error:
        raise NotYet(f"MountVolume.SetUp failed for volume: applyFSGroup failed: {error}") from None
