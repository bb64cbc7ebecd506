"""What a kubelet tells of its pods, and how the API server finds those that serve metrics."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from world.nodes import aggregated, metrics_server, service_account, usage

CONTAINER = {
    "name": "metrics-server",
    "image": "registry.k8s.io/metrics-server/metrics-server:v0.9.0",
    "args": ["--cert-dir=/tmp", "--secure-port=10250"],
    "ports": [{"name": "https", "containerPort": 10250}],
}
SERVICE = {
    "metadata": {"name": "metrics-server", "namespace": "kube-system", "uid": "s"},
    "spec": {"ports": [{"name": "https", "port": 443, "targetPort": "https"}]},
}


def running(pid: int, container: str = "worker", key: str = "run-1") -> usage.Running:
    return usage.Running(key, "alluxio", "alluxio-worker-1", container, 1000.0, pid)


def values(text: str) -> dict[str, float]:
    """Sample by name and container."""
    samples = re.findall(r'^(\w+)(?:\{container="(\w+)",.*\})? ([\d.]+) \d+$', text, re.MULTILINE)
    return {f"{name} {container}".strip(): float(value) for name, container, value in samples}


def test_a_process_has_used_time_and_memory():
    own = usage.of_process(os.getpid())
    assert own and own.cpu_seconds > 0
    # An interpreter with pytest in it.
    assert 10 << 20 < own.memory_bytes < 1 << 30


def test_a_process_that_is_gone_has_no_usage_also_where_nobody_has_waited_for_it_yet():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert usage.of_process(ended.pid) is None
    ended.wait()
    assert usage.of_process(ended.pid) is None


def test_a_node_uses_what_its_containers_use_together():
    told = values(usage.Meter().told([running(os.getpid(), "worker", "a"), running(os.getppid(), "job", "b")]))
    for name in ("cpu_usage_seconds_total", "memory_working_set_bytes"):
        parts = told[f"container_{name} worker"] + told[f"container_{name} job"]
        assert abs(told[f"node_{name}"] - parts) < 1e-3
    assert told["container_start_time_seconds job"] == 1000.0


def test_the_processor_time_of_a_node_does_not_fall_when_a_container_ends():
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    meter = usage.Meter()
    try:
        while (usage.of_process(busy.pid) or usage.Usage(0, 0)).cpu_seconds < 0.05:
            pass
        before = values(meter.told([running(os.getpid(), "worker", "a"), running(busy.pid, "job", "b")]))
    finally:
        busy.kill()
        busy.wait()
    after = values(meter.told([running(os.getpid(), "worker", "a"), running(busy.pid, "job", "b")]))
    assert "container_cpu_usage_seconds_total job" not in after
    assert after["node_cpu_usage_seconds_total"] >= before["node_cpu_usage_seconds_total"]


def test_a_node_without_a_process_is_not_measured():
    assert values(usage.Meter().told([])) == {}


def test_metrics_server_gets_its_own_options_and_is_told_where_it_is():
    mounts = {"/tmp": Path("/w/tmp-dir"), service_account.DIRECTORY: Path("/w/token-dir")}
    command = metrics_server.command(Path("/t/metrics-server"), CONTAINER, mounts, "127.1.128.2", Path("/w/kubeconfig"))
    assert command[:3] == ["/t/metrics-server", "--cert-dir=/w/tmp-dir", "--secure-port=10250"]
    assert "--bind-address=127.1.128.2" in command
    assert {"--kubeconfig=/w/kubeconfig", "--authentication-kubeconfig=/w/kubeconfig"} <= set(command)
    assert '"tokenFile": "/w/token-dir/token"' in metrics_server.kubeconfig("https://127.0.0.1:1", mounts)


def pod(address: str, ready: bool = True, **metadata: str) -> dict:
    conditions = [{"type": "Ready", "status": str(ready)}]
    spec = {"containers": [CONTAINER]}
    return {"metadata": {"uid": address, **metadata}, "spec": spec, "status": {"podIP": address, "conditions": conditions}}


def test_pods_behind_an_aggregated_api_are_found_by_name_where_their_addresses_are_loopback_ones():
    pods = [pod("127.1.128.2"), pod("127.1.128.3", ready=False), pod("198.18.1.2"), pod("127.1.128.4", deletionTimestamp="now")]
    told = aggregated.slice_of(SERVICE, pods)
    assert told["addressType"] == "FQDN"
    assert told["ports"] == [{"name": "https", "port": 10250}]
    assert [(e["addresses"], e["conditions"]["ready"]) for e in told["endpoints"]] == [
        (["127.1.128.2"], True),
        (["127.1.128.3"], False),
    ]
    assert aggregated.slice_of(SERVICE, [])["endpoints"] == []
