"""Secrets are found wherever they must not stand."""

from __future__ import annotations

import sys
from pathlib import Path

import aws_support  # noqa: F401  (puts the package on the path)
import pytest
from leaks import __main__ as leaks

PLACES = ("logs/functions/tidegate-drain-cache.log", "logs/state-machines/tidegate-node-drain.log", "events.jsonl")


@pytest.fixture
def world(tmp_path: Path) -> Path:
    for place in PLACES:
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"outcome": "drained", "node": "ip-10-0-0-7", "instanceId": "i-0123456789abcdef0"}\n')
    return tmp_path


def status(world: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["leaks", str(world)])
    return leaks.main()


def test_what_is_no_secret_is_none(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert status(world, monkeypatch) == 0


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(
    "secret",
    [
        "Bearer k8s-aws-v1.aHR0cHM6Ly9zdHMudXMtd2VzdC0yLmFtYXpvbmF3cy5jb20v",
        "https://sts.amazonaws.com/?X-Amz-Signature=6f6a1e2cb2d2f0a4",
        "token FQoGZXIvYXdzEBYaDkzJ0c2VjcmV0c2VjcmV0",
        "eyJhbGciOiJSUzI1NiIsImtpZCI6IiJ9.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2ln",
    ],
)
def test_a_secret_is_told_by_its_place_and_not_repeated(
    world: Path, place: str, secret: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = world / place
    path.write_text(path.read_text() + f'{{"reason": "{secret}"}}\n')
    assert status(world, monkeypatch) == 1
    told = capsys.readouterr().out
    assert f"{path}:2 has " in told and secret not in told


def test_a_world_that_has_logged_nothing_proves_nothing(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (world / PLACES[1]).unlink()
    assert status(world, monkeypatch) == 2
