"""What the EBS CSI driver, and the sidecars beside it, make of a claim. No I/O.

Played after their sources: https://github.com/kubernetes-sigs/aws-ebs-csi-driver (``pkg/driver/controller.go``,
``docs/tagging.md``), https://github.com/kubernetes-csi/external-provisioner, https://github.com/kubernetes-csi/external-attacher.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

Object = dict[str, Any]

DRIVER = "ebs.csi.aws.com"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
PROVISIONER_FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer"
ATTACHER_FINALIZER = "external-attacher/ebs-csi-aws-com"
ZONE = "topology.kubernetes.io/zone"

# Kubernetes' own volume controller hands a claim over to the provisioner that it names here.
_HANDED_TO = ("volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner")
_SELECTED_NODE = "volume.kubernetes.io/selected-node"
_GIB = 2**30
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": _GIB, "Ti": 2**40}
# Of an instance, beside its root disk: /dev/xvdaa to /dev/xvddx, which any image has free.
_DEVICES = [f"/dev/xvd{first}{second}" for first in "abcd" for second in "abcdefghijklmnopqrstuvwx"]


class Unsupported(Exception):
    """The driver would refuse the claim with this message."""


def is_due(claim: Object) -> bool:
    """Whether the claim waits for this driver: handed over to it, and neither bound nor about to go."""
    metadata = claim["metadata"]
    annotations = metadata.get("annotations", {})
    return (
        not claim["spec"].get("volumeName")
        and not metadata.get("deletionTimestamp")
        and DRIVER in (annotations.get(key) for key in _HANDED_TO)
    )


def selected_node(claim: Object) -> str | None:
    """The node that the scheduler has chosen for the first pod of the claim."""
    return claim["metadata"].get("annotations", {}).get(_SELECTED_NODE)


def waits_for_a_pod(storage_class: Object) -> bool:
    return storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"


def size_gib(claim: Object) -> int:
    """EBS sells whole GiB; a claim gets the least of them that holds what it asks for. Raises :class:`Unsupported`."""
    asked = claim["spec"]["resources"]["requests"]["storage"]
    match = re.fullmatch(r"(\d+)([kMGT]i?|Ki)?", asked)
    if not match:
        raise Unsupported(f"the quantity {asked} is not played")
    return max(1, -(-int(match[1]) * _UNITS[match[2] or ""] // _GIB))


def volume_name(claim: Object) -> str:
    return f"pvc-{claim['metadata']['uid']}"


def tags(claim: Object, cluster: str) -> dict[str, str]:
    """As the EKS add-on sets them, which tells the driver the name of its cluster (``--k8s-tag-cluster-id``)."""
    metadata, name = claim["metadata"], volume_name(claim)
    return {
        "CSIVolumeName": name,
        "ebs.csi.aws.com/cluster": "true",
        f"kubernetes.io/cluster/{cluster}": "owned",
        "KubernetesCluster": cluster,
        "Name": f"{cluster}-dynamic-{name}",
        "kubernetes.io/created-for/pvc/name": metadata["name"],
        "kubernetes.io/created-for/pvc/namespace": metadata["namespace"],
        "kubernetes.io/created-for/pv/name": name,
    }


def request(claim: Object, storage_class: Object, zone: str, cluster: str) -> Object:
    """The parameters of CreateVolume. Raises :class:`Unsupported`."""
    parameters = {key.lower(): value for key, value in (storage_class.get("parameters") or {}).items()}
    unknown = set(parameters) - {"type", "encrypted", "csi.storage.k8s.io/fstype"}
    if unknown:
        raise Unsupported(f"the parameters {', '.join(sorted(unknown))} of class {_name(storage_class)} are not played")
    told = [{"Key": key, "Value": value} for key, value in tags(claim, cluster).items()]
    return {
        "AvailabilityZone": zone,
        "Size": size_gib(claim),
        "VolumeType": parameters.get("type", "gp3"),
        "Encrypted": parameters.get("encrypted", "false") == "true",
        "TagSpecifications": [{"ResourceType": "volume", "Tags": told}],
    }


def persistent_volume(claim: Object, storage_class: Object, volume_id: str, zone: str) -> Object:
    """The PV of a claim and the EC2 volume that was made for it."""
    metadata = claim["metadata"]
    term = {"matchExpressions": [{"key": ZONE, "operator": "In", "values": [zone]}]}
    parameters = storage_class.get("parameters") or {}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": volume_name(claim),
            "annotations": {PROVISIONED_BY: DRIVER},
            "finalizers": [PROVISIONER_FINALIZER],
        },
        "spec": {
            "capacity": {"storage": f"{size_gib(claim)}Gi"},
            "accessModes": claim["spec"]["accessModes"],
            "volumeMode": claim["spec"].get("volumeMode", "Filesystem"),
            "storageClassName": _name(storage_class),
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy", "Delete"),
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
            "csi": {
                "driver": DRIVER,
                "volumeHandle": volume_id,
                "fsType": parameters.get("csi.storage.k8s.io/fstype", "ext4"),
            },
            "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
        },
    }


def is_ours(volume: Object) -> bool:
    return volume["metadata"].get("annotations", {}).get(PROVISIONED_BY) == DRIVER


def is_to_be_deleted(volume: Object) -> bool:
    """Released, and not to be kept. Without the finalizer its EC2 volume has gone before."""
    metadata = volume["metadata"]
    return (
        is_ours(volume)
        and volume.get("status", {}).get("phase") == "Released"
        and volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete"
        and PROVISIONER_FINALIZER in metadata.get("finalizers", [])
    )


def attachment_name(volume_id: str, node_name: str) -> str:
    """Of the VolumeAttachment (``getAttachmentName`` in ``pkg/volume/csi/csi_attacher.go`` of Kubernetes)."""
    return "csi-" + hashlib.sha256(f"{volume_id}{DRIVER}{node_name}".encode()).hexdigest()


def free_device(taken: set[str]) -> str:
    """Raises :class:`Unsupported` where an instance has no place left."""
    for device in _DEVICES:
        if device not in taken:
            return device
    raise Unsupported("there are no free device names on the instance")


def _name(storage_class: Object) -> str:
    return str(storage_class["metadata"]["name"])
