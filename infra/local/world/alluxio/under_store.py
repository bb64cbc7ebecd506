"""The under store directory, and the switch that makes it refuse writes.

File modes do not stop root, and an object store that refuses does not say no to reads: so refusing is a read-only bind
mount over the directory itself. What was open for writing before stays open, as an upload that has begun would.
"""

from __future__ import annotations

import subprocess
from pathlib import Path


class UnderStore:
    """``directory`` is where the files are; needs the right to mount (root) for :meth:`refuse_writes` only."""

    def __init__(self, directory: Path):
        self.directory = directory.resolve()

    @property
    def refuses_writes(self) -> bool:
        return str(self.directory) in mount_points_below(self.directory)

    def refuse_writes(self) -> None:
        """Idempotent."""
        if self.refuses_writes:
            return
        _run("mount", "--bind", str(self.directory), str(self.directory))
        try:
            _run("mount", "-o", "remount,bind,ro", str(self.directory))
        except subprocess.CalledProcessError:
            self.accept_writes()
            raise

    def accept_writes(self) -> None:
        """Idempotent; takes every mount away that lies over the directory."""
        while self.refuses_writes:
            # Lazy: a job worker may have a file of it open right now.
            _run("umount", "--lazy", str(self.directory))


def mount_points_below(directory: Path) -> list[str]:
    """Mount points at or below a directory, the deepest and latest first: the order in which they can be unmounted."""
    root = str(directory.resolve())
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = _unescape(line.split(" ")[4])
        if point == root or point.startswith(root + "/"):
            found.append(point)
    return sorted(reversed(found), key=len, reverse=True)


def _unescape(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
