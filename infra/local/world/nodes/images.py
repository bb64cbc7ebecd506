"""Images whose containers are real here: which process each is, told by the image's name and its arguments."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..alluxio import jvm
from . import pod_spec

# Seen: a worker with two tiers and some thousand blocks lives in 50 MB, with open streams in 70.
_WORKER_HEAP_MB = 96
_JOB_WORKER_HEAP_MB = 80

_ENTRY_POINT_VARIABLES = ("ALLUXIO_JAVA_OPTS", "ALLUXIO_WORKER_JAVA_OPTS", "ALLUXIO_JOB_WORKER_JAVA_OPTS")
_SOCKET_DIRECTORY = "alluxio.worker.data.server.domain.socket.address"
_EXPLICIT_TIER = "ALLUXIO_WORKER_TIEREDSTORE_LEVEL0_DIRS_PATH"


class UsageError(Exception):
    """The image's entry point would print its usage and exit with status 1."""


@dataclass(frozen=True)
class AlluxioProcess:
    """One Alluxio JVM: its main class, its properties in order (the last of a name wins), and what to empty before."""

    main: str
    properties: tuple[tuple[str, str], ...]
    dropped_flags: tuple[str, ...]
    format_directories: tuple[Path, ...]

    def property(self, name: str, otherwise: str = "") -> str:
        return dict(self.properties).get(name, otherwise)


def is_alluxio(image: str) -> bool:
    return re.search(r"(^|/)alluxio/alluxio(-[a-z]+)*([:@]|$)", image) is not None


def is_provisioner(image: str) -> bool:
    return re.search(r"(^|/)sig-storage/local-volume-provisioner([:@]|$)", image) is not None


def alluxio_process(
    container: pod_spec.Object, environment: Mapping[str, str], mounts: Mapping[str, Path], address: str, home: Path
) -> AlluxioProcess:
    """What ``/entrypoint.sh`` of the image makes of arguments and environment (Alluxio 2.9, ``integration/docker``).

    ``mounts`` maps the container's paths to this machine's; ``address`` is the pod's; ``home`` is where this process
    may write its own files. Raises :class:`UsageError`.
    """
    words = [*container.get("command", []), *container.get("args", [])]
    words = [word for word in words if not re.search(r"(^|/)(tini|entrypoint\.sh)$", word) and word != "--"]
    if not words or words[0] not in ("worker-only", "job-worker"):
        raise UsageError(f"the image's entry point does not know {shlex.join(words)!r} (worker-only or job-worker)")
    options = words[1:]
    if any(option != "--no-format" for option in options):
        raise UsageError(f"the image's entry point does not know the option {shlex.join(options)!r}")
    worker = words[0] == "worker-only"
    own = "ALLUXIO_WORKER_JAVA_OPTS" if worker else "ALLUXIO_JOB_WORKER_JAVA_OPTS"
    flags = [
        flag
        for name in (own, "ALLUXIO_JAVA_OPTS")
        for flag in pod_spec.map_paths(_entry_point_value(name, environment), mounts).split()
    ]
    properties = [*_network_of_a_node(address, home), *_properties(flags)]
    if not environment.get(_EXPLICIT_TIER):
        # Without this variable the entry point takes the tiers for unconfigured, and appends a RAM disk.
        ram_disk = home / "dev-shm"
        properties += [
            ("alluxio.worker.tieredstore.level0.alias", "MEM"),
            ("alluxio.worker.tieredstore.level0.dirs.path", str(ram_disk)),
        ]
    properties += _only_here(address, home)
    process = AlluxioProcess(
        main=jvm.WORKER if worker else jvm.JOB_WORKER,
        properties=tuple(properties),
        dropped_flags=tuple(flag for flag in flags if not flag.startswith("-D")),
        format_directories=(),
    )
    if worker and "--no-format" not in options:
        folder = process.property("alluxio.worker.data.folder", "/alluxioworker/").strip("/")
        directories = tuple(Path(tier) / folder for tier in tier_directories(process))
        process = AlluxioProcess(process.main, process.properties, process.dropped_flags, directories)
    return process


def with_short_socket_path(process: AlluxioProcess, directory: Path, link: Path) -> AlluxioProcess:
    """The domain socket below ``directory`` is named by ``link``, which leads there.

    A socket's path may have 107 characters (unix(7)); in a container it is short, on this machine it would not be.
    """
    properties = tuple(
        (name, str(link / Path(value).relative_to(directory)))
        if name == _SOCKET_DIRECTORY and Path(value).is_relative_to(directory)
        else (name, value)
        for name, value in process.properties
    )
    return replace(process, properties=properties)


def tier_directories(process: AlluxioProcess) -> list[str]:
    levels = int(process.property("alluxio.worker.tieredstore.levels", "1"))
    paths = (process.property(f"alluxio.worker.tieredstore.level{level}.dirs.path") for level in range(levels))
    return [path for joined in paths for path in joined.split(",") if path]


def command(process: AlluxioProcess, runtime: jvm.Runtime) -> list[str]:
    heap_mb = _WORKER_HEAP_MB if process.main == jvm.WORKER else _JOB_WORKER_HEAP_MB
    return runtime.command(process.main, dict(process.properties), heap_mb=heap_mb)


def _entry_point_value(name: str, environment: Mapping[str, str]) -> str:
    """The entry point copies its variables line by line into a file that a shell sources.

    So only the first line of a value counts, and ``${NAME}`` is replaced by then.
    """
    value = environment.get(name, "")
    return pod_spec.shell_expand(value.split("\n", 1)[0], environment)


def lines_lost(environment: Mapping[str, str]) -> list[str]:
    """Variables of which the entry point would take the first line only."""
    return [name for name in _ENTRY_POINT_VARIABLES if "\n" in environment.get(name, "").strip("\n")]


def _properties(flags: list[str]) -> list[tuple[str, str]]:
    found = []
    for flag in flags:
        if flag.startswith("-D"):
            name, _, value = flag[2:].partition("=")
            found.append((name, value))
    return found


def _network_of_a_node(address: str, home: Path) -> list[tuple[str, str]]:
    """What a process finds out for itself on a real node, where its own address is the only one. The spec may differ."""
    return [
        ("alluxio.worker.hostname", address),
        ("alluxio.job.worker.hostname", address),
        ("alluxio.user.hostname", address),
        ("alluxio.home", str(home)),
    ]


def _only_here(address: str, home: Path) -> list[tuple[str, str]]:
    """What is true of this machine alone: many nodes share its network and its file system."""
    return [
        ("alluxio.worker.bind.host", address),
        ("alluxio.worker.web.bind.host", address),
        ("alluxio.worker.web.hostname", address),
        ("alluxio.job.worker.bind.host", address),
        ("alluxio.job.worker.web.bind.host", address),
        ("alluxio.job.worker.web.hostname", address),
        ("alluxio.logs.dir", str(home / "logs")),
        ("alluxio.conf.dir", str(home / "conf")),
        ("alluxio.site.conf.dir", str(home / "conf")),
        ("alluxio.tmp.dirs", str(home / "tmp")),
        ("alluxio.security.login.username", jvm.IMAGE_USER_NAME),
    ]

