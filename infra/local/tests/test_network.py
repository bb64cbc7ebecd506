"""The network of a world's pods is there while the world is, and goes even if the world was killed."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path

import pytest
from world.network import PodNetwork

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a route needs root")

# Of the half of the network for tests that no world takes.
CIDR, ADDRESS = "198.19.7.0/24", "198.19.7.9"


def can_be_listened_on() -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((ADDRESS, 0))
        except OSError:
            return False
        return True


@pytest.fixture
def opened(tmp_path: Path):
    network = PodNetwork(tmp_path)
    network.open(CIDR)
    yield network
    network.close()


def test_every_address_can_be_listened_on_until_it_is_closed(opened: PodNetwork):
    assert can_be_listened_on()
    opened.open(CIDR)
    opened.close()
    opened.close()
    assert not can_be_listened_on()


def test_what_a_killed_world_has_left_open_is_closed(opened: PodNetwork, tmp_path: Path):
    PodNetwork(tmp_path).clean(tmp_path)
    assert not can_be_listened_on()
    PodNetwork(tmp_path).clean(tmp_path)


def test_a_network_that_another_world_has_by_now_is_left_open(opened: PodNetwork, tmp_path: Path):
    with (tmp_path / "127.7.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        PodNetwork(tmp_path).clean(tmp_path)
    assert can_be_listened_on()
    opened.open(CIDR)
