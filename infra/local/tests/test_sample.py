"""A world of a sample has the node groups that infra/cluster.yaml makes of its parameters."""

from __future__ import annotations

import pytest
from test_cluster_template import CLUSTER, of_type, read
from world import sample
from world.groups import STARTUP_TAINT


def test_dev_is_one_group_whose_nodes_carry_a_cache_in_memory_and_the_master():
    chosen = sample.read("dev", {})
    assert chosen.masters is None
    assert (chosen.caches.instance_type, chosen.caches.sizes) == ("m5.xlarge", (2, 2, 2))
    assert chosen.caches.labels == {"alluxio-memory-worker": "true", "tidegate.dev/alluxio-master": "true"}
    assert (chosen.caches.taints, chosen.caches.in_one_zone) == ([], True)


def test_prod_is_a_group_of_caches_behind_the_startup_taint_and_one_of_masters():
    chosen = sample.read("prod", {"NodesDesired": "4"})
    assert (chosen.caches.instance_type, chosen.caches.sizes) == ("m5d.4xlarge", (3, 4, 10))
    assert (chosen.caches.labels, chosen.caches.taints, chosen.caches.in_one_zone) == ({}, [STARTUP_TAINT], False)
    assert chosen.masters is not None
    assert (chosen.masters.instance_type, chosen.masters.sizes) == ("m5.xlarge", (3, 3, 3))
    assert (chosen.masters.labels, chosen.masters.taints) == ({"tidegate.dev/alluxio-master": "true"}, [])


def test_labels_and_taints_are_those_of_the_template():
    made = of_type(read(CLUSTER), "AWS::EKS::Nodegroup")
    _, [taint], _ = made["Nodes"]["Taints"]["Fn::If"]
    _, _, labels = made["Nodes"]["Labels"]["Fn::If"]
    assert taint["Key"] == STARTUP_TAINT
    assert set(labels) == {sample.MEMORY_LABEL, sample.MASTER_LABEL}
    assert made["Masters"]["Labels"] == {sample.MASTER_LABEL: "true"}


def test_a_parameter_that_the_sample_does_not_have_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match=r"^Nodes: samples/cluster/dev.json has no such parameter$"):
        sample.read("dev", {"Nodes": "1"})
