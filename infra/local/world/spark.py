"""A Spark job in the local world: `python -m world.spark JOB ARGUMENTS...`, with the settings of samples/spark.

The driver and two executors are processes of this machine, on loopback, and no pods: nobody evicts them. What differs from
the settings that users get is named here, with the reason.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from .alluxio import jvm
from .alluxio.process import record_self
from .paths import CHECKOUT, Paths, world_directory

_SETTINGS = CHECKOUT / "samples" / "spark" / "survive-a-drain.conf"
_ADDRESS = "127.0.0.1"
# As for Alluxio's JVMs (alluxio/jvm.py), but for the direct memory: Spark wants more than 200 MB of it.
_FLAGS = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xss512k -XX:-UsePerfData"


def settings(directory: Path, client: Path, masters: str, hosts: Path | None) -> dict[str, str]:
    """What this machine has other than a cluster; the rest is of survive-a-drain.conf. ``hosts`` has the masters' names,
    where these are pods."""
    flags = f"{_FLAGS} -Djdk.net.hosts.file={hosts}" if hosts else _FLAGS
    return {
        # Executors that are processes of their own, one core each; less memory is refused.
        "spark.master": "local-cluster[2,1,512]",
        "spark.driver.memory": "512m",
        "spark.executor.memory": "512m",
        "spark.driver.extraJavaOptions": flags,
        "spark.executor.extraJavaOptions": flags,
        "spark.driver.bindAddress": _ADDRESS,
        "spark.driver.host": _ADDRESS,
        "spark.ui.enabled": "false",
        "spark.log.level": "WARN",
        # In the image the jar lies beside Spark's own.
        "spark.driver.extraClassPath": str(client),
        "spark.executor.extraClassPath": str(client),
        "spark.local.dir": str(directory / "local"),
        # What became of each task, for whoever asks afterwards.
        "spark.eventLog.enabled": "true",
        "spark.eventLog.compress": "false",
        "spark.eventLog.dir": f"file://{directory / 'events'}",
        # Two cores: more tasks for so few rows only cost their starts.
        "spark.sql.shuffle.partitions": "2",
        "spark.hadoop.alluxio.master.rpc.addresses": masters,
        # The owner of the root directory, whoever runs this.
        "spark.hadoop.alluxio.security.login.username": jvm.IMAGE_USER_NAME,
        # As quick as the world's drains expect.
        "spark.hadoop.alluxio.user.worker.list.refresh.interval": "1s",
        # The sockets of all nodes are to be seen here, so none of them says which worker is on the same node: none is.
        "spark.hadoop.alluxio.worker.data.server.domain.socket.as.uuid": "false",
    }


def main() -> None:
    paths = Paths(world_directory())
    if not paths.endpoints.exists():
        sys.exit("world: no world is up: start one with make up")
    tools = Path(os.environ["TIDEGATE_TOOLS"])
    endpoints = json.loads(paths.endpoints.read_text())
    hosts = paths.world / "nodes" / "hosts" if "podNetwork" in endpoints else None
    directory = paths.world / "spark"
    home = _home(tools, directory)
    client = next((tools / "spark" / "client").resolve().glob("*.jar"))
    own = settings(directory, client, endpoints["alluxioMasters"], hosts)
    options = [part for item in own.items() for part in ("--conf", "=".join(item))]
    python = str(tools / "spark" / "bin" / "python3")
    environment = os.environ | {"SPARK_HOME": str(home), "SPARK_LOCAL_IP": _ADDRESS, "PYSPARK_PYTHON": python}
    # Of the world's own interpreter; the driver has another.
    for name in ("PYTHONPATH", "HADOOP_USER_NAME", "HADOOP_CONF_DIR", "SPARK_CONF_DIR"):
        environment.pop(name, None)
    # The shell of spark-submit becomes the driver, so this process does: `make down` finds it. Its executors end with it.
    record_self(paths.pids, f"spark-{os.getpid()}")
    submit = str(home / "bin" / "spark-submit")
    os.execve(submit, [submit, "--properties-file", str(_SETTINGS), *options, *sys.argv[1:]], environment)


def _home(tools: Path, directory: Path) -> Path:
    """Spark's own directory as links: executors work below SPARK_HOME, and installed tools are everybody's."""
    home = directory / "home"
    for made in (home, directory / "local", directory / "events"):
        made.mkdir(parents=True, exist_ok=True)
    for part in next((tools / "spark").resolve().glob("lib/python3*/site-packages/pyspark")).iterdir():
        link = home / part.name
        if part.name in ("bin", "jars", "python") and not link.exists():
            link.symlink_to(part)
    return home


if __name__ == "__main__":
    main()
