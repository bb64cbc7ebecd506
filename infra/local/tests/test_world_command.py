"""`python -m world`: what a person sees who types it wrong, or stops it half-way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from world.paths import CHECKOUT

_SECONDS = 90


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """Where a world may be; what a test that fails leaves of it is ended."""
    yield tmp_path / "world"
    command(tmp_path / "world", "down").communicate(timeout=_SECONDS)


def command(world: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "world", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=CHECKOUT,
        env=os.environ | {"TIDEGATE_WORLD": str(world), "PYTHONPATH": str(CHECKOUT / "infra/local")} | environment,
    )


def processes_of(world: Path) -> list[str]:
    """The command lines that name a directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(world) in line:
            found.append(line)
    return found


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("{", "'{' is no JSON"), ('["a"]', "is not a JSON object whose values are strings"), ('{"WatchSeconds": 1}', "is not a JSON object")],
)
def test_parameters_that_are_none_are_refused_in_one_sentence(tmp_path: Path, text: str, complaint: str) -> None:
    asked = command(tmp_path, "up", "--parameters", text)
    _, told = asked.communicate(timeout=_SECONDS)
    assert asked.returncode == 2 and complaint in told.splitlines()[-1], told
    assert not list(tmp_path.iterdir())


def test_a_parameter_that_the_sample_s_cluster_does_not_have_is_refused_in_one_sentence(tmp_path: Path) -> None:
    asked = command(tmp_path, "up", "--sample", "dev", "--cluster-parameters", '{"Nodes": "3"}')
    _, told = asked.communicate(timeout=_SECONDS)
    complaint = "world: Nodes: samples/cluster/dev.json has no such parameter"
    assert (asked.returncode, told.splitlines()) == (2, [complaint])
    assert not list(tmp_path.iterdir())


def test_there_is_no_environment_of_a_world_that_is_not_up(tmp_path: Path) -> None:
    asked = command(tmp_path, "env")
    printed, told = asked.communicate(timeout=_SECONDS)
    assert (asked.returncode, printed) == (1, "") and "make up" in told


def test_a_world_that_is_interrupted_on_its_way_up_leaves_no_process(directory: Path) -> None:
    # As a shell starts what it puts into the background: a handler of its own must not depend on what it inherits.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        up = command(directory, "up")
    finally:
        signal.signal(signal.SIGINT, before)
    assert up.stderr is not None
    for line in up.stderr:
        if "Alluxio" in line:
            break
    assert processes_of(directory), "nothing was started"
    up.send_signal(signal.SIGINT)
    told = up.stderr.read()
    assert up.wait(_SECONDS) == 130, told
    assert "Traceback" not in told and "interrupted" in told
    assert processes_of(directory) == []
