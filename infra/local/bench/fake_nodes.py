"""Other nodes of the cluster, as they are once they have joined; kwok plays them. Pure: makes the objects only."""

from __future__ import annotations

from typing import Any

from world.kubernetes.cluster_config import FAKE_NODES

Object = dict[str, Any]

INSTANCE_TYPE = "m5d.4xlarge"
LAYOUT = "2x300g"
DISKS = 2
_ZONES = ("us-west-2a", "us-west-2b", "us-west-2c")
_STORAGE_CLASS = "fast-disks"
# What ext4 leaves of 300 GB.
_CAPACITY = "274877906944"


def cluster_of(first: int, last: int) -> list[Object]:
    """Node number `first` up to, without, number `last`, and their volumes."""
    return [thing for number in range(first, last) for thing in (_node(number), *_volumes(number))]


def name(number: int) -> str:
    """A host name as EC2 gives it, from a network in which nothing lives."""
    return f"ip-192-168-{number // 200}-{number % 200 + 10}.us-west-2.compute.internal"


def instance_id(number: int) -> str:
    return f"i-{0xFA4E0000000000000 + number:017x}"


def _node(number: int) -> Object:
    """Of the type that the measured nodes have: the selectors of the functions have to tell them apart."""
    zone = _ZONES[number % len(_ZONES)]
    key, _, value = FAKE_NODES.partition("=")
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name(number),
            "annotations": {key: value},
            "labels": {
                "kubernetes.io/hostname": name(number),
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/os": "linux",
                "eks.amazonaws.com/nodegroup": "nvme-nodes",
                "node.kubernetes.io/instance-type": INSTANCE_TYPE,
                "topology.kubernetes.io/region": "us-west-2",
                "topology.kubernetes.io/zone": zone,
                # What our functions have set, once a node has joined.
                "tidegate.dev/instance-id": instance_id(number),
                "tidegate.dev/disk-layout": LAYOUT,
                "tidegate.dev/alluxio-worker": LAYOUT,
                "fast-disk-node": "pv-nvme",
            },
        },
        "spec": {"providerID": f"aws:///{zone}/{instance_id(number)}"},
    }


def _volumes(number: int) -> list[Object]:
    """As the provisioner publishes them. The worker's pod that the DaemonSet makes on the node claims them."""
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {
                "name": f"local-pv-fake-{number}-{disk}",
                "annotations": {"pv.kubernetes.io/provisioned-by": f"local-volume-provisioner-{name(number)}"},
                "labels": {
                    "kubernetes.io/hostname": name(number),
                    "tidegate.dev/instance-id": instance_id(number),
                    "topology.kubernetes.io/zone": _ZONES[number % len(_ZONES)],
                },
            },
            "spec": {
                "capacity": {"storage": _CAPACITY},
                "accessModes": ["ReadWriteOnce"],
                "volumeMode": "Filesystem",
                "persistentVolumeReclaimPolicy": "Delete",
                "storageClassName": _STORAGE_CLASS,
                "local": {"path": f"/mnt/fast-disks/fake-{disk}"},
                "nodeAffinity": {
                    "required": {
                        "nodeSelectorTerms": [
                            {
                                "matchExpressions": [
                                    {"key": "kubernetes.io/hostname", "operator": "In", "values": [name(number)]}
                                ]
                            }
                        ]
                    }
                },
            },
        }
        for disk in range(DISKS)
    ]
