"""Makes the class archive of the Alluxio jars: ``python -m world.alluxio.archive --tools DIR``.

A JVM of Alluxio spends about 3 s of processor time on loading and verifying classes before it serves; from an archive
of them (class data sharing, https://docs.oracle.com/en/java/javase/17/vm/class-data-sharing.html) it takes half of
that, and the pages are shared between all of them. The list of classes is that of a cluster which is started here,
writes, persists and reads a file, and is ended, and of a master that keeps its journal and its metastore as those in the
cluster do. About a minute, once for each set of jars and JVM; nothing to do if the archive is there.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import jvm, settings
from .files_server import MAIN, Files, FilesError
from .masters import MASTER_HEAP_MB, Masters, wait_until_serving
from .process import Process


def _free_address() -> str:
    """A loopback address on which nobody has a master. Worlds take 127.1 to 127.199 (see the supervisor)."""
    while True:
        address = f"127.{random.randint(240, 254)}.{random.randint(0, 255)}.2"
        with socket.socket() as probe:
            try:
                probe.bind((address, settings.MASTER_RPC_PORT))
                return address
            except OSError:
                continue


async def _train(runtime: jvm.Runtime, world: Path) -> list[Path]:
    """Runs a small cluster, each process with a list of the classes it loads; returns the lists."""
    address = _free_address()
    lists = world / "lists"
    lists.mkdir()
    lists.chmod(0o777)
    masters = Masters(runtime, address, world)
    for process, name in ((masters.master, "master"), (masters.job_master, "job-master")):
        process.command = _listed(process.command, lists / name)
    tier = world / "tier"
    tier.mkdir(mode=0o777)
    tier.chmod(0o777)
    worker = settings.common(address, world / "alluxio") | {
        "alluxio.worker.hostname": address,
        "alluxio.worker.bind.host": address,
        "alluxio.worker.web.hostname": address,
        "alluxio.worker.web.bind.host": address,
        "alluxio.job.worker.hostname": address,
        "alluxio.job.worker.bind.host": address,
        "alluxio.job.worker.web.bind.host": address,
        "alluxio.user.hostname": address,
        "alluxio.worker.tieredstore.levels": "1",
        "alluxio.worker.tieredstore.level0.alias": "SSD",
        "alluxio.worker.tieredstore.level0.dirs.path": str(tier),
        "alluxio.worker.tieredstore.level0.dirs.mediumtype": "SSD",
        "alluxio.worker.tieredstore.level0.dirs.quota": "256MB",
    }
    port_file = world / "alluxio" / "tmp" / "files.port"
    files_properties = settings.client(settings.masters_elsewhere(address), world / "alluxio")
    children = {
        "worker": runtime.command(jvm.WORKER, worker, heap_mb=80),
        "job-worker": runtime.command(jvm.JOB_WORKER, worker, heap_mb=80),
        "files": runtime.command(MAIN, files_properties, heap_mb=80, arguments=[str(port_file)]),
    }
    processes = [
        Process(name, _listed(jvm.confined(command), lists / name), world / "logs" / f"{name}.log", world / "pids")
        for name, command in children.items()
    ]
    try:
        await masters.start()
        for process in processes:
            await process.start()
        await asyncio.to_thread(_use, port_file)
    finally:
        # Not killed: the classes that a JVM needs to end belong to the list, too.
        await asyncio.gather(*(process.stop(20) for process in processes))
        await asyncio.gather(masters.master.stop(20), masters.job_master.stop(20))
    await _train_embedded(runtime, world, lists)
    return sorted(lists.iterdir())


async def _train_embedded(runtime: jvm.Runtime, world: Path, lists: Path) -> None:
    """A master with an embedded journal, the only one of its quorum, and a metastore on disk."""
    address, home = _free_address(), world / "embedded"
    properties = settings.masters(address, home, world / "ufs") | {
        "alluxio.master.journal.type": "EMBEDDED",
        "alluxio.master.embedded.journal.addresses": f"{address}:19200",
        "alluxio.master.embedded.journal.ratis.config.raft.grpc.server.host": address,
        "alluxio.master.embedded.journal.election.timeout.min": "500ms",
        "alluxio.master.embedded.journal.election.timeout.max": "1s",
        "alluxio.master.metastore": "ROCKS",
        "alluxio.master.metastore.dir": str(home / "metastore"),
    }
    for directory in (home, *(home / name for name in ("logs", "conf", "tmp", "metastore"))):
        directory.mkdir()
        directory.chmod(0o777)
    formatting = runtime.command(jvm.FORMAT, properties, heap_mb=64, arguments=["master"])
    serving = runtime.command(jvm.MASTER, properties, heap_mb=MASTER_HEAP_MB)
    first = Process("format", jvm.confined(formatting), world / "logs" / "format.log", world / "pids")
    await first.start()
    await first.wait()
    master = Process("embedded", _listed(jvm.confined(serving), lists / "embedded"), world / "logs" / "embedded.log", world / "pids")
    await master.start()
    try:
        await wait_until_serving(master, f"http://{address}:{settings.MASTER_WEB_PORT}")
    finally:
        await master.stop(20)


def _use(port_file: Path) -> None:
    for _ in range(300):
        if port_file.exists():
            break
        time.sleep(0.2)
    files = Files(f"http://127.0.0.1:{port_file.read_text()}", timeout_seconds=60)
    for attempt in range(60):
        try:
            files.write("/training/cached", writeType="ASYNC_THROUGH", bytes=100_000)
            break
        except FilesError as error:
            if "No available Alluxio worker" not in str(error) or attempt == 59:
                raise
            time.sleep(1)
    files.write("/training/through", writeType="CACHE_THROUGH", bytes=100_000)
    files.checksum("/training/cached")
    files.status("/training/through")


def _listed(command: list[str], target: Path) -> list[str]:
    at = command.index(jvm.java()) + 1
    return [*command[:at], f"-XX:DumpLoadedClassList={target}", *command[at:]]


def build(tools: Path) -> Path:
    """Returns the archive's path; builds it unless it is there."""
    installed = jvm.Runtime.of_tools(tools)
    runtime = jvm.Runtime(installed.jars, installed.own_jar)
    target = jvm.archive_file(runtime.jars)
    if target.exists():
        return target
    print("Archiving the classes of Alluxio: about a minute, once", file=sys.stderr, flush=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tidegate-archive-") as scratch:
        world = Path(scratch)
        world.chmod(0o755)
        lists = asyncio.run(_train(runtime, world))
        classes: dict[str, None] = {}
        for listed in lists:
            for line in listed.read_text().splitlines():
                if not line.startswith("#"):
                    classes[line] = None
        merged = world / "classes.list"
        # The JVM wants the lambdas after the classes that they belong to.
        merged.write_text("\n".join(sorted(classes, key=lambda line: line.startswith("@"))) + "\n")
        unfinished = target.with_suffix(f".{os.getpid()}")
        class_path = ":".join(str(jar) for jar in runtime.jars)
        subprocess.run(
            [jvm.java(), "-XX:+UseSerialGC", "-Xshare:dump", f"-XX:SharedClassListFile={merged}",
             f"-XX:SharedArchiveFile={unfinished}", "-cp", class_path],
            check=True, capture_output=True,
        )  # fmt: skip
        unfinished.chmod(0o644)
        os.replace(unfinished, target)
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tools", type=Path, default=os.environ.get("TIDEGATE_TOOLS"))
    tools = parser.parse_args().tools
    if not tools:
        parser.error("--tools is needed (or TIDEGATE_TOOLS)")
    print(build(tools))


if __name__ == "__main__":
    main()
