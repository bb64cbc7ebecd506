"""How fast a drain brings files to the under store, against Alluxio that is asked for the same files by its own client."""

from __future__ import annotations

import threading
import time
from typing import Any

from . import lifecycle
from .files import Batch
from .lifecycle import World
from .rates import Rate, Sample, rate
from .services import NotSeen

# (files, bytes of each). Small ones show what a file costs, large ones what a byte costs.
KINDS = {"small": (600, 4096), "large": (32, 8 * 1024 * 1024)}
# So many files are persisted once before anything is measured: a JVM is several times as fast once it has compiled.
_WARM_UP = 200
_POLL_SECONDS = 0.1
_PATIENCE_SECONDS = 240


def measure(world: World, instance: str, kind: str) -> dict[str, Any]:
    """On a node that has joined: files persisted at the client's asking, then as many by the drain of the node."""
    count, size = KINDS[kind]
    root = f"/bench-{kind}"
    warm_up, own, drained = (
        Batch(f"{root}/{name}", files, size) for name, files in (("warm-up", min(_WARM_UP, count)), ("own", count), ("drained", count))
    )
    for batch in (warm_up, own):
        lifecycle.fill(world, instance, [batch])
        began = time.time()
        world.files.persist(batch)
        alluxio = rate(began, _samples(world, batch, threading.Event()), batch.count)
    lifecycle.fill(world, instance, [drained])
    ours, drain_seconds = _drained(world, instance, drained)
    world.files.delete(root)
    return {
        "files": count,
        "fileBytes": size,
        "alluxio": _told(alluxio),
        "drain": _told(ours),
        "ratio": ours.files_a_second / alluxio.files_a_second,
        "drainSeconds": drain_seconds,
    }


def _drained(world: World, instance: str, batch: Batch) -> tuple[Rate, float]:
    """The rate is from the moment at which the drain of the cache began."""
    samples: list[Sample] = []
    ended = threading.Event()
    watcher = threading.Thread(target=lambda: samples.extend(_samples(world, batch, ended)))
    try:
        cost = lifecycle.drain(world, instance, watcher.start)
    finally:
        ended.set()
        if watcher.is_alive():
            watcher.join()
    began = cost["entered"]["DrainCache"]
    return rate(began, samples, batch.count), next(p["seconds"] for p in cost["phases"] if p["name"] == "DrainCache")


def _samples(world: World, batch: Batch, ended: threading.Event) -> list[Sample]:
    """Until all of them are persisted, or it has ended. Raises NotSeen."""
    samples: list[Sample] = []
    ends = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < ends:
        samples.append(world.files.persisted(batch))
        if samples[-1].files >= batch.count or ended.wait(_POLL_SECONDS):
            return samples
    raise NotSeen(f"{batch.count} files of {batch.path} persisted: {samples[-1].files} are")


def _told(found: Rate) -> dict[str, float]:
    return {
        "seconds": found.seconds,
        "filesPerSecond": found.files_a_second,
        "bytesPerSecond": found.bytes_a_second,
    }
