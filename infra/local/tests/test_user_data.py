"""The disk set-up at boot, on loop devices: what it formats and mounts, what it leaves alone, what a second run changes."""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[3]
SCRIPT = CHECKOUT / "infra/user-data/set-up-disks.sh"
RENDER = CHECKOUT / "infra/user-data/render.py"
SIZE = 64 << 20
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def run(*command: object, check: bool = True) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout.strip()


class Node:
    """A machine with loop devices for disks. Every one of them is freed in the end."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.by_id = directory / "by-id"
        self.mounts = directory / "fast-disks"
        self.by_id.mkdir()
        self.devices: list[str] = []

    def disk(self, *options: str) -> str:
        """A new empty disk, as udev links it: with and without its namespace."""
        number = len(self.devices)
        image = self.directory / f"disk{number}"
        with image.open("wb") as file:
            file.truncate(SIZE)
        device = run("losetup", "--find", "--show", *options, image)
        self.devices.append(device)
        name = f"nvme-Amazon_EC2_NVMe_Instance_Storage_AWS{number:016X}"
        for link in (name, f"{name}_1"):
            (self.by_id / link).symlink_to(device)
        return device

    def set_up(self, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["bash", SCRIPT], capture_output=True, text=True, env=self.environment(**more), check=False)

    def environment(self, **more: str) -> dict[str, str]:
        paths = {"DISKS": self.by_id, "MOUNTS": self.mounts, "LOCK": self.directory / "lock"}
        return os.environ | {name: str(path) for name, path in paths.items()} | more

    def mounted(self) -> dict[str, str]:
        """Device by name of its mount point."""
        found = {}
        for place in sorted(self.mounts.glob("*")):
            if place.is_mount():
                found[place.name] = run("findmnt", "-n", "-o", "SOURCE", place)
        return found

    def reboot(self) -> None:
        for place in self.mounts.glob("*"):
            if place.is_mount():
                run("umount", place)

    def end(self) -> None:
        self.reboot()
        for place in (self.directory / "elsewhere",):
            if place.is_mount():
                run("umount", place)
        for device in self.devices:
            run("losetup", "--detach", device, check=False)


def _has_loop_devices() -> bool:
    return os.geteuid() == 0 and shutil.which("losetup") is not None and Path("/dev/loop-control").exists()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    if not _has_loop_devices():
        pytest.skip("loop devices cannot be had here: not root, or a container without them")
    node = Node(tmp_path)
    yield node
    node.end()


def uuid_of(device: str) -> str:
    """Of its file system; empty where it has none."""
    return run("blkid", "-p", "-o", "value", "-s", "UUID", device, check=False)


def test_each_disk_is_formatted_once_mounted_by_its_uuid_and_given_to_alluxio(node: Node):
    disks = [node.disk(), node.disk()]
    done = node.set_up()
    assert done.returncode == 0, done.stderr
    assert node.mounted() == {uuid_of(disk): disk for disk in disks}
    for name in node.mounted():
        assert UUID.fullmatch(name)
        place = node.mounts / name
        assert (place.stat().st_uid, place.stat().st_gid) == (1000, 1000)
        assert "noatime" in run("findmnt", "-n", "-o", "OPTIONS", place).split(",")
        assert run("findmnt", "-n", "-o", "FSTYPE", place) == "ext4"
    assert done.stdout.count("is formatted") == 2, "a disk with two links is one disk"


def test_a_second_run_changes_nothing(node: Node):
    node.disk()
    node.set_up()
    before = node.mounted()
    done = node.set_up()
    assert done.returncode == 0, done.stderr
    assert "is formatted" not in done.stdout
    assert node.mounted() == before


def test_two_runs_at_once_format_a_disk_once(node: Node):
    node.disk()
    runs = [
        subprocess.Popen(["bash", SCRIPT], stdout=subprocess.PIPE, text=True, env=node.environment()) for _ in range(2)
    ]
    told = [process.communicate()[0] for process in runs]
    assert [process.returncode for process in runs] == [0, 0]
    assert "".join(told).count("is formatted") == 1
    assert len(node.mounted()) == 1


def test_after_a_reboot_the_data_is_there_under_the_same_name(node: Node):
    node.disk()
    node.set_up()
    (name,) = node.mounted()
    (node.mounts / name / "block").write_text("cached")
    node.reboot()
    done = node.set_up()
    assert done.returncode == 0, done.stderr
    assert list(node.mounted()) == [name]
    assert (node.mounts / name / "block").read_text() == "cached"


def test_after_a_stop_and_a_start_the_new_disk_takes_the_place_of_the_old_one(node: Node):
    old = node.disk()
    node.set_up()
    (before,) = node.mounted()
    node.reboot()
    run("wipefs", "--all", old)
    done = node.set_up()
    assert done.returncode == 0, done.stderr
    (after,) = node.mounted()
    assert after != before
    assert not (node.mounts / before).exists(), "a directory that is no mount point keeps the provisioner from being ready"


def test_what_was_cut_off_between_formatting_and_mounting_is_completed(node: Node):
    disk = node.disk()
    run("mkfs.ext4", "-q", disk)
    uuid = uuid_of(disk)
    (node.mounts / uuid).mkdir(parents=True)
    done = node.set_up()
    assert done.returncode == 0, done.stderr
    assert node.mounted() == {uuid: disk}
    assert (node.mounts / uuid).stat().st_uid == 1000


def test_a_broken_disk_is_named_and_keeps_no_other_from_being_mounted(node: Node):
    broken, good = node.disk("--read-only"), node.disk()
    done = node.set_up()
    assert done.returncode == 1
    assert f"{broken} cannot be formatted" in done.stderr
    assert node.mounted() == {uuid_of(good): good}
    assert [place.name for place in node.mounts.iterdir()] == [uuid_of(good)]


def partition(disk: str) -> None:
    """A partition table as fdisk writes it: one partition of type Linux."""
    table = bytearray(512)
    table[446:454] = bytes([0, 0, 2, 0, 0x83, 0, 3, 0])
    table[454:462] = (2048).to_bytes(4, "little") + (65536).to_bytes(4, "little")
    table[510:] = b"\x55\xaa"
    with Path(disk).open("r+b") as device:
        device.write(table)


def swap(disk: str) -> None:
    run("mkswap", "-q", disk)


@pytest.mark.parametrize(("put", "told"), [(partition, "partition table (dos)"), (swap, "holds swap")])
def test_what_somebody_else_has_put_on_a_disk_is_left_alone(node: Node, put: Callable[[str], None], told: str):
    disk = node.disk()
    put(disk)
    before = Path(disk).read_bytes()
    done = node.set_up()
    assert done.returncode == 1
    assert told in done.stderr
    assert Path(disk).read_bytes() == before
    assert node.mounted() == {}


def test_a_disk_that_is_mounted_elsewhere_is_left_there(node: Node):
    disk = node.disk()
    run("mkfs.ext4", "-q", disk)
    elsewhere = node.directory / "elsewhere"
    elsewhere.mkdir()
    run("mount", disk, elsewhere)
    done = node.set_up()
    assert done.returncode == 1
    assert f"{disk} is mounted at {elsewhere}" in done.stderr
    assert node.mounted() == {}


def test_partitions_are_no_disks(node: Node):
    disk = node.disk()
    for link in node.by_id.iterdir():
        link.rename(f"{link}-part1")
    done = node.set_up()
    assert (done.returncode, node.mounted()) == (0, {})
    assert "nothing to do" in done.stdout
    assert uuid_of(disk) == ""


def test_without_disks_there_is_nothing_to_do(node: Node):
    done = node.set_up()
    assert (done.returncode, done.stdout) == (0, "tidegate-disks: no instance-store disks: nothing to do\n")


def test_a_layout_that_is_none_is_refused(node: Node):
    disk = node.disk()
    done = node.set_up(LAYOUT="pv-lvm")
    assert (done.returncode, done.stderr) == (2, 'tidegate-disks: LAYOUT: "pv-lvm" is neither pv-nvme nor pv-raid\n')
    assert uuid_of(disk) == ""


def test_all_disks_become_one_array_that_is_there_again_after_a_reboot(node: Node):
    if shutil.which("mdadm") is None:
        pytest.skip("mdadm is not on this machine")
    disks = [node.disk(), node.disk()]
    array = f"/dev/md/tidegate-{os.getpid()}"
    probe = subprocess.run(
        ["mdadm", "--create", array, "--run", "--homehost=any", "--level=0", "--raid-devices=2", *disks],
        capture_output=True, text=True, check=False,
    )
    subprocess.run(["mdadm", "--stop", array], capture_output=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"this kernel makes no arrays: {probe.stderr.strip()}")
    subprocess.run(["mdadm", "--zero-superblock", *disks], check=True)
    try:
        done = node.set_up(LAYOUT="pv-raid", ARRAY=array)
        assert done.returncode == 0, done.stderr
        (name,) = node.mounted()
        (node.mounts / name / "block").write_text("cached")
        node.reboot()
        run("mdadm", "--stop", array)
        done = node.set_up(LAYOUT="pv-raid", ARRAY=array)
        assert done.returncode == 0, done.stderr
        assert (node.mounts / name / "block").read_text() == "cached"
    finally:
        node.reboot()
        subprocess.run(["mdadm", "--stop", array], capture_output=True, check=False)


def test_one_disk_needs_no_array(node: Node):
    disk = node.disk()
    done = node.set_up(LAYOUT="pv-raid", PATH=os.environ["PATH"])
    assert done.returncode == 0, done.stderr
    assert node.mounted() == {uuid_of(disk): disk}


def rendered(*options: str) -> str:
    return subprocess.run([sys.executable, RENDER, *options], capture_output=True, text=True, check=True).stdout


def test_the_user_data_is_a_shell_script_that_installs_both_files_to_the_letter(tmp_path: Path):
    (part,) = email.message_from_string(rendered()).get_payload()
    assert part.get_content_type() == "text/x-shellscript"
    # As cloud-init runs it, but for where it writes and what it starts.
    shell = part.get_payload().replace(" /usr/local/sbin/", f" {tmp_path}/").replace(" /etc/systemd/system/", f" {tmp_path}/")
    shell = shell.replace("systemctl ", "echo systemctl ")
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", shell], capture_output=True, text=True, check=True)
    assert (tmp_path / "tidegate-set-up-disks").read_text() == SCRIPT.read_text()
    assert os.access(tmp_path / "tidegate-set-up-disks", os.X_OK)
    unit = SCRIPT.with_name("tidegate-disks.service").read_text()
    assert (tmp_path / "tidegate-disks.service").read_text() == unit
    assert "enable --now tidegate-disks.service" in done.stdout
    assert "LAYOUT=pv-raid" in rendered("--layout", "pv-raid")


def test_the_directories_have_the_names_that_the_provisioner_publishes():
    template = (CHECKOUT / "infra/kubernetes/provisioner.yaml.j2").read_text().replace("{{ provisioner_image }}", "image")
    (config,) = (
        document["data"]["storageClassMap"] for document in yaml.safe_load_all(template) if document["kind"] == "ConfigMap"
    )
    settings = yaml.safe_load(config)["fast-disks"]
    assert settings["mountDir"] == re.search(r'mounts="\$\{MOUNTS:-(.+?)\}"', SCRIPT.read_text())[1]
    pattern = settings["namePattern"].replace("?", "[0-9a-f]")
    assert re.fullmatch(pattern, "6f9619ff-8b86-d011-b42d-00c04fc964ff")
