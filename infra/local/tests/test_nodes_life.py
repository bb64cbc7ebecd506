"""Instances become nodes with disks, volumes and a real Alluxio worker, and end with all they have.

One small world for all of it; the tests build on each other in the order in which they stand here.
"""

from __future__ import annotations

import base64
import os
import re
import socket
import ssl
import stat
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

import pytest
import yaml
from nodes_manifests import WORKER_LABEL, alluxio_worker, plain_pod, provisioner
from nodes_support import SmallWorld, eventually
from test_alluxio_service import free_address
from world.alluxio.process import start_ticks
from world.alluxio.under_store import mount_points_below
from world.nodes.node_object import STARTUP_TAINT

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="disks are mounted, which needs root")

GIB = 2**30
# worker.timeout + lost.worker.deletion.timeout of the local masters, and the worker's next heartbeat.
REGISTERS_AGAIN_SECONDS = 31


@pytest.fixture(scope="module")
def world(tmp_path_factory, tools):
    world = SmallWorld(tmp_path_factory.mktemp("nodes"), tools, int(free_address().split(".")[1]))
    try:
        world.start()
        world.apply(*provisioner(), *alluxio_worker(f"127.{world.network}.0.2"))
        world.scale_to(2)
        yield world
    finally:
        world.stop()
        assert mount_points_below(world.directory) == []


@pytest.fixture(scope="module")
def nodes(world):
    """Names of the two nodes, once they are ready."""

    def ready() -> list[str]:
        return sorted(node["metadata"]["name"] for node in world.get("nodes") if condition(node, "Ready"))

    return eventually(lambda: len(ready()) == 2 and ready(), 30, "two ready nodes")


@pytest.fixture(scope="module")
def workers(world, nodes):
    """Both nodes with their label, volumes and a worker that is ready."""
    for node in nodes:
        machine = world.machines()[node]
        world.label(node, **{"tidegate.dev/instance-id": machine["instance"], "fast-disk-node": "pv-nvme"})
        world.label(node, **{WORKER_LABEL: "2x300g"})
    eventually(lambda: all(pod_is_ready(world, node) for node in nodes), 60, "ready workers")
    return {node: world.machines()[node]["address"] for node in nodes}


def worker_pod(world, node: str) -> dict | None:
    found = world.get("pods", "-n", "alluxio", f"--field-selector=spec.nodeName={node}")
    return found[0] if found else None


def condition(told: dict, type: str) -> bool:
    return {c["type"]: c["status"] for c in told["status"].get("conditions", [])}.get(type) == "True"


def pod_is_ready(world, node: str) -> bool:
    pod = worker_pod(world, node)
    return pod is not None and condition(pod, "Ready")


def volumes(world, node: str) -> list[dict]:
    return world.get("pv", "-l", f"tidegate.dev/instance-id={world.machines()[node]['instance']}")


def live(world) -> set[str]:
    return {worker["host"] for worker in world.files.workers("LIVE")}


def test_an_instance_becomes_a_node_that_tells_where_it_is_and_waits_with_its_taint(world, nodes):
    for node in world.get("nodes"):
        machine = world.machines()[node["metadata"]["name"]]
        assert node["spec"]["providerID"].endswith("/" + machine["instance"])
        assert node["metadata"]["labels"]["node.kubernetes.io/instance-type"] == "m5d.4xlarge"
        assert node["spec"]["providerID"].split("/")[3] == node["metadata"]["labels"]["topology.kubernetes.io/zone"]
        # The controllers add and take away `node.kubernetes.io/not-ready` in their own time.
        startup = [taint["value"] for taint in node["spec"]["taints"] if taint["key"] == STARTUP_TAINT["key"]]
        assert startup == ["joining"]


def test_nothing_is_published_before_the_label_starts_the_provisioner(world, nodes):
    assert all(len(machine["disks"]) == 2 for machine in world.machines().values())
    assert world.get("pv") == []


def test_the_provisioner_publishes_each_mounted_disk(world, nodes, workers):
    for node in nodes:
        published = volumes(world, node)
        assert [volume["spec"]["capacity"]["storage"] for volume in published] == ["273Gi", "273Gi"]
        owners = {volume["metadata"]["ownerReferences"][0]["name"] for volume in published}
        assert owners == {node}


def test_a_real_worker_registers_with_the_quotas_of_both_disks(world, workers):
    by_host = {worker["host"]: worker for worker in world.files.workers("LIVE")}
    assert set(by_host) == set(workers.values())
    assert {worker["capacityBytes"] for worker in by_host.values()} == {2 * 246 * GIB}


def test_a_worker_serves_on_a_domain_socket_of_its_own_in_a_directory_of_its_node(world, workers):
    for node in workers:
        directory = world.directory / "nodes" / world.machines()[node]["instance"] / "var/lib/alluxio/domain"
        assert directory.stat().st_uid == 1000
        [found] = directory.iterdir()
        uuid.UUID(found.name)
        # Any user may connect, as a client's is its own.
        assert stat.S_ISSOCK(found.stat().st_mode) and stat.S_IMODE(found.stat().st_mode) == 0o777
        assert _settings_frame(directory, found.name), "gRPC is HTTP/2, whose server begins with its settings"


def _settings_frame(directory: Path, name: str) -> bool:
    """Whether what listens there answers the beginning of HTTP/2 with a SETTINGS frame (RFC 9113, 3.4)."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        # By way of the open directory: the whole path would be too long for a socket.
        opened = os.open(directory, os.O_PATH)
        try:
            client.connect(f"/proc/self/fd/{opened}/{name}")
        finally:
            os.close(opened)
        client.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5))
        return client.recv(9)[3:4] == b"\x04"


def test_a_kubelet_tells_what_its_pods_use_to_who_may_know_and_to_nobody_else(world, workers):
    account = {"name": "measures", "namespace": "default"}
    world.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    node, host = next(iter(workers.items()))
    token = world.kubectl("create", "token", account["name"]).strip()
    assert [_metrics(world, host, other)[0] for other in (None, "made-up", token)] == [401, 401, 403]
    assert "system:serviceaccount:default:measures, verb=get, resource=nodes" in _metrics(world, host, token)[1]
    world.kubectl("create", "clusterrole", "measures", "--verb=get", "--resource=nodes/metrics")
    world.kubectl("create", "clusterrolebinding", "measures", "--clusterrole=measures", "--serviceaccount=default:measures")
    status, text = eventually(lambda: (told := _metrics(world, host, token))[0] == 200 and told, 10, "let in")
    assert status == 200
    samples = dict(re.findall(r"^(\S+) ([\d.]+) \d+$", text, re.MULTILINE))
    pod = worker_pod(world, node)["metadata"]["name"]
    for name in ("container_cpu_usage_seconds_total", "container_memory_working_set_bytes"):
        both = [f'{name}{{container="{c}",namespace="alluxio",pod="{pod}"}}' for c in ("alluxio-worker", "alluxio-job-worker")]
        assert all(float(samples[one]) > 0 for one in both), samples
    # A JVM that has started.
    assert float(samples["node_cpu_usage_seconds_total"]) > 0.5
    assert 2 * 50 << 20 < float(samples["node_memory_working_set_bytes"]) < 2 << 30


def _metrics(world, host: str, token: str | None) -> tuple[int, str]:
    """Status and text of a kubelet's answer. Its certificate must be one that the cluster has signed for this address."""
    cluster = yaml.safe_load((world.directory / "kubeconfig").read_text())["clusters"][0]["cluster"]
    trusted = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"https://{host}:10250/metrics/resource", headers=headers)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trusted))
    try:
        with opener.open(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_killed_worker_is_restarted_and_still_has_its_blocks(world, nodes, workers):
    node, host = nodes[0], workers[nodes[0]]
    written = world.files.write("/kept", writeType="MUST_CACHE", bytes=100_000, worker=host)
    world.switch(f"/nodes/{node}/containers/alluxio-worker?signal=KILL")
    eventually(lambda: not pod_is_ready(world, node), 10, "not ready any more")
    eventually(lambda: pod_is_ready(world, node), 30, "ready again")
    statuses = {status["name"]: status for status in worker_pod(world, node)["status"]["containerStatuses"]}
    assert (statuses["alluxio-worker"]["restartCount"], statuses["alluxio-job-worker"]["restartCount"]) == (1, 0)
    assert statuses["alluxio-worker"]["lastState"]["terminated"]["exitCode"] == 137
    assert eventually(lambda: host in live(world))
    assert world.files.checksum("/kept")["sha256"] == written["sha256"]


def test_the_master_forgets_a_decommission_when_it_restarts(world, workers):
    host = sorted(workers.values())[1]
    world.files.decommission(host)
    assert host not in live(world)
    world.switch("/master/restart", part="alluxio/service.json")
    eventually(lambda: host in live(world), 30, "registered with the new master")


@pytest.fixture(scope="module")
def decommissioned(world, workers):
    """A worker that was decommissioned while a write to it was under way: (host, moment, sum of the raced write)."""
    host = sorted(workers.values())[0]
    eventually(lambda: host in live(world))
    open_file = world.files.open("/raced", writeType="MUST_CACHE", worker=host)
    world.files.add(open_file, 100_000)
    world.files.decommission(host)
    moment = time.monotonic()
    world.files.add(open_file, 100_000, seed=2)
    return host, moment, world.files.close(open_file)["sha256"]


def test_a_decommissioned_worker_goes_on_accepting_a_write_that_races(world, decommissioned):
    host, _, _ = decommissioned
    assert host not in live(world)
    assert host in {worker["host"] for worker in world.files.workers("DECOMMISSIONED")}
    status = world.files.status("/raced")
    assert status["completed"] and status["blocks"][0]["hosts"] == []


def test_an_under_store_that_refuses_holds_a_persist_up_until_it_accepts(world, workers, decommissioned):
    host = next(address for address in workers.values() if address != decommissioned[0])
    world.files.write("/waiting", writeType="ASYNC_THROUGH", bytes=1000, worker=host)
    world.switch("/under-store?writes=refused", part="alluxio/service.json")
    world.files.call("POST", "/files/persist", path="/waiting")
    time.sleep(3)
    assert not world.files.status("/waiting")["persisted"]
    world.switch("/under-store?writes=accepted", part="alluxio/service.json")
    eventually(lambda: world.files.status("/waiting")["persisted"], 40, "persisted")


def test_a_file_of_any_owner_persists(world, workers, decommissioned):
    host = next(address for address in workers.values() if address != decommissioned[0])
    world.files.call("POST", "/files/mkdir", path="/spark", mode="777")
    world.files.write("/spark/table", writeType="CACHE_THROUGH", bytes=1000, worker=host, user="spark")
    assert world.files.status("/spark/table")["persisted"]


def test_pods_of_other_images_run_at_once_and_take_their_time_to_end(world, nodes):
    world.apply(plain_pod("slow", nodes[0], **{"tidegate-local/stop-seconds": "2"}))
    eventually(lambda: world.get("pods", "-n", "default")[0]["status"]["phase"] == "Running", 10, "running")
    began = time.monotonic()
    world.kubectl("delete", "pod", "slow")
    assert 2 <= time.monotonic() - began < 10


def test_a_frozen_node_neither_speaks_nor_hears(world, nodes):
    world.apply(plain_pod("heard", nodes[0]))
    eventually(lambda: world.get("pods", "-n", "default")[0]["status"]["phase"] == "Running", 10, "running")
    world.switch(f"/nodes/{nodes[0]}/freeze")
    world.kubectl("delete", "pod", "heard", "--wait=false")
    time.sleep(2)
    assert [pod["metadata"]["name"] for pod in world.get("pods", "-n", "default")] == ["heard"]
    world.switch(f"/nodes/{nodes[0]}/thaw")
    eventually(lambda: not world.get("pods", "-n", "default"), 10, "deleted after the thaw")


def test_an_instance_that_is_told_to_never_joins(world, nodes):
    world.switch("/boot?mode=never")
    world.scale_to(3)
    never = eventually(lambda: [m for m in world.machines().values() if m["state"] == "never joins"], 20, "the third instance")
    time.sleep(2)
    assert len(world.get("nodes")) == 2
    world.end(never[0]["instance"])


def test_a_directory_that_is_no_mount_point_is_no_volume_and_makes_the_provisioner_unready(world, nodes):
    world.switch("/disks?fault=not-mounted")
    world.scale_to(3)
    joined = lambda: {m["node"] for m in world.machines().values() if m["state"] == "joined"}  # noqa: E731
    node = eventually(lambda: joined() - set(nodes), 20, "the third node").pop()
    instance = world.machines()[node]["instance"]
    eventually(lambda: node in {n["metadata"]["name"] for n in world.get("nodes")}, 20, "the third node")
    world.label(node, **{"tidegate.dev/instance-id": instance, "fast-disk-node": "pv-nvme"})
    eventually(lambda: len(volumes(world, node)) == 1, 20, "the volume of the other disk")
    assert "is not an actual mountpoint" in (world.directory / "nodes" / instance / "provisioner.log").read_text()
    time.sleep(1)
    pod = world.get("pods", "-n", "kube-system", f"--field-selector=spec.nodeName={node}")[0]
    assert pod["status"]["phase"] == "Running" and not pod["status"]["containerStatuses"][0]["ready"]
    world.end(instance)


def test_a_decommissioned_worker_comes_back_by_itself_with_what_was_written_to_it(world, decommissioned):
    host, moment, sum = decommissioned
    eventually(lambda: host in live(world), moment + REGISTERS_AGAIN_SECONDS + 10 - time.monotonic(), "registered again")
    eventually(lambda: world.files.status("/raced")["blocks"][0]["hosts"] == [host], 10, "its block is known")
    assert world.files.checksum("/raced")["sha256"] == sum


def test_the_label_taken_off_ends_the_worker_and_its_volumes_are_emptied_and_published_again(world, nodes, workers):
    """But a volume that is to be retained stays as it was left."""
    node = nodes[0]
    emptied, retained = volumes(world, node)
    world.kubectl("patch", "pv", retained["metadata"]["name"], "-p", '{"spec": {"persistentVolumeReclaimPolicy": "Retain"}}')
    directories = {Path(disk).name: Path(disk) for disk in world.machines()[node]["disks"]}
    content = lambda volume: list(directories[Path(volume["spec"]["local"]["path"]).name].iterdir())  # noqa: E731
    assert content(emptied) and content(retained)
    world.label(node, **{WORKER_LABEL: ""})
    eventually(lambda: worker_pod(world, node) is None, 30, "the pod is gone")

    def state(volume: dict) -> tuple[str, bool]:
        """Its phase, and whether it still is the same object."""
        known = {v["metadata"]["name"]: v for v in volumes(world, node)}
        now = known.get(volume["metadata"]["name"], {"status": {"phase": "Deleted"}, "metadata": {"uid": ""}})
        return now["status"]["phase"], now["metadata"]["uid"] == volume["metadata"]["uid"]

    eventually(lambda: state(emptied) == ("Available", False), 20, "published again")
    assert state(retained) == ("Released", True)
    assert not content(emptied) and content(retained)


def test_an_ended_instance_takes_everything_with_it_at_once(world, nodes, workers):
    node = nodes[1]
    machine = world.machines()[node]
    pids = [int(file.read_text().split()[0]) for file in (world.directory / "pids").glob(f"nodes-{machine['instance']}-*")]
    assert len(pids) == 2 and all(start_ticks(pid) for pid in pids)
    world.end(machine["instance"])
    eventually(lambda: node not in world.machines(), 20, "the player has noticed")
    eventually(lambda: not any(start_ticks(pid) for pid in pids), 5, "no process of it is left")
    eventually(lambda: not mount_points_below(world.directory / "nodes" / machine["instance"]), 5, "no disk is left")
    eventually(lambda: node not in {n["metadata"]["name"] for n in world.get("nodes")}, 15, "the Node is deleted")


def test_a_player_that_was_killed_and_started_again_finds_its_node_with_its_disks_and_restarts_its_pods(world, nodes):
    node = nodes[0]
    system_pods = ("pods", "-n", "kube-system", f"--field-selector=spec.nodeName={node}")
    disks = world.machines()[node]["disks"]
    world.restart_player()
    eventually(lambda: world.machines().get(node, {}).get("state") == "joined", 20, "the node is taken over")
    assert world.machines()[node]["disks"] == disks
    restarts = lambda: world.get(*system_pods)[0]["status"]["containerStatuses"][0]["restartCount"]  # noqa: E731
    eventually(lambda: restarts() == 1, 20, "restarted")


def test_what_a_killed_player_leaves_mounted_is_cleaned_up(world, nodes):
    """Last: there are no nodes afterwards."""
    world.player.kill()
    world.player.wait()
    assert mount_points_below(world.directory)
    world.clean("nodes")
    assert mount_points_below(world.directory) == []
