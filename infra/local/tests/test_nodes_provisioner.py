"""The played local volume provisioner publishes what sig-storage's v2.9.0 would."""

from __future__ import annotations

import pytest
from world.nodes import local_volumes
from world.nodes.local_volumes import Misconfigured
from world.nodes.provisioner import listen_port

GIB = 2**30
NODE = {
    "metadata": {
        "name": "ip-127-1-16-4.us-west-2.compute.internal",
        "uid": "0d3f",
        "labels": {"kubernetes.io/hostname": "ip-127-1-16-4", "tidegate.dev/instance-id": "i-1", "other": "x"},
    }
}
CLASS = {"metadata": {"name": "fast-disks"}, "reclaimPolicy": "Delete"}
DATA = {
    "storageClassMap": "fast-disks:\n  hostDir: /mnt/fast-disks\n  mountDir: /in/container\n  fsType: ext4\n",
    "nodeLabelsForPV": "- tidegate.dev/instance-id\n- not-on-the-node\n",
    "setPVOwnerRef": "true",
}


def volume(**changes: str) -> dict:
    return local_volumes.persistent_volume(
        "2f6d", CLASS, int(273.95 * GIB), NODE, local_volumes.config(DATA | changes)
    )


# FNV-1a's own vectors (http://www.isthe.com/chongo/tech/comp/fnv/): "foobar" is 0xbf9cf968, "" is 0x811c9dc5.
@pytest.mark.parametrize(
    ("parts", "name"), [(("foo", "b", "ar"), "local-pv-bf9cf968"), (("", "", ""), "local-pv-811c9dc5")]
)
def test_a_volume_is_named_by_the_fnv_hash_of_directory_node_and_class(parts, name):
    assert local_volumes.volume_name(*parts) == name


def test_a_hash_is_written_without_leading_zeros():
    short = next(n for n in map(str, range(10_000)) if len(local_volumes.volume_name(n, "n", "c")) < len("local-pv-12345678"))
    assert not local_volumes.volume_name(short, "n", "c").startswith("local-pv-0")


@pytest.mark.parametrize(
    ("capacity", "told"),
    [
        (int(273.95 * GIB), "273Gi"),
        (10 * GIB, "10Gi"),
        (10 * GIB - 1, "10239Mi"),
        (64 * 2**20, "64Mi"),
        (10 * 2**20 - 1, str(10 * 2**20 - 1)),
    ],
)
def test_capacity_is_rounded_down_to_units_of_which_there_are_at_least_ten(capacity, told):
    assert local_volumes.quantity(local_volumes.round_down(capacity)) == told


def test_a_volume_can_only_be_used_on_the_node_of_its_hostname_label():
    term = volume()["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert term == [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["ip-127-1-16-4"]}]}]


def test_a_volume_says_where_the_node_has_it_and_who_made_it():
    made = volume()
    assert made["spec"]["local"] == {"path": "/mnt/fast-disks/2f6d", "fsType": "ext4"}
    assert made["metadata"]["annotations"] == {
        "pv.kubernetes.io/provisioned-by": "local-volume-provisioner-ip-127-1-16-4.us-west-2.compute.internal-0d3f"
    }


def test_a_volume_has_those_of_the_configured_labels_that_the_node_has():
    assert volume()["metadata"]["labels"] == {"tidegate.dev/instance-id": "i-1"}


def test_a_volume_belongs_to_its_node_only_if_so_configured():
    owner = {"apiVersion": "v1", "kind": "Node", "name": NODE["metadata"]["name"], "uid": "0d3f"}
    assert volume()["metadata"]["ownerReferences"] == [owner]
    assert "ownerReferences" not in volume(setPVOwnerRef="false")["metadata"]


def test_a_class_without_a_reclaim_policy_deletes():
    made = local_volumes.persistent_volume("d", {"metadata": {"name": "fast-disks"}}, GIB, NODE, local_volumes.config(DATA))
    assert made["spec"]["persistentVolumeReclaimPolicy"] == "Delete"


@pytest.mark.parametrize(
    "data",
    [
        {"storageClassMap": "fast-disks: {hostDir: /mnt/fast-disks}"},
        {"storageClassMap": "fast-disks: {hostDir: /a, mountDir: /a, volumeMode: Folder}"},
        {"storageClassMap": "fast-disks: {hostDir: ["},
        {"setPVOwnerRef": '"true"'},
    ],
    ids=["no mountDir", "unknown volume mode", "no YAML", "text where a truth value belongs"],
)
def test_a_configuration_that_ends_the_real_one_ends_this_one(data):
    with pytest.raises(Misconfigured):
        local_volumes.config(data)


def test_it_listens_where_its_flag_says():
    assert listen_port({}) == 8080
    assert listen_port({"args": ["--v=4", "--listen-address=:9090"]}) == 9090
