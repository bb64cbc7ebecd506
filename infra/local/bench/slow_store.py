"""How a drain fares with an under store that is slow for real: a loop device mounted `sync`, whose writes the kernel throttles."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from world.alluxio.under_store import UnderStore

from . import lifecycle
from .files import Batch
from .lifecycle import World
from .services import DRAIN, NotSeen, until

FILES = Batch("/bench-slow", 12, 40_000_000)
BYTES_A_SECOND = 1_700_000
_PATIENCE_SECONDS = 1_200
_POLL_SECONDS = 1.0
_DEVICE_BYTES = 4 * FILES.count * FILES.bytes
# cgroup v1: writes of a process to a file system mounted `sync` are its own, and those of the root group can be throttled.
_THROTTLE = Path("/sys/fs/cgroup/blkio/blkio.throttle.write_bps_device")


def measure(world: World, directory: Path) -> dict[str, Any]:
    """A node joins, is given files whose only copy is on its worker, and leaves."""
    instance, _ = lifecycle.join(world)
    lifecycle.fill(world, instance, [FILES])
    with _slowed_down(directory):
        before = world.services.executions(DRAIN)
        began = time.monotonic()
        world.services.end(instance)
        first, last = _persisted(world, began)
    world.services.ended(DRAIN, before)
    until(f"the end of {instance}", lambda: instance not in world.services.members())
    until(f"the end of the node of {instance}", lambda: world.cluster.node_of(instance) is None)
    best = FILES.count * FILES.bytes / BYTES_A_SECOND
    return {
        "files": FILES.count,
        "fileBytes": FILES.bytes,
        "bytesPerSecond": BYTES_A_SECOND,
        "firstSeconds": first,
        "seconds": last,
        "bestSeconds": best,
        "ratio": last / best,
    }


def _persisted(world: World, began: float) -> tuple[float, float]:
    """Seconds until the first file, and until all, are in the under store. Raises NotSeen."""
    first, found = None, 0
    while time.monotonic() - began < _PATIENCE_SECONDS:
        found = world.files.persisted(FILES).files
        now = time.monotonic() - began
        first = now if first is None and found else first
        if first is not None and found == FILES.count:
            return first, now
        time.sleep(_POLL_SECONDS)
    raise NotSeen(f"{FILES.count} files of {FILES.path} persisted: {found} are")


@contextmanager
def _slowed_down(directory: Path) -> Iterator[None]:
    """A slow device lies over the world's under store meanwhile. Needs the right to mount."""
    under_store, image = UnderStore(directory / "ufs"), directory / "slow-under-store.img"
    with image.open("wb") as file:
        file.truncate(_DEVICE_BYTES)
    _run("mkfs.ext4", "-q", str(image))
    device = _run("losetup", "--find", "--show", str(image))
    try:
        _copy(under_store.directory, device, directory / "slow-under-store")
        number = (Path("/sys/block") / Path(device).name / "dev").read_text().strip()
        _run("mount", "-o", "sync", device, str(under_store.directory))
        _THROTTLE.write_text(f"{number} {BYTES_A_SECOND}")
        try:
            yield
        finally:
            _THROTTLE.write_text(f"{number} 0")
            under_store.accept_writes()
    finally:
        _run("losetup", "--detach", device)
        image.unlink()


def _copy(source: Path, device: str, mount_point: Path) -> None:
    """Alluxio made the directories that it needs when it started, and does not make them again."""
    mount_point.mkdir()
    _run("mount", device, str(mount_point))
    try:
        _run("cp", "--archive", f"{source}/.", str(mount_point))
    finally:
        _run("umount", str(mount_point))
        mount_point.rmdir()


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
