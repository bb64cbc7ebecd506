"""Command lines of Alluxio's JVMs, small enough that a dozen of them fit on one machine."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import own_jar

MASTER = "alluxio.master.AlluxioMaster"
JOB_MASTER = "alluxio.master.AlluxioJobMaster"
WORKER = "alluxio.worker.AlluxioWorker"
JOB_WORKER = "alluxio.worker.AlluxioJobWorker"
FORMAT = "alluxio.cli.Format"

# uid, gid and user name that the published image gives its processes; its user also belongs to the group root.
IMAGE_UID = 1000
IMAGE_GID = 1000
IMAGE_SUPPLEMENTARY_GROUPS = (0,)
IMAGE_USER_NAME = "alluxio"

# C1 only and the serial collector: what these JVMs spend their time on is starting, and on two cores a second
# compiler or collector thread takes it from the others.
_SMALL = (
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xss512k",
    "-XX:-UsePerfData",  # else every JVM leaves a file in /tmp/hsperfdata_*
)
# Buffers of streams lie outside of the heap, and what has many streams has a large heap.
_LEAST_DIRECT_MB = 64


@dataclass(frozen=True)
class Runtime:
    """Where the jars are, and the archive of parsed classes that halves the start (None: start without one)."""

    jars: tuple[Path, ...]
    own_jar: Path
    archive: Path | None = None

    @staticmethod
    def of_tools(tools: Path) -> Runtime:
        """The runtime of an installed tools directory; raises FileNotFoundError if Alluxio is not in it."""
        # Resolved: the archive knows its jars by their paths, and a tools directory is made of links.
        jars = tuple(sorted((tools / "alluxio" / "lib").resolve().glob("*.jar")))
        if not jars:
            raise FileNotFoundError(f"no Alluxio jars in {tools / 'alluxio' / 'lib'}: run infra/local/setup/install.sh")
        archive = archive_file(jars)
        return Runtime(jars, own_jar.compiled(jars, cache_directory()), archive if archive.exists() else None)

    def command(
        self,
        main: str,
        properties: Mapping[str, str],
        *,
        heap_mb: int,
        arguments: Iterable[str] = (),
        flags: Iterable[str] = (),
    ) -> list[str]:
        """The command line of one JVM. Our own jar comes after the archived ones, which must stay a prefix."""
        archive = [f"-XX:SharedArchiveFile={self.archive}", "-Xshare:auto"] if self.archive else []
        return [
            java(),
            *_SMALL,
            f"-Xmx{heap_mb}m",
            f"-XX:MaxDirectMemorySize={max(_LEAST_DIRECT_MB, heap_mb)}m",
            *archive,
            *flags,
            # All the log set-up that is needed: log4j2 writes to the console, which the parent sends to a file.
            "-Dlog4j2.level=INFO",
            *(f"-D{name}={value}" for name, value in properties.items()),
            "-cp",
            ":".join(str(jar) for jar in (*self.jars, self.own_jar)),
            main,
            *arguments,
        ]


def java() -> str:
    found = shutil.which("java")
    if found is None:
        raise FileNotFoundError("java is not on PATH")
    return found


def archive_file(jars: Iterable[Path]) -> Path:
    """Where the class archive of exactly these jars and this JVM lies. The JVM refuses an archive of other ones."""
    version = subprocess.run([java(), "-version"], capture_output=True, text=True, check=True).stderr
    told = hashlib.sha256(version.encode())
    for jar in jars:
        status = jar.stat()
        told.update(f"{jar}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return cache_directory() / f"alluxio-classes-{told.hexdigest()[:16]}" / "classes.jsa"


def cache_directory() -> Path:
    """The one that ``infra/local/setup/install.sh`` installs to."""
    named = os.environ.get("TIDEGATE_CACHE")
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidegate"


def confined(
    command: list[str], *, uid: int = IMAGE_UID, gid: int = IMAGE_GID, groups: Iterable[int] = IMAGE_SUPPLEMENTARY_GROUPS
) -> list[str]:
    """The command, run as the user that a container would run as, and killed by the kernel when its parent dies.

    The process may read what root may read (the jars may lie below root's home), but writes only where its user may:
    that is what a container with a volume of the wrong owner runs into. Without root it stays the caller's user.
    """
    if os.geteuid() != 0:
        return ["setpriv", "--pdeathsig=KILL", *command]
    capability = "-all,+dac_read_search"
    return [
        "setpriv",
        # Else the capability would not count in access(2), by which Alluxio asks whether a tier can be used.
        "--securebits=+no_setuid_fixup",
        f"--reuid={uid}",
        f"--regid={gid}",
        "--groups=" + ",".join(str(group) for group in sorted({gid, *groups})),
        f"--inh-caps={capability}",
        f"--ambient-caps={capability}",
        f"--bounding-set={capability}",
        "--pdeathsig=KILL",
        *command,
    ]


