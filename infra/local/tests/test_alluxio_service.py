"""Alluxio's processes in a world: they start, can be switched, and leave nothing behind, not even when killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from world.alluxio import settings
from world.alluxio.files_server import Files, FilesError
from world.alluxio.process import Process, end_recorded, start_ticks
from world.alluxio.under_store import UnderStore, mount_points_below

LOCAL = Path(__file__).resolve().parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(LOCAL)}

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


def free_address() -> str:
    for second in range(200, 240):
        with socket.socket() as probe:
            try:
                probe.bind((f"127.{second}.0.2", settings.MASTER_RPC_PORT))
                return f"127.{second}.0.2"
            except OSError:
                continue
    raise RuntimeError("no free loopback network")


def clean(world: Path) -> None:
    command = [sys.executable, "-m", "world.alluxio", "--world", str(world), "--clean"]
    subprocess.run(command, env=ENVIRONMENT, check=True)


class Running:
    """A service in a process of its own, as the supervisor starts it."""

    def __init__(self, world: Path, tools: Path):
        self.world = world
        options = ["--world", str(world), "--tools", str(tools), "--address", free_address()]
        with (world / "service.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "world.alluxio", *options], env=ENVIRONMENT, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 90
        while not (world / "alluxio/service.json").exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                pytest.fail((world / "service.log").read_text())
            time.sleep(0.1)
        self.told = json.loads((world / "alluxio/service.json").read_text())
        self.files = Files(self.told["files"])

    def switch(self, path: str) -> dict:
        with urllib.request.urlopen(urllib.request.Request(self.told["control"] + path, method="POST"), timeout=60) as answer:
            return json.load(answer)

    def children(self) -> list[int]:
        recorded = (self.world / "pids").glob("alluxio-*")
        return [int(record.read_text().split()[0]) for record in recorded]


@pytest.fixture(scope="module")
def running(tmp_path_factory, tools):
    world = tmp_path_factory.mktemp("alluxio")
    world.chmod(0o755)
    running = Running(world, tools)
    yield running
    running.process.kill()
    running.process.wait()
    clean(world)


def test_the_files_server_tells_errors_by_a_word(running):
    with pytest.raises(FilesError) as error:
        running.files.checksum("/nothing")
    assert error.value.word == "not-found"
    with pytest.raises(FilesError) as error:
        running.files.write("/file", writeType="SOMETIMES")
    assert error.value.word == "bad-request"


def test_a_write_without_a_worker_fails_and_leaves_no_file(running):
    with pytest.raises(FilesError, match="No available Alluxio worker"):
        running.files.write("/file", writeType="MUST_CACHE", bytes=10)
    with pytest.raises(FilesError, match="not-found"):
        running.files.status("/file")


@needs_root
def test_the_under_store_can_refuse_writes_and_accept_them_again(running):
    assert running.switch("/under-store?writes=refused")["underStoreWrites"] == "refused"
    with pytest.raises(OSError, match="Read-only"):
        (running.world / "ufs/x").touch()
    assert running.switch("/under-store?writes=accepted")["underStoreWrites"] == "accepted"
    (running.world / "ufs/x").touch()


def test_the_namespace_survives_a_restart_of_the_master_alone(running):
    running.files.call("POST", "/files/mkdir", path="/kept", mode="777")
    before = running.children()
    running.switch("/master/restart?signal=KILL")
    assert [entry["path"] for entry in running.files.call("GET", "/files/list", path="/")["entries"]].count("/kept") == 1
    assert len(set(running.children()) & set(before)) == len(before) - 1


def test_an_unknown_switch_is_refused(running):
    with pytest.raises(urllib.error.HTTPError):
        running.switch("/under-store?writes=perhaps")


@needs_root
def test_a_killed_service_takes_its_processes_along_and_clean_takes_its_mounts(running):
    """Last: nothing of the service is there afterwards."""
    children = running.children()
    assert len(children) == 3
    running.switch("/under-store?writes=refused")
    running.process.send_signal(signal.SIGKILL)
    running.process.wait()
    deadline = time.monotonic() + 10
    while any(start_ticks(pid) for pid in children):
        assert time.monotonic() < deadline, "a JVM outlived the service"
        time.sleep(0.1)
    clean(running.world)
    assert mount_points_below(running.world) == []


@needs_root
def test_refusing_and_accepting_twice_is_the_same_as_once(tmp_path):
    store = UnderStore(tmp_path)
    store.refuse_writes()
    store.refuse_writes()
    assert mount_points_below(tmp_path) == [str(tmp_path)]
    store.accept_writes()
    store.accept_writes()
    assert mount_points_below(tmp_path) == []


def test_a_recorded_process_is_ended_and_a_stranger_with_its_pid_is_not(tmp_path):
    async def scenario() -> None:
        mine = Process("mine", ["sleep", "60"], tmp_path / "log", tmp_path / "pids")
        await mine.start()
        stranger = subprocess.Popen(["sleep", "60"])
        (tmp_path / "pids/strangers").write_text(f"{stranger.pid} 1\n")
        try:
            assert end_recorded(tmp_path / "pids") == ["mine"]
            assert await mine.wait() == 137
            assert stranger.poll() is None
        finally:
            stranger.kill()
            stranger.wait()

    asyncio.run(scenario())


def test_a_process_that_ignores_sigterm_is_killed_after_its_grace(tmp_path):
    async def scenario() -> None:
        deaf = Process("deaf", ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"], tmp_path / "log", tmp_path)
        await deaf.start()
        while "ready" not in (tmp_path / "log").read_text():
            await asyncio.sleep(0.01)
        assert await deaf.stop(grace_seconds=0.3) == 137

    asyncio.run(scenario())
