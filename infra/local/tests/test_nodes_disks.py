"""A node's disks: how many its type has, how large their file systems are, and that none outlives its instance."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from world.alluxio.under_store import mount_points_below
from world.nodes.disks import Disks, as_set_up, ext4_size, raw_sizes, unmount_below
from world.paths import CHECKOUT

GIB = 2**30


def storage(support: str, *disks: tuple[int, int, str]) -> dict:
    listed = [{"Count": count, "SizeInGB": size, "Type": type} for count, size, type in disks]
    return {"InstanceStorageInfo": {"NvmeSupport": support, "Disks": listed}}


def test_each_local_nvme_disk_of_an_instance_type_counts():
    assert raw_sizes(storage("required", (2, 300, "ssd"))) == [300 * 10**9] * 2


@pytest.mark.parametrize(
    "instance_type",
    [{}, storage("unsupported", (1, 80, "ssd")), storage("required", (3, 2000, "hdd"))],
    ids=["no disk", "a disk that is not NVMe", "hard disks, though their family says NVMe"],
)
def test_other_disks_do_not_count(instance_type):
    assert raw_sizes(instance_type) == []


# Measured: mke2fs 1.47 with its defaults on a device of so many decimal GB, and what statfs says then.
@pytest.mark.parametrize(("gigabytes", "expected"), [(300, 273.95), (600, 548.95), (900, 823.96), (1900, 1740.66)])
def test_a_file_system_is_as_large_as_ext4_on_the_real_disk(gigabytes, expected):
    assert ext4_size(gigabytes * 10**9) / GIB == pytest.approx(expected, abs=0.01)


@pytest.fixture
def disks(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    disks = Disks(tmp_path / "i-1")
    yield disks
    disks.wipe()


def test_disks_are_one_array_where_the_user_data_says_so():
    render = CHECKOUT / "infra/user-data/render.py"
    asked = {
        layout: subprocess.run([sys.executable, render, "--layout", layout], capture_output=True, text=True, check=True).stdout
        for layout in ("pv-nvme", "pv-raid")
    }
    assert as_set_up([300, 300], asked["pv-nvme"]) == as_set_up([300, 300], "") == [300, 300]
    assert as_set_up([300, 300], asked["pv-raid"]) == [600]
    assert as_set_up([300], asked["pv-raid"]) == [300]



def test_disks_are_mounted_under_uuid_names_and_report_their_size(disks):
    disks.mount([300 * 10**9, 300 * 10**9])
    sizes = [os.statvfs(path).f_blocks * os.statvfs(path).f_frsize for path in disks.mounted()]
    assert [round(size / GIB, 2) for size in sizes] == [273.95, 273.95]
    assert all(len(path.name) == 36 for path in disks.mounted())
    assert all((path.stat().st_uid, path.stat().st_mode & 0o777) == (0, 0o755) for path in disks.mounted())


def test_a_reboot_finds_the_same_disks_with_what_was_on_them(disks):
    disks.mount([10**9])
    (disks.mounted()[0] / "kept").touch()
    disks.mount([10**9])
    assert [(path / "kept").exists() for path in disks.mounted()] == [True]


def test_a_disk_can_be_missing_or_small_or_left_unmounted(tmp_path, disks):
    for fault, mounted in (("missing", 1), ("not-mounted", 1), ("small", 2), ("read-only", 2)):
        disks.mount([20 * 10**9] * 2, fault)
        assert len(disks.mounted()) == mounted, fault
        assert len(list(disks.directory.iterdir())) == (1 if fault == "missing" else 2), fault
        disks.wipe()


def test_a_lost_disk_leaves_an_empty_directory_that_is_no_mount_point(disks):
    disks.mount([10**9])
    path = disks.mounted()[0]
    (path / "data").touch()
    disks.lose(0)
    assert disks.mounted() == [] and path.is_dir() and not list(path.iterdir())


def test_nothing_stays_mounted_after_the_end_nor_after_a_crash(tmp_path, disks):
    disks.mount([10**9, 10**9])
    disks.wipe()
    assert mount_points_below(tmp_path) == []
    disks.mount([10**9])
    assert len(unmount_below(tmp_path)) == 1
    assert mount_points_below(tmp_path) == []


def test_mount_points_are_told_the_deepest_first(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    inner = tmp_path / "a b"
    for target in (tmp_path, inner):
        target.mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(target)], check=True)
    try:
        assert mount_points_below(tmp_path) == [str(inner), str(tmp_path)]
    finally:
        unmount_below(tmp_path)
