"""What the EBS CSI driver makes of a claim, and what the cluster's names are: read off its sources and a real cluster."""

from __future__ import annotations

import ipaddress
import socket

import pytest
from world.nodes import ebs, names
from world.nodes.pod_addresses import PodAddresses, of_world

STANDARD = {
    "metadata": {"name": "standard"},
    "provisioner": "ebs.csi.aws.com",
    "parameters": {"type": "gp3", "encrypted": "true"},
    "volumeBindingMode": "WaitForFirstConsumer",
    "reclaimPolicy": "Retain",
}


def claim(storage: str = "20Gi", **annotations: str) -> dict:
    metadata = {"name": "journal-alluxio-master-0", "namespace": "alluxio", "uid": "1-2", "annotations": annotations}
    spec = {"storageClassName": "standard", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage}}}
    return {"metadata": metadata, "spec": spec}


def test_a_claim_is_due_once_kubernetes_has_handed_it_over_and_until_it_is_bound():
    handed = {"volume.kubernetes.io/storage-provisioner": "ebs.csi.aws.com"}
    assert ebs.is_due(claim(**handed))
    assert not ebs.is_due(claim())
    assert not ebs.is_due(claim(**{"volume.kubernetes.io/storage-provisioner": "efs.csi.aws.com"}))
    bound = claim(**handed)
    bound["spec"]["volumeName"] = "pvc-1-2"
    assert not ebs.is_due(bound)


@pytest.mark.parametrize(
    ("asked", "gib"), [("20Gi", 20), ("1", 1), ("1025Mi", 2), ("1G", 1), ("5G", 5), ("1Ti", 1024), ("1048576Ki", 1)]
)
def test_a_volume_is_whole_gib_and_holds_what_is_asked_for(asked, gib):
    assert ebs.size_gib(claim(asked)) == gib


def test_an_ec2_volume_has_type_encryption_and_zone_and_tells_by_its_tags_whose_it_is():
    made = ebs.request(claim(), STANDARD, "us-west-2b", "prod")
    assert (made["Size"], made["VolumeType"], made["Encrypted"]) == (20, "gp3", True)
    assert made["AvailabilityZone"] == "us-west-2b"
    [told] = made["TagSpecifications"]
    assert {tag["Key"]: tag["Value"] for tag in told["Tags"]} == {
        "CSIVolumeName": "pvc-1-2",
        "ebs.csi.aws.com/cluster": "true",
        "kubernetes.io/cluster/prod": "owned",
        "KubernetesCluster": "prod",
        "Name": "prod-dynamic-pvc-1-2",
        "kubernetes.io/created-for/pvc/name": "journal-alluxio-master-0",
        "kubernetes.io/created-for/pvc/namespace": "alluxio",
        "kubernetes.io/created-for/pv/name": "pvc-1-2",
    }


def test_what_is_not_played_is_an_error_and_not_a_silence():
    with pytest.raises(ebs.Unsupported, match="iops"):
        ebs.request(claim(), STANDARD | {"parameters": {"iops": "3000"}}, "us-west-2b", "prod")
    with pytest.raises(ebs.Unsupported, match="1.5Gi"):
        ebs.size_gib(claim("1.5Gi"))


def test_a_volume_stays_in_its_zone_and_goes_as_its_class_says():
    made = ebs.persistent_volume(claim(), STANDARD, "vol-1", "us-west-2b")
    [term] = made["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    zone = {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["us-west-2b"]}
    assert term["matchExpressions"] == [zone]
    assert made["spec"]["persistentVolumeReclaimPolicy"] == "Retain"
    assert made["spec"]["csi"]["volumeHandle"] == "vol-1"
    released = made | {"status": {"phase": "Released"}}
    assert not ebs.is_to_be_deleted(released)
    released["spec"]["persistentVolumeReclaimPolicy"] = "Delete"
    assert ebs.is_to_be_deleted(released)
    assert not ebs.is_to_be_deleted(released | {"status": {"phase": "Bound"}})


def test_a_device_is_given_to_one_volume_only():
    assert ebs.free_device({"/dev/sda1"}) == "/dev/xvdaa"
    assert ebs.free_device({"/dev/xvdaa", "/dev/xvdab"}) == "/dev/xvdac"


def test_a_headless_service_has_the_names_of_its_pods():
    told = {
        "metadata": {"namespace": "alluxio", "labels": {"kubernetes.io/service-name": "alluxio-master"}},
        "endpoints": [
            {"addresses": ["198.18.1.2"], "conditions": {"ready": True}, "hostname": "alluxio-master-0"},
            {"addresses": ["198.18.1.3"], "conditions": {"ready": False}, "hostname": "alluxio-master-1"},
        ],
    }
    assert names.of_service(told) == [
        "198.18.1.2 alluxio-master.alluxio.svc.cluster.local",
        "198.18.1.2 alluxio-master-0.alluxio-master.alluxio.svc.cluster.local",
    ]
    assert names.of_service(told | {"endpoints": None}) == []


def test_a_pod_knows_its_own_name_before_the_cluster_does():
    pod = {"metadata": {"name": "m-0", "namespace": "alluxio"}, "spec": {"hostname": "m-0", "subdomain": "m"}}
    machine = socket.gethostname()
    assert names.of_pod(pod, "198.18.1.2") == [
        "198.18.1.2 m-0.m.alluxio.svc.cluster.local",
        "198.18.1.2 m-0",
        f"198.18.1.2 {machine}",
    ]
    assert names.of_pod(pod | {"spec": {"hostNetwork": True}}, "127.1.16.4") == [f"127.1.16.4 {machine}"]


def test_an_address_is_given_out_again_only_when_its_pod_is_gone_and_then_last():
    addresses = PodAddresses(ipaddress.IPv4Network("198.18.1.0/29"))
    first, second = addresses.take(), addresses.take()
    addresses.keep("198.18.1.4")
    addresses.give_back(first)
    assert [first, second] == ["198.18.1.2", "198.18.1.3"]
    assert [addresses.take() for _ in range(3)] == ["198.18.1.5", "198.18.1.6", first]
    with pytest.raises(IndexError):
        addresses.take()


def test_pods_have_the_upper_half_of_the_world_s_network_where_it_keeps_none_for_them():
    assert of_world("127.10.0.0/16", None).take() == "127.10.128.2"
    assert of_world("127.10.0.0/16", "198.18.10.0/24").take() == "198.18.10.2"
