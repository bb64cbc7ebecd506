"""What the processes of a node use, as its kubelet tells it at ``/metrics/resource``."""

from __future__ import annotations

import os
import time
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Usage:
    """Processor time since the start, and memory at the moment."""

    cpu_seconds: float
    memory_bytes: int


@dataclass(frozen=True)
class Running:
    """A container that is a process."""

    key: Hashable
    """Of this run of it: another one after a restart."""
    namespace: str
    pod: str
    container: str
    started: float
    """Unix time."""
    pid: int


def of_process(pid: int) -> Usage | None:
    """None where there is no such process any more. Memory is what is resident, with what is shared with others."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(")") + 2 :].split()
    user, system, resident = fields[11], fields[12], fields[21]
    if fields[0] == "Z":
        return None
    return Usage((int(user) + int(system)) / _TICKS_A_SECOND, int(resident) * _PAGE_BYTES)


class Meter:
    """Of one node. Its processor time is that of all its containers, also of those that have ended, so it never falls."""

    def __init__(self) -> None:
        self._cpu_seconds: dict[Hashable, float] = {}

    def told(self, containers: Iterable[Running]) -> str:
        """The text that metrics-server reads. A node without a process is not measured, nor is such a pod.

        https://kubernetes.io/docs/reference/instrumentation/metrics/ tells the names, with the same types.
        """
        milliseconds = int(time.time() * 1000)
        now = [(running, usage) for running in containers if (usage := of_process(running.pid))]
        for running, usage in now:
            self._cpu_seconds[running.key] = usage.cpu_seconds
        families = [
            ("container_cpu_usage_seconds_total", "counter", [(_labels(r), u.cpu_seconds) for r, u in now]),
            ("container_memory_working_set_bytes", "gauge", [(_labels(r), u.memory_bytes) for r, u in now]),
            ("container_start_time_seconds", "gauge", [(_labels(r), r.started) for r, _ in now]),
        ]
        if now:
            memory = sum(usage.memory_bytes for _, usage in now)
            families += [
                ("node_cpu_usage_seconds_total", "counter", [("", sum(self._cpu_seconds.values()))]),
                ("node_memory_working_set_bytes", "gauge", [("", memory)]),
            ]
        lines = []
        for name, kind, samples in families:
            lines += [f"# HELP {name} [STABLE] As of the node's processes", f"# TYPE {name} {kind}"]
            lines += [f"{name}{labels} {value:.6f} {milliseconds}" for labels, value in samples]
        return "\n".join([*lines, ""])


def _labels(running: Running) -> str:
    return f'{{container="{running.container}",namespace="{running.namespace}",pod="{running.pod}"}}'
