"""A node says of itself what a kubelet on EKS says."""

from __future__ import annotations

import pytest
from world.nodes import node_object
from world.nodes.instances import Instance

M5D_4XLARGE = {
    "VCpuInfo": {"DefaultVCpus": 16},
    "MemoryInfo": {"SizeInMiB": 65536},
    "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
    "NetworkInfo": {"MaximumNetworkInterfaces": 8, "Ipv4AddressesPerInterface": 30},
}


def instance(**tags: str) -> Instance:
    name = "ip-127-1-16-4.us-west-2.compute.internal"
    return Instance("i-0abc", "m5d.4xlarge", "us-west-2b", "nvme-nodes", "127.1.16.4", name, tags)


def node(**tags: str) -> dict:
    return node_object.registration(instance(**tags), M5D_4XLARGE, "v1.35.4")


def taints(made: dict) -> dict[str, str]:
    return {taint["key"]: f"{taint['value']}:{taint['effect']}" for taint in made["spec"]["taints"]}


def test_a_node_is_found_by_its_provider_id():
    assert node()["spec"]["providerID"] == "aws:///us-west-2b/i-0abc"


def test_a_node_registers_not_ready_with_the_startup_taint_and_uninitialised():
    made = node()
    assert taints(made) == {
        "node.cloudprovider.kubernetes.io/uninitialized": "true:NoSchedule",
        "startup-taint.cluster-autoscaler.kubernetes.io/tidegate": "joining:NoSchedule",
    }
    ready = next(c for c in made["status"]["conditions"] if c["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "KubeletNotReady")


def test_a_groups_node_template_tags_say_its_labels_and_taints():
    made = node(
        **{
            "k8s.io/cluster-autoscaler/node-template/label/team": "spark",
            "k8s.io/cluster-autoscaler/node-template/taint/dedicated": "cache:NoExecute",
        }
    )
    assert made["metadata"]["labels"]["team"] == "spark"
    assert taints(made)["dedicated"] == "cache:NoExecute"
    assert "startup-taint.cluster-autoscaler.kubernetes.io/tidegate" not in taints(made)


def test_a_managed_node_group_without_taints_has_no_startup_taint_either():
    assert list(taints(node(**{"eks:nodegroup-name": "masters"}))) == ["node.cloudprovider.kubernetes.io/uninitialized"]


def test_zone_and_type_are_the_cloud_controllers_to_tell():
    assert "topology.kubernetes.io/zone" not in node()["metadata"]["labels"]
    told = node_object.cloud_labels(instance())
    assert (told["topology.kubernetes.io/zone"], told["topology.kubernetes.io/region"]) == ("us-west-2b", "us-west-2")
    assert told["node.kubernetes.io/instance-type"] == "m5d.4xlarge"


def test_its_address_is_the_instances():
    by_type = {address["type"]: address["address"] for address in node()["status"]["addresses"]}
    assert by_type["InternalIP"] == "127.1.16.4"


# https://docs.aws.amazon.com/eks/latest/userguide/choosing-instance-type.html: 8 interfaces with 30 addresses are 234.
def test_capacity_is_that_of_the_instance_type_less_what_eks_reserves():
    status = node()["status"]
    assert status["capacity"]["cpu"] == "16" and status["capacity"]["pods"] == "234"
    assert status["allocatable"]["cpu"] == "15890m"
    capacity, allocatable = (int(status[kind]["memory"].removesuffix("Ki")) for kind in ("capacity", "allocatable"))
    assert (capacity - allocatable) / 1024 == 255 + 11 * 234 + 100


@pytest.mark.parametrize("tag", ["kubernetes.io/cluster/other", "eks:cluster-name"])
def test_an_instance_of_another_cluster_is_not_ours(tag):
    from world.nodes.instances import Ec2

    ec2 = Ec2("http://127.0.0.1:1", "us-west-2", "tidegate")
    assert not ec2._is_ours(instance(**{tag: "other"}))
    assert ec2._is_ours(instance(**{tag.replace("other", "tidegate"): "tidegate"}))
    assert ec2._is_ours(instance())
