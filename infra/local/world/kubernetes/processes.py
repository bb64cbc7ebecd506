"""The control plane's processes, told from strangers by their command lines, and free ports for them."""

from __future__ import annotations

import os
import random
import signal
import socket
import time
from collections.abc import Collection
from pathlib import Path

# Below Linux's range for outgoing connections (32768 and up): a port from there may be taken in the moment between
# our look at it and its use.
PORTS = range(20000, 32000)
POLL_SECONDS = 0.02


def free_ports(address: str, count: int) -> list[int]:
    """Ports that nothing listens on at the moment. At random, so that two worlds that start together differ."""
    found: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"fewer than {count} free ports from {PORTS.start} to {PORTS.stop - 1}")


def running(programs: Collection[str], directory: Path) -> list[int]:
    """Pids of the processes that were started under one of the names `programs` and were told of a file below `directory`.

    Every component is told at least one (its data, certificates or configuration). So neither the files in which kwokctl
    notes pids are needed, which may be somebody else's by now, nor is anybody hit who only looks at a file there.
    """
    mark = f"{directory}/".encode()
    pids = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if Path(os.fsdecode(arguments[0])).name in programs and any(mark in argument for argument in arguments):
            pids.append(int(entry.name))
    return pids


def alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat[stat.rindex(")") + 2] not in "ZX"


def end(pids: list[int], grace_seconds: float) -> None:
    """SIGTERM, then SIGKILL to what is still there after `grace_seconds` (0: at once). Returns when all are gone."""
    steps = [(signal.SIGKILL, 10.0)]
    if grace_seconds > 0:
        steps.insert(0, (signal.SIGTERM, grace_seconds))
    for sign, seconds in steps:
        pids = [pid for pid in pids if alive(pid)]
        for pid in pids:
            try:
                os.kill(pid, sign)
            except ProcessLookupError:
                pass
        deadline = time.monotonic() + seconds
        while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    stubborn = [pid for pid in pids if alive(pid)]
    if stubborn:
        raise TimeoutError(f"processes {stubborn} outlived SIGKILL")
