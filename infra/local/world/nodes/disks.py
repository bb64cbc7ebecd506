"""Instance-store NVMe disks as mounted file systems of the right size.

A disk is a tmpfs: it reports the size that ext4 on the real disk would, and takes memory only for what is written.
Like on the machine images we deploy to, each is mounted at ``/mnt/fast-disks/<uuid>`` before the kubelet starts, and
belongs to root as a fresh ext4 does.
"""

from __future__ import annotations

import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any

from ..alluxio.under_store import mount_points_below

# Where the boot script mounts them, and where the provisioner looks.
MOUNT_ROOT = "mnt/fast-disks"

_GIB = 2**30
_BLOCK = 4096
_GROUP_BLOCKS = 32768  # 128 MiB: one block of a bitmap covers it
_JOURNALS = ((128 * _GIB, _GIB), (64 * _GIB, _GIB // 2), (32 * _GIB, _GIB // 4), (0, _GIB // 8))
_RESERVED_DESCRIPTOR_BLOCKS = 1024  # room that mke2fs keeps to grow the file system online


def raw_sizes(instance_type: dict[str, Any]) -> list[int]:
    """Bytes of each local NVMe disk of an EC2 instance type, as DescribeInstanceTypes describes it.

    Hard disks do not count, though the HDD families say NVMe, too.
    """
    storage = instance_type.get("InstanceStorageInfo") or {}
    if storage.get("NvmeSupport") not in ("required", "supported"):
        return []
    return [
        disk["SizeInGB"] * 10**9
        for disk in storage.get("Disks", [])
        if disk.get("Type") == "ssd"
        for _ in range(disk["Count"])
    ]


def as_set_up(raw: list[int], user_data: str) -> list[int]:
    """The disks as the user data sets them up: with LAYOUT=pv-raid all of them are one array (infra/user-data)."""
    one_array = "Environment=LAYOUT=pv-raid" in user_data and len(raw) > 1
    return [sum(raw)] if one_array else raw


def ext4_size(raw: int) -> int:
    """Bytes that ``statfs`` reports as the size of an ext4 made with mke2fs's defaults on a disk of ``raw`` bytes.

    One inode of 256 bytes for 16 KiB, a journal (1 GiB from 128 GiB on), two bitmap blocks for each group, and a
    copy of the group descriptors in the groups 0, 1 and the powers of 3, 5 and 7.
    """
    groups = -(-raw // (_GROUP_BLOCKS * _BLOCK))
    copies = {0, 1} | {base**power for base in (3, 5, 7) for power in range(1, 20)}
    descriptor_blocks = -(-groups * 64 // _BLOCK)
    descriptors = len([c for c in copies if c < groups]) * (1 + descriptor_blocks + _RESERVED_DESCRIPTOR_BLOCKS) * _BLOCK
    journal = next(size for least, size in _JOURNALS if raw >= least)
    return raw - raw // 64 - journal - groups * 2 * _BLOCK - descriptors


class Disks:
    """The disks of one machine whose root directory is ``root``."""

    def __init__(self, root: Path):
        self.root = root
        self.directory = root / MOUNT_ROOT

    def mount(self, raw: list[int], fault: str = "") -> None:
        """Formats and mounts; what is mounted already stays as it is, as after a reboot.

        ``fault`` befalls the last disk: ``missing`` (the device does not show up), ``small`` (half its size),
        ``read-only``, ``not-mounted`` (its directory is there, as after a failed mount).
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        if self.mounted():
            return
        for index, size in enumerate(raw):
            last = index == len(raw) - 1
            if last and fault == "missing":
                continue
            target = self.directory / str(uuid.uuid4())
            target.mkdir()
            if last and fault == "not-mounted":
                continue
            usable = ext4_size(size // 2 if last and fault == "small" else size)
            options = f"size={usable // 1024}k,mode=0755,noatime" + (",ro" if last and fault == "read-only" else "")
            subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tidegate-nvme", str(target)], check=True, capture_output=True)

    def mounted(self) -> list[Path]:
        """Mount points of the disks, in the order of their names."""
        return sorted({Path(point) for point in mount_points_below(self.directory)} - {self.directory})

    def lose(self, index: int) -> None:
        """The disk fails under load: its directory is there, and empty."""
        subprocess.run(["umount", "--lazy", str(self.mounted()[index])], check=True, capture_output=True)

    def make_read_only(self, index: int) -> None:
        """As ext4 does after an input/output error (errors=remount-ro)."""
        target = str(self.mounted()[index])
        subprocess.run(["mount", "-o", "remount,bind,ro", target], check=True, capture_output=True)

    def wipe(self) -> None:
        """The instance is gone, and with it what was on its disks. Idempotent."""
        unmount_below(self.directory)
        shutil.rmtree(self.directory, ignore_errors=True)


def unmount_below(directory: Path) -> list[str]:
    """Unmounts everything below a directory, the deepest first; returns what it was. For what a crash left, too."""
    points = mount_points_below(directory) if directory.exists() else []
    for point in points:
        subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)
    return points
