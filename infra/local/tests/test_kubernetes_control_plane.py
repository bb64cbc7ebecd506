"""The control plane: real, closed to strangers, on loopback only, and gone without a trace when it is stopped."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_login import CLUSTER, REGION, make_entry, make_role, token
from world.kubernetes import Access, ControlPlane, TokenWebhook
from world.kubernetes.processes import alive, end, running

LOCAL = Path(__file__).resolve().parents[1]
LISTEN = "0A"


@dataclass(frozen=True)
class World:
    plane: ControlPlane
    access: Access
    tools: Path

    def kubectl(self, *arguments: str, given: dict[str, Any] | None = None, check: bool = True) -> str:
        command = [self.tools / "bin" / "kubectl", f"--kubeconfig={self.access.kubeconfig}", *arguments]
        done = subprocess.run(command, input=json.dumps(given) if given else None, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout + done.stderr

    def get(self, path: str, bearer: str | None = None) -> tuple[int, dict[str, Any]]:
        context = ssl.create_default_context(cafile=str(self.plane.world / "kubernetes/clusters/tidegate/pki/ca.crt"))
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        try:
            with urllib.request.urlopen(
                urllib.request.Request(self.access.endpoint + path, headers=headers), context=context, timeout=10
            ) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


@pytest.fixture(scope="module")
def webhook(aws: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenWebhook]:
    webhook = TokenWebhook(aws, CLUSTER, REGION, tmp_path_factory.mktemp("login") / "token-webhook.log")
    webhook.start()
    yield webhook
    webhook.stop()


@pytest.fixture(scope="module")
def worlds(tools: Path, webhook: TokenWebhook, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[World]]:
    """Two, started at the same moment."""
    planes = [ControlPlane(tmp_path_factory.mktemp(name), tools) for name in ("first", "second")]
    try:
        with ThreadPoolExecutor(2) as pool:
            found = list(pool.map(lambda plane: plane.start(webhook.url), planes))
        yield [World(plane, access, tools) for plane, access in zip(planes, found, strict=True)]
    finally:
        for plane in planes:
            plane.stop()


@pytest.fixture(scope="module")
def world(worlds: list[World]) -> World:
    return worlds[0]


def until(what: Callable[[], Any], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        found = what()
        if found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def listeners(pids: list[int]) -> dict[int, str]:
    """Port -> address, of all that these processes listen on, from the kernel's own tables."""
    inodes = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                inodes.add(os.readlink(descriptor).removeprefix("socket:[").removesuffix("]"))
            except OSError:
                pass
    found = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTEN and fields[9] in inodes:
                address, port = fields[1].split(":")
                found[int(port, 16)] = address
    return found


def test_the_real_control_plane_comes_up_in_the_version_of_the_demo(world: World):
    status, version = world.get("/version")
    assert status == 200
    assert (version["gitVersion"], version["major"], version["minor"]) == ("v1.35.4", "1", "35")
    assert len(world.plane.pids()) == 5


def test_two_control_planes_started_at_once_know_nothing_of_each_other(worlds: list[World]):
    first, second = worlds
    assert not set(first.plane.pids()) & set(second.plane.pids())
    assert not set(listeners(first.plane.pids())) & set(listeners(second.plane.pids()))
    first.kubectl("create", "namespace", "only-here")
    assert "NotFound" in second.kubectl("get", "namespace", "only-here", check=False)


def test_nothing_listens_beyond_loopback(worlds: list[World]):
    for world in worlds:
        found = listeners(world.plane.pids())
        # etcd's two, API server, controller manager, scheduler, kwok.
        assert len(found) == 6
        # The kernel's tables have an address as little-endian hexadecimal.
        assert {address for address in found.values()} == {"0100007F"}


def test_without_a_login_nothing_is_to_be_seen(world: World):
    status, answer = world.get("/api/v1/nodes")
    assert status == 403
    assert "system:anonymous" in answer["message"]


def test_a_token_that_the_webhook_refuses_is_unauthorized(world: World):
    assert world.get("/api/v1/nodes", "k8s-aws-v1.bm9uc2Vuc2U")[0] == 401


def test_rbac_refuses_a_known_user_what_nobody_granted(aws: str, world: World):
    role = make_role(aws, "unbound")
    make_entry(aws, role, ["tidegate:unbound"])
    status, answer = world.get("/api/v1/nodes", token(aws, role, "i-1"))
    assert status == 403
    assert "assumed-role/unbound/i-1" in answer["message"]


def test_a_token_has_the_rights_of_its_access_entrys_group_and_no_others(aws: str, world: World, tmp_path: Path):
    role = make_role(aws, "node-reader")
    make_entry(aws, role, ["tidegate:node-reader"])
    manifest = tmp_path / "rbac.yaml"
    manifest.write_text(
        yaml.safe_dump_all(
            [
                {
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": "ClusterRole",
                    "metadata": {"name": "tidegate-node-reader"},
                    "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}],
                },
                {
                    "apiVersion": "rbac.authorization.k8s.io/v1",
                    "kind": "ClusterRoleBinding",
                    "metadata": {"name": "tidegate-node-reader"},
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "tidegate-node-reader"},
                    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "tidegate:node-reader"}],
                },
            ]
        )
    )
    world.plane.apply(manifest)
    bearer = token(aws, role)
    assert until(lambda: world.get("/api/v1/nodes", bearer)[0] == 200, 5)
    assert world.get("/api/v1/pods", bearer)[0] == 403


def test_a_kubelet_may_change_its_own_node_only_and_not_all_of_it(world: World):
    for name in ("node-a", "node-b"):
        world.kubectl("create", "-f", "-", given={"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    kubelet = ["--as=system:node:node-a", "--as-group=system:nodes"]
    world.kubectl("annotate", "node", "node-a", "own=yes", *kubelet)
    assert "only its own Node object" in world.kubectl("annotate", "node", "node-b", "own=no", *kubelet, check=False)
    label = "node-restriction.kubernetes.io/tier=trusted"
    assert "is not allowed to modify labels" in world.kubectl("label", "node", "node-a", label, *kubelet, check=False)


def test_kwok_plays_the_nodes_that_are_marked_fake_and_no_others(world: World):
    fake = {"name": "fake", "annotations": {"kwok.x-k8s.io/node": "fake"}}
    for metadata in (fake, {"name": "real"}):
        world.kubectl("create", "-f", "-", given={"apiVersion": "v1", "kind": "Node", "metadata": metadata})
    ready = 'jsonpath={.status.conditions[?(@.type=="Ready")].status}'
    assert until(lambda: world.kubectl("get", "node", "fake", "-o", ready) == "True")
    assert world.kubectl("get", "node", "real", "-o", ready) != "True"


def test_the_audit_log_says_who_did_what(world: World):
    world.kubectl("delete", "configmap", "audited", "--as=somebody", check=False)

    def entry() -> dict[str, Any] | None:
        # Of the line that is being written only a part may be there.
        for line in (world.plane.world / "audit.log").read_text().split("\n")[:-1]:
            event = json.loads(line)
            if event.get("impersonatedUser", {}).get("username") == "somebody":
                return event
        return None

    found = until(entry, 5)
    assert (found["verb"], found["objectRef"]["name"], found["level"]) == ("delete", "audited", "Metadata")
    assert found["responseStatus"]["code"] == 403


def test_the_logs_are_in_the_worlds_own_directory(world: World):
    for part in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok-controller", "kwokctl"):
        assert (world.plane.world / "logs" / f"{part}.log").stat().st_size > 0


def test_no_component_holds_a_lease_that_a_busy_machine_could_make_it_lose(world: World):
    # The API server's own lease says that it is there; nothing ends itself over that one.
    holders = world.kubectl("get", "leases", "-n", "kube-system", "-o", "jsonpath={.items[*].metadata.name}").split()
    assert [name for name in holders if name.startswith(("kube-controller-manager", "kube-scheduler"))] == []


def test_the_api_server_can_be_away_and_comes_back_with_all_it_knew(world: World):
    world.kubectl("create", "namespace", "kept")
    world.plane.stop_apiserver()
    # One that gives up while it is away comes back with it.
    end(running(["kube-controller-manager"], world.plane.world / "kubernetes"), 0)
    with pytest.raises(urllib.error.URLError, match="refused"):
        world.get("/version")
    world.plane.start_apiserver()
    assert world.get("/version")[0] == 200
    assert "kept" in world.kubectl("get", "namespace", "kept")
    assert len(world.plane.pids()) == 5


def test_another_process_that_only_knows_the_directory_stops_it_without_a_trace(worlds: list[World]):
    survivor, stopped = worlds
    pids = stopped.plane.pids()
    ports = listeners(pids)
    command = [sys.executable, "-m", "world.kubernetes", "--world", str(stopped.plane.world), "--clean"]
    subprocess.run(command, cwd=LOCAL, check=True, timeout=30)
    assert not [pid for pid in pids if alive(pid)]
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            assert fields[3] != LISTEN or int(fields[1].split(":")[1], 16) not in ports
    assert not (stopped.plane.world / "kubernetes").exists()
    assert not stopped.access.kubeconfig.exists()
    assert survivor.get("/version")[0] == 200
