"""Images whose containers are real here: which process each is, told by the image's name and its arguments."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..alluxio import jvm, masters
from . import pod_spec


@dataclass(frozen=True)
class _Role:
    """What one of the entry point's arguments starts."""

    main: str
    variable: str
    heap_mb: int


_ROLES = {
    # Seen: a worker with two tiers and some thousand blocks lives in 50 MB, with open streams in 70.
    "worker-only": _Role(jvm.WORKER, "ALLUXIO_WORKER_JAVA_OPTS", 96),
    # Ten files are persisted at a time, and a stream that waits for a slow under store has 16 MB read ahead. Otherwise it
    # lives in 80 MB.
    "job-worker": _Role(jvm.JOB_WORKER, "ALLUXIO_JOB_WORKER_JAVA_OPTS", 320),
    "master-only": _Role(jvm.MASTER, "ALLUXIO_MASTER_JAVA_OPTS", masters.MASTER_HEAP_MB),
    "job-master": _Role(jvm.JOB_MASTER, "ALLUXIO_JOB_MASTER_JAVA_OPTS", masters.JOB_MASTER_HEAP_MB),
}
_FORMAT_HEAP_MB = 64

_ENTRY_POINT_VARIABLES = ("ALLUXIO_JAVA_OPTS", *(role.variable for role in _ROLES.values()))
_ROOT_MOUNT = "alluxio.master.mount.table.root.ufs"
_SOCKET_DIRECTORY = "alluxio.worker.data.server.domain.socket.address"
_EXPLICIT_TIER = "ALLUXIO_WORKER_TIEREDSTORE_LEVEL0_DIRS_PATH"


USER = pod_spec.ImageUser(jvm.IMAGE_UID, frozenset(jvm.IMAGE_SUPPLEMENTARY_GROUPS))


class UsageError(Exception):
    """The image's entry point would print its usage and exit with status 1."""


@dataclass(frozen=True)
class AlluxioProcess:
    """One Alluxio JVM: its main class, its properties in order (the last of a name wins), and what to empty before."""

    main: str
    properties: tuple[tuple[str, str], ...]
    dropped_flags: tuple[str, ...]
    format_directories: tuple[Path, ...]
    heap_mb: int = _FORMAT_HEAP_MB

    def property(self, name: str, otherwise: str = "") -> str:
        return dict(self.properties).get(name, otherwise)


def is_alluxio(image: str) -> bool:
    return re.search(r"(^|/)alluxio/alluxio(-[a-z]+)*([:@]|$)", image) is not None


def is_provisioner(image: str) -> bool:
    return re.search(r"(^|/)sig-storage/local-volume-provisioner([:@]|$)", image) is not None


def alluxio_process(
    container: pod_spec.Object,
    environment: Mapping[str, str],
    mounts: Mapping[str, Path],
    address: str,
    home: Path,
    hosts: Path,
) -> AlluxioProcess:
    """What ``/entrypoint.sh`` of the image makes of arguments and environment (Alluxio 2.9, ``integration/docker``).

    ``mounts`` maps the container's paths to this machine's; ``address`` is the pod's; ``home`` is where this process
    may write its own files; ``hosts`` are the names that it knows. Raises :class:`UsageError`.
    """
    words = [*container.get("command", []), *container.get("args", [])]
    words = [word for word in words if not re.search(r"(^|/)(tini|entrypoint\.sh)$", word) and word != "--"]
    if not words or words[0] not in _ROLES:
        raise UsageError(f"the image's entry point does not know {shlex.join(words)!r} (one of {', '.join(_ROLES)})")
    options = words[1:]
    if any(option != "--no-format" for option in options):
        raise UsageError(f"the image's entry point does not know the option {shlex.join(options)!r}")
    if words == ["master-only"]:
        raise UsageError("master-only without --no-format would empty the journal at every start, which is not played")
    role = _ROLES[words[0]]
    flags = [
        flag
        for name in (role.variable, "ALLUXIO_JAVA_OPTS")
        for flag in pod_spec.map_paths(_entry_point_value(name, environment), mounts).split()
    ]
    properties = [*_network_of_a_node(address, home), *map(_without_owners, _properties(flags))]
    if not environment.get(_EXPLICIT_TIER):
        # Without this variable the entry point takes the tiers for unconfigured, and appends a RAM disk.
        ram_disk = home / "dev-shm"
        properties += [
            ("alluxio.worker.tieredstore.level0.alias", "MEM"),
            ("alluxio.worker.tieredstore.level0.dirs.path", str(ram_disk)),
        ]
    properties += _only_here(address, home, hosts)
    process = AlluxioProcess(
        main=role.main,
        properties=tuple(properties),
        dropped_flags=tuple(flag for flag in flags if not flag.startswith("-D")),
        format_directories=(),
        heap_mb=role.heap_mb,
    )
    if role.main == jvm.WORKER and "--no-format" not in options:
        folder = process.property("alluxio.worker.data.folder", "/alluxioworker/").strip("/")
        directories = tuple(Path(tier) / folder for tier in tier_directories(process))
        process = replace(process, format_directories=directories)
    return process


def is_script(container: pod_spec.Object) -> bool:
    """Whether the container runs a script of its own in Alluxio's image. Those are real processes in init containers."""
    return is_alluxio(container["image"]) and container.get("command") == ["sh", "-c"] and len(container.get("args", [])) == 1


def script(container: pod_spec.Object, mounts: Mapping[str, Path]) -> list[str]:
    """The script, with the container's paths as they are here. Its `alluxio` is :func:`command_line_tool`."""
    return ["sh", "-c", pod_spec.map_paths(container["args"][0], mounts)]


def command_line_tool(
    environment: Mapping[str, str], mounts: Mapping[str, Path], address: str, home: Path, hosts: Path, runtime: jvm.Runtime
) -> str:
    """A shell script that does what ``bin/alluxio`` of the image does for the commands that init containers use.

    Unlike the entry point it takes ``ALLUXIO_JAVA_OPTS`` as it stands, and no other variable.
    """
    flags = pod_spec.map_paths(environment.get("ALLUXIO_JAVA_OPTS", ""), mounts).split()
    properties = (*_network_of_a_node(address, home), *_properties(flags), *_only_here(address, home, hosts))
    formatting = runtime.command(jvm.FORMAT, dict(properties), heap_mb=_FORMAT_HEAP_MB, arguments=["master"])
    return f"""#!/bin/sh
case "$1" in
    # It ends with the shell that called it.
    formatJournal) exec setpriv --pdeathsig=KILL {shlex.join(formatting)} ;;
esac
echo "alluxio: $1 is not played" >&2
exit 1
"""


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
    return runtime.command(process.main, dict(process.properties), heap_mb=process.heap_mb)


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


def _without_owners(told: tuple[str, str]) -> tuple[str, str]:
    """A root mount that is a directory keeps no owners: this machine has no user of the image's name to give files to."""
    name, value = told
    return (name, f"directory://{value}") if name == _ROOT_MOUNT and value.startswith("/") else told


def _only_here(address: str, home: Path, hosts: Path) -> list[tuple[str, str]]:
    """What is true of this machine alone: many nodes share its network and its file system."""
    return [
        ("alluxio.worker.bind.host", address),
        ("alluxio.worker.web.bind.host", address),
        ("alluxio.worker.web.hostname", address),
        ("alluxio.job.worker.bind.host", address),
        ("alluxio.job.worker.web.bind.host", address),
        ("alluxio.job.worker.web.hostname", address),
        ("alluxio.master.bind.host", address),
        ("alluxio.master.web.bind.host", address),
        ("alluxio.job.master.bind.host", address),
        ("alluxio.job.master.web.bind.host", address),
        # Of the embedded journal, which has no option of Alluxio's for it.
        ("alluxio.master.embedded.journal.ratis.config.raft.grpc.server.host", address),
        # It calls out to the vendor.
        ("alluxio.master.update.check.enabled", "false"),
        ("jdk.net.hosts.file", str(hosts)),
        ("alluxio.logs.dir", str(home / "logs")),
        ("alluxio.conf.dir", str(home / "conf")),
        ("alluxio.site.conf.dir", str(home / "conf")),
        ("alluxio.tmp.dirs", str(home / "tmp")),
        ("alluxio.security.login.username", jvm.IMAGE_USER_NAME),
    ]

