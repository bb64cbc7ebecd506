"""Workers and files, as the Alluxio master tells them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..events import Event, Lane, Source, Tone

LIVE, DECOMMISSIONED, LOST = "LIVE", "DECOMMISSIONED", "LOST"


@dataclass(frozen=True)
class Worker:
    """A worker in one of the master's lists."""

    host: str
    state: str
    """The list: LIVE, DECOMMISSIONED or LOST."""
    capacity_bytes: int
    used_bytes: int


@dataclass(frozen=True)
class File:
    """`hosts` are those that hold every block of it."""

    path: str
    bytes: int
    persisted: bool
    state: str
    hosts: tuple[str, ...]


def gibibytes(count: int) -> str:
    return f"{count / 2**30:.0f} GiB"


def mebibytes(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"


def workers(
    before: Mapping[str, Worker], after: Mapping[str, Worker], at: float, instances: Mapping[str, str]
) -> list[Event]:
    """By host; `instances` maps a host to its instance."""
    told = []
    for host in sorted({*before, *after}):
        was, now = before.get(host), after.get(host)
        if (was.state if was else "") == (now.state if now else ""):
            continue
        id = instances.get(host, "")
        lane = Lane(id, Source.ALLUXIO)
        if now is None:
            text = f"the master has forgotten worker {host}"
            told.append(Event(at, Source.ALLUXIO, "worker/gone", text, id, Tone.QUIET))
        elif now.state == LIVE:
            text = f"worker {host} is in service with {gibibytes(now.capacity_bytes)}"
            told.append(Event(at, Source.ALLUXIO, "worker/live", text, id, Tone.GOOD, lane=lane, phase="in service"))
        elif now.state == DECOMMISSIONED:
            text = f"worker {host} is decommissioned: no new blocks, and reads go elsewhere"
            told.append(
                Event(at, Source.ALLUXIO, "worker/decommissioned", text, id, Tone.WAIT, lane=lane, phase="decommissioned")
            )
        else:
            # A decommissioned one that has ended is lost to the master, too: that is how it leaves.
            left = was is not None and was.state == DECOMMISSIONED
            text = f"worker {host} is silent" + (", as it should be" if left else ": lost")
            tone = Tone.QUIET if left else Tone.BAD
            told.append(Event(at, Source.ALLUXIO, "worker/lost", text, id, tone))
    return told


def file(before: File | None, after: File, at: float, instances: Mapping[str, str], names: Mapping[str, str]) -> list[Event]:
    """`names` maps a host to the short name of its node."""
    if before is None:
        return []
    told = []
    id = instances.get(before.hosts[0], "") if before.hosts else ""
    if after.persisted and not before.persisted:
        text = f"{after.path} is persisted ({mebibytes(after.bytes)})"
        told.append(Event(at, Source.FILES, f"file/persisted{after.path}", text, id, Tone.GOOD, mark=True))
    for host in after.hosts:
        if host not in before.hosts and before.hosts:
            text = f"{after.path} has a copy on {names.get(host, host)}"
            told.append(Event(at, Source.FILES, f"file/copied{after.path}", text, id, Tone.GOOD, mark=True))
    return told
