"""Starts of the control plane that are not smooth: a port that is gone, no network, a start that is cut off."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from world.kubernetes import ControlPlane, ControlPlaneFailed, processes

LOCAL = Path(__file__).resolve().parents[1]
START = """
import sys
from pathlib import Path
from world.kubernetes import ControlPlane
print(ControlPlane(Path(sys.argv[1]), Path(sys.argv[2])).start().endpoint)
"""
# A network of its own with nothing but loopback in it: no default route, no address of the machine.
OFFLINE = ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$0" "$@"']


@pytest.fixture
def plane(tools: Path, tmp_path: Path) -> Iterator[ControlPlane]:
    plane = ControlPlane(tmp_path, tools)
    yield plane
    plane.stop()


def started(plane: ControlPlane, tools: Path, within: list[str]) -> subprocess.Popen[str]:
    """A process of its own that starts it."""
    return subprocess.Popen(
        [*within, sys.executable, "-c", START, str(plane.world), str(tools)],
        cwd=LOCAL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_that_somebody_took_in_between_is_replaced_by_another(
    plane: ControlPlane, taken: int, monkeypatch: pytest.MonkeyPatch
):
    choose = processes.free_ports
    answers = iter([[taken]])

    def once_taken(address: str, count: int) -> list[int]:
        # The first port is the API server's.
        first = next(answers, [])
        return [*first, *choose(address, count - len(first))]

    monkeypatch.setattr(processes, "free_ports", once_taken)
    assert plane.start().endpoint != f"https://127.0.0.1:{taken}"


def test_a_component_that_cannot_start_is_told_at_once_with_its_log(plane: ControlPlane, taken: int, monkeypatch: pytest.MonkeyPatch):
    choose = processes.free_ports
    monkeypatch.setattr(processes, "free_ports", lambda address, count: [taken, *choose(address, count - 1)])
    began = time.monotonic()
    with pytest.raises(ControlPlaneFailed, match=r"ended at once: kube-apiserver; see .*/logs/kube-apiserver\.log"):
        plane.start()
    # kwokctl alone would wait for two minutes, and that three times.
    assert time.monotonic() - began < 60
    assert plane.pids() == []


def test_a_machine_without_a_network_is_enough(plane: ControlPlane, tools: Path):
    if not shutil.which("ip") or subprocess.run([*OFFLINE, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine does not let its users make networks (user namespaces), or has no iproute2")
    child = started(plane, tools, OFFLINE)
    output, errors = child.communicate(timeout=90)
    assert output.startswith("https://127.0.0.1:"), errors


def test_what_a_start_that_was_killed_half_way_has_left_is_ended_by_the_next_stop(plane: ControlPlane, tools: Path):
    child = started(plane, tools, [])
    pids = plane.world / "kubernetes" / "clusters" / "tidegate" / "pids"
    deadline = time.monotonic() + 60
    while not (pids / "kube-apiserver.pid").exists():
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    plane.stop()
    mark = f"{plane.world}/".encode()
    left = [path for path in Path("/proc").glob("[0-9]*/cmdline") if mark in read(path)]
    assert left == []


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
