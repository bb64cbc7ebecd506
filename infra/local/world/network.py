"""Each world owns one /16 of loopback addresses, so that several worlds use the same ports side by side.

Kubernetes takes no loopback address for an endpoint of a service. A world whose services are looked up has a second
network for its pods, of those that RFC 2544 sets aside for tests: a route of the loopback device, so it is as local.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
from pathlib import Path
from typing import IO

# 127.0.0.0/16 is everybody's; the rest of 127.0.0.0/8 is as loopback as it is.
_SECOND_OCTETS = range(10, 250)


class NoNetwork(Exception):
    """Every network is taken."""


class Network:
    """A claim on 127.X.0.0/16, held by a lock on a file until it is let go or the process ends."""

    def __init__(self, octet: int, lock: IO[str]):
        self.octet = octet
        self._lock = lock

    @property
    def cidr(self) -> str:
        return f"127.{self.octet}.0.0/16"

    @property
    def alluxio_address(self) -> str:
        """Where the Alluxio masters listen."""
        return f"127.{self.octet}.0.2"

    @property
    def pods_cidr(self) -> str:
        """Of the pods whose addresses are in EndpointSlices: see :class:`PodNetwork`."""
        return f"198.18.{self.octet}.0/24"

    def release(self) -> None:
        self._lock.close()


def claim(directory: Path) -> Network:
    """The first network that no other world on this machine holds; `directory` is shared by all of them."""
    directory.mkdir(parents=True, exist_ok=True)
    for octet in _SECOND_OCTETS:
        lock = (directory / f"127.{octet}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        os.set_inheritable(lock.fileno(), False)
        return Network(octet, lock)
    raise NoNetwork(f"all of 127.{_SECOND_OCTETS[0]} to 127.{_SECOND_OCTETS[-1]} are taken by other worlds")


class PodNetwork:
    """The network of the pods of the world in the directory ``world``. Needs root."""

    def __init__(self, world: Path):
        self._record = world / "pod-network"

    def open(self, cidr: str) -> None:
        """Idempotent. All of its addresses may be listened on then."""
        self._record.write_text(cidr)
        _route("replace", cidr)

    def close(self) -> None:
        """Idempotent."""
        if self._record.exists():
            _route("del", self._record.read_text())
            self._record.unlink()

    def clean(self, directory: Path) -> None:
        """Closes what a world that was killed has left open, unless another one has its network by now."""
        if not self._record.exists():
            return
        octet = self._record.read_text().split(".")[2]
        with (directory / f"127.{octet}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self._record.unlink()
                return
            self.close()


def _route(change: str, cidr: str) -> None:
    # One that is not there any more is no reason to fail.
    subprocess.run(["ip", "route", change, "local", cidr, "dev", "lo"], check=change != "del", capture_output=True)
