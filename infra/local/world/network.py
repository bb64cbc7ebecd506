"""Each world owns one /16 of loopback addresses, so that several worlds use the same ports side by side."""

from __future__ import annotations

import fcntl
import os
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
