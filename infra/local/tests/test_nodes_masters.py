"""Our manifests of masters and of a cache in memory, run for real: three masters with an embedded journal on EBS volumes.

One small world for all of it; the tests build on each other in the order in which they stand here.
"""

from __future__ import annotations

import os
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from nodes_support import LOCAL, SmallWorld, eventually
from world import groups, network
from world.groups import NodeGroup
from world.nodes.volumes import SHARED_DIRECTORY
from world.paths import CHECKOUT, cache

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="the network of the pods needs root")

MIB = 2**20
MASTERS, NAMESPACE = "app=alluxio,role=alluxio-master", ("-n", "alluxio")
# An election takes 10 to 20 s.
FAILOVER_SECONDS = 90


@pytest.fixture(scope="module")
def world(tmp_path_factory, tools):
    directory = tmp_path_factory.mktemp("masters")
    claimed = network.claim(cache() / "networks")
    pods = network.PodNetwork(directory)
    world = SmallWorld(directory, tools, claimed.octet, in_cluster=3, pods=claimed.pods_cidr)
    try:
        pods.open(claimed.pods_cidr)
        world.start()
        world.kubectl("apply", "-f", str(LOCAL / "world/kubernetes/ebs-csi-driver.yaml"))
        made = (
            NodeGroup("masters", "m5.xlarge", (3, 3, 3), labels={"tidegate.dev/alluxio-master": "true"}),
            NodeGroup("memory", "m5.xlarge", (1, 1, 1), labels={"alluxio-memory-worker": "true"}),
        )
        groups.make_launch_templates(world.aws["endpoint"], "us-west-2", ("m5.xlarge",))
        for group in made:
            groups.make_node_group(world.aws["endpoint"], "us-west-2", "tidegate", list(world.aws["subnets"].values()), group)
        world.kubectl("apply", "--server-side", "-f", "-", stdin=manifests())
        yield world
    finally:
        world.stop()
        pods.close()
        claimed.release()


def manifests() -> str:
    program = CHECKOUT / "target/programs/tidegate-manifests"
    options = ("--layout", "memory", "--memory-tier-mib", "128", "--master-replicas", "3", "--root-ufs", SHARED_DIRECTORY)
    return subprocess.run([program, "render", *options], check=True, capture_output=True, text=True).stdout


def pods(world) -> dict[str, dict]:
    found = {pod["metadata"]["name"]: pod for pod in world.get("pods", *NAMESPACE, "-l", MASTERS)}
    return dict(sorted(found.items()))


def ready(pod: dict) -> bool:
    conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and not pod["metadata"].get("deletionTimestamp")


def all_ready(world) -> bool:
    found = pods(world)
    return len(found) == 3 and all(map(ready, found.values()))


def primary(world, other_than: dict | None = None) -> dict | None:
    """The pod that answers as the primary does; it may have the name of the one that it is not to be."""
    for pod in pods(world).values():
        if other_than and pod["metadata"]["uid"] == other_than["metadata"]["uid"]:
            continue
        try:
            with urllib.request.urlopen(f"http://{pod['status'].get('podIP')}:19999/api/v1/master/info", timeout=5):
                return pod
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            pass
    return None


def volumes(world) -> dict[str, dict]:
    """Of EC2, by the name of their claim."""
    told = world.clients["ec2"].describe_volumes(Filters=[{"Name": "tag:ebs.csi.aws.com/cluster", "Values": ["true"]}])
    return {tag["Value"]: volume for volume in told["Volumes"] for tag in volume["Tags"] if tag["Key"].endswith("/pvc/name")}


def mounted(world, volume: dict) -> Path:
    return world.directory / "ebs" / volume["VolumeId"]


@pytest.fixture(scope="module")
def masters(world):
    """The three pods, once all are ready."""
    eventually(lambda: all_ready(world), 180, "three ready masters")
    eventually(lambda: primary(world), 60, "a primary")
    return pods(world)


def test_each_master_runs_on_a_node_of_its_own_in_a_zone_of_its_own(world, masters):
    nodes = {node["metadata"]["name"]: node["metadata"]["labels"] for node in world.get("nodes")}
    places = [nodes[pod["spec"]["nodeName"]] for pod in masters.values()]
    assert all(labels["tidegate.dev/alluxio-master"] == "true" for labels in places)
    assert len({labels["kubernetes.io/hostname"] for labels in places}) == 3
    assert len({labels["topology.kubernetes.io/zone"] for labels in places}) == 3


def test_each_claim_of_the_class_standard_is_a_volume_of_ec2_at_its_pod_s_instance(world, masters):
    nodes = {node["metadata"]["name"]: node for node in world.get("nodes")}
    found = volumes(world)
    assert set(found) == {f"{kind}-{name}" for name in masters for kind in ("journal", "metastore")}
    for name, pod in masters.items():
        node = nodes[pod["spec"]["nodeName"]]
        for kind in ("journal", "metastore"):
            volume = found[f"{kind}-{name}"]
            assert (volume["Size"], volume["VolumeType"], volume["Encrypted"]) == (20, "gp3", True)
            assert volume["AvailabilityZone"] == node["metadata"]["labels"]["topology.kubernetes.io/zone"]
            assert volume["Attachments"][0]["InstanceId"] == node["spec"]["providerID"].rsplit("/", 1)[1]
    assert len({volume["Attachments"][0]["Device"] for volume in found.values()}) == 2


def test_the_init_container_has_formatted_the_journal_and_belongs_to_the_image_s_user(world, masters):
    for name, pod in masters.items():
        [status] = pod["status"]["initContainerStatuses"]
        assert status["ready"] and status["state"]["terminated"]["reason"] == "Completed"
        journal = mounted(world, volumes(world)[f"journal-{name}"])
        assert (journal / "formatted").stat().st_uid == 1000
        assert {"formatted", "master", "job-master"} <= {entry.name for entry in journal.iterdir()}
        assert any(mounted(world, volumes(world)[f"metastore-{name}"]).iterdir())


def test_kubernetes_itself_publishes_the_masters_addresses_with_their_names(world, masters):
    [found] = world.get("endpointslices", *NAMESPACE, "-l", "kubernetes.io/service-name=alluxio-master")
    told = {endpoint["hostname"]: endpoint["addresses"] for endpoint in found["endpoints"]}
    assert told == {name: [pod["status"]["podIP"]] for name, pod in masters.items()}


def test_a_worker_in_memory_registers_with_all_that_its_layout_says(world, masters):
    eventually(lambda: world.files.workers("LIVE"), 90, "a live worker")
    [worker] = world.files.workers("LIVE")
    assert worker["capacityBytes"] == 128 * MIB // 100 * 95


@pytest.fixture(scope="module")
def written(world, masters):
    eventually(lambda: world.files.workers("LIVE"), 90, "a live worker")
    return world.files.write("/kept", writeType="CACHE_THROUGH", bytes=100_000)["sha256"]


def test_a_file_is_kept_in_the_directory_that_every_node_has(world, written):
    assert world.files.checksum("/kept")["sha256"] == written
    assert (world.directory / "ufs/kept").stat().st_size == 100_000


def test_when_the_primary_s_pod_is_deleted_the_masters_go_on_and_it_comes_back_with_its_journal(world, masters, written):
    before, first = volumes(world), primary(world)
    name = first["metadata"]["name"]
    world.kubectl("delete", "pod", name, *NAMESPACE, "--wait=false")
    eventually(lambda: primary(world, other_than=first), FAILOVER_SECONDS, "a new primary")
    assert world.files.checksum("/kept")["sha256"] == written
    eventually(lambda: all_ready(world), 90, "three ready masters again")
    again = pods(world)[name]
    assert again["metadata"]["uid"] != first["metadata"]["uid"]
    assert again["status"]["podIP"] != first["status"]["podIP"]
    assert {claim: volume["VolumeId"] for claim, volume in volumes(world).items()} == {
        claim: volume["VolumeId"] for claim, volume in before.items()
    }
    log = world.directory / "nodes" / machine(world, again) / "format-journal.log"
    assert log.read_text().count("Formatting complete") == 1, "a journal is formatted once"


def machine(world, pod: dict) -> str:
    return world.machines()[pod["spec"]["nodeName"]]["instance"]


def test_when_the_primary_s_instance_ends_its_master_goes_on_at_the_next_instance_of_the_zone_with_its_volumes(
    world, masters, written
):
    """Meanwhile the one that came back is half of the quorum: its peers have found it under its new address."""
    before = primary(world)
    name = before["metadata"]["name"]
    journal = volumes(world)[f"journal-{name}"]
    instance = machine(world, before)
    world.clients["ec2"].terminate_instances(InstanceIds=[instance])
    eventually(lambda: primary(world, other_than=before), FAILOVER_SECONDS, "another primary")
    assert world.files.checksum("/kept")["sha256"] == written
    # Kubernetes waits for 40 s before it deletes the pods of a node that is gone.
    again = eventually(lambda: comes_back(world, name, before), 150, "ready elsewhere")
    assert machine(world, again) != instance
    now = volumes(world)[f"journal-{name}"]
    assert now["VolumeId"] == journal["VolumeId"]
    assert [attachment["InstanceId"] for attachment in now["Attachments"]] == [machine(world, again)]


def comes_back(world, name: str, before: dict) -> dict | None:
    pod = pods(world).get(name)
    return pod if pod and ready(pod) and pod["metadata"]["uid"] != before["metadata"]["uid"] else None


def test_a_claim_without_a_pod_waits_and_costs_nothing(world, masters):
    claim = {"accessModes": ["ReadWriteOnce"], "storageClassName": "standard", "resources": {"requests": {"storage": "1Gi"}}}
    metadata = {"name": "idle", "namespace": "default"}
    world.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": claim})
    events = lambda: world.get("events", "--field-selector=involvedObject.name=idle,reason=WaitForFirstConsumer")  # noqa: E731
    eventually(events, 30, "Kubernetes waits for a pod")
    assert "idle" not in volumes(world)


def test_what_the_claims_cost_goes_with_them(world, masters):
    """Last: there are no masters afterwards."""
    world.kubectl("delete", "statefulset", "alluxio-master", *NAMESPACE)
    eventually(lambda: not pods(world), 90, "no master is left")
    assert len(volumes(world)) == 6, "a set that is deleted leaves its journals"
    world.kubectl("delete", "pvc", *NAMESPACE, "--all")
    eventually(lambda: not volumes(world), 60, "no volume is left in EC2")
    eventually(lambda: not world.get("pv"), 30, "no volume is left in Kubernetes")
    assert not list((world.directory / "ebs").iterdir())
    assert not world.get("volumeattachments")
