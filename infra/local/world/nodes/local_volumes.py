"""What the sig-storage local static provisioner v2.9.0 makes of a mounted directory. No I/O.

Played after its source, https://github.com/kubernetes-sigs/sig-storage-local-static-provisioner (``pkg/discovery``,
``pkg/deleter``, ``pkg/common``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import yaml

Object = dict[str, Any]

PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
HOSTNAME = "kubernetes.io/hostname"
_GIB, _MIB = 2**30, 2**20


class Misconfigured(Exception):
    """The provisioner would end with this message (klog.Fatalf)."""


@dataclass(frozen=True)
class MountConfig:
    """One entry of storageClassMap: where the node has the volumes, and where the container sees them."""

    host_dir: str
    mount_dir: str
    volume_mode: str = "Filesystem"
    fs_type: str = ""
    name_pattern: str = "*"


@dataclass(frozen=True)
class Config:
    """The ConfigMap, as the provisioner reads it once, when it starts."""

    classes: dict[str, MountConfig]
    node_labels_for_pv: tuple[str, ...] = ()
    labels_for_pv: dict[str, str] = field(default_factory=dict)
    set_pv_owner_ref: bool = False
    use_node_name_only: bool = False


def config(data: dict[str, str]) -> Config:
    """Each key of the ConfigMap is YAML text of its own. Raises :class:`Misconfigured`."""
    try:
        read = {key: yaml.safe_load(text) for key, text in data.items()}
    except yaml.YAMLError as error:
        raise Misconfigured(f"fail to Unmarshal yaml due to: {error}") from None
    classes = {}
    for name, told in (read.get("storageClassMap") or {}).items():
        if not told.get("hostDir") or not told.get("mountDir"):
            raise Misconfigured(f"Storage Class {name} is misconfigured, missing HostDir or MountDir parameter")
        mode = told.get("volumeMode") or "Filesystem"
        if mode not in ("Filesystem", "Block"):
            raise Misconfigured(f"unsupported volume mode {mode}")
        classes[name] = MountConfig(
            told["hostDir"], told["mountDir"], mode, told.get("fsType") or "", told.get("namePattern") or "*"
        )
    for key in ("setPVOwnerRef", "useNodeNameOnly"):
        if not isinstance(read.get(key, False), bool):
            raise Misconfigured(f"fail to Unmarshal yaml due to: cannot unmarshal {key} into Go value of type bool")
    return Config(
        classes,
        tuple(read.get("nodeLabelsForPV") or ()),
        dict(read.get("labelsForPV") or {}),
        read.get("setPVOwnerRef", False),
        read.get("useNodeNameOnly", False),
    )


def provisioner_name(node: Object, told: Config) -> str:
    name = f"local-volume-provisioner-{node['metadata']['name']}"
    return name if told.use_node_name_only else f"{name}-{node['metadata']['uid']}"


def volume_name(file: str, node_name: str, storage_class: str) -> str:
    """FNV-1a, 32 bits, over the three texts; hexadecimal without leading zeros."""
    value = 0x811C9DC5
    for byte in (file + node_name + storage_class).encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return f"local-pv-{value:x}"


def round_down(capacity: int) -> int:
    """To whole GiB, or MiB, of which there are at least ten; smaller ones stay as they are."""
    for unit in (_GIB, _MIB):
        if capacity // unit >= 10:
            return capacity // unit * unit
    return capacity


def quantity(size: int) -> str:
    """Bytes as Kubernetes writes a BinarySI quantity."""
    for suffix, unit in (("Ti", 2**40), ("Gi", _GIB), ("Mi", _MIB), ("Ki", 2**10)):
        if size and size % unit == 0:
            return f"{size // unit}{suffix}"
    return str(size)


def labels(node: Object, told: Config) -> dict[str, str]:
    """Node labels that the PVs get: those that the node has now, and that is when the provisioner starts."""
    has = node["metadata"].get("labels", {})
    return {name: has[name] for name in told.node_labels_for_pv if name in has} | told.labels_for_pv


def persistent_volume(file: str, storage_class: Object, capacity: int, node: Object, told: Config) -> Object:
    """The PV that is created for a mount point named ``file`` with ``capacity`` bytes (as statfs tells them)."""
    class_name = storage_class["metadata"]["name"]
    mount = told.classes[class_name]
    metadata: Object = {
        "name": volume_name(file, node["metadata"]["name"], class_name),
        "labels": labels(node, told),
        "annotations": {PROVISIONED_BY: provisioner_name(node, told)},
    }
    if told.set_pv_owner_ref:
        metadata["ownerReferences"] = [
            {"apiVersion": "v1", "kind": "Node", "name": node["metadata"]["name"], "uid": node["metadata"]["uid"]}
        ]
    local: Object = {"path": f"{mount.host_dir.rstrip('/')}/{file}"}
    if mount.fs_type:
        local["fsType"] = mount.fs_type
    host = node["metadata"]["labels"][HOSTNAME]
    term = {"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": [host]}]}
    spec: Object = {
        "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
        "capacity": {"storage": quantity(round_down(capacity))},
        "local": local,
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": class_name,
        "volumeMode": mount.volume_mode,
        "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
    }
    if storage_class.get("mountOptions"):
        spec["mountOptions"] = storage_class["mountOptions"]
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec}
