"""Alluxio's properties in the local world: those of a production cluster where they matter, quick ones where they wait."""

from __future__ import annotations

from pathlib import Path

from . import jvm

MASTER_RPC_PORT = 19998
MASTER_WEB_PORT = 19999
JOB_MASTER_RPC_PORT = 20001
JOB_MASTER_WEB_PORT = 20002


def common(address: str, home: Path) -> dict[str, str]:
    """What every process of the cluster must be told: where the masters are, and where it may write."""
    return {
        **_own(home),
        **masters_elsewhere(address),
    }


def _own(home: Path) -> dict[str, str]:
    return {
        "alluxio.home": str(home),
        "alluxio.logs.dir": str(home / "logs"),
        "alluxio.conf.dir": str(home / "conf"),
        # Else a file of the developer's own in ~/.alluxio or /etc/alluxio would have a say.
        "alluxio.site.conf.dir": str(home / "conf"),
        "alluxio.tmp.dirs": str(home / "tmp"),
        "alluxio.security.authentication.type": "SIMPLE",
        # In the image uid 1000 is alluxio; on a developer's machine it may be anybody, and Alluxio asks the system.
        "alluxio.security.login.username": jvm.IMAGE_USER_NAME,
    }


def masters(address: str, home: Path, under_store: Path) -> dict[str, str]:
    """Properties of the master and the job master on ``address``, with journal below ``home``."""
    return {
        **common(address, home),
        "alluxio.master.bind.host": address,
        "alluxio.master.rpc.port": str(MASTER_RPC_PORT),
        "alluxio.master.web.hostname": address,
        "alluxio.master.web.bind.host": address,
        "alluxio.master.web.port": str(MASTER_WEB_PORT),
        "alluxio.job.master.bind.host": address,
        "alluxio.job.master.rpc.port": str(JOB_MASTER_RPC_PORT),
        "alluxio.job.master.web.hostname": address,
        "alluxio.job.master.web.bind.host": address,
        "alluxio.job.master.web.port": str(JOB_MASTER_WEB_PORT),
        # Our own scheme: see java/dev/tidegate/underfs.
        "alluxio.master.mount.table.root.ufs": f"directory://{under_store}",
        # One master on one disk: no quorum to form. The tailer's wait is five seconds of every start otherwise.
        "alluxio.master.journal.type": "UFS",
        "alluxio.master.journal.folder": str(home / "journal"),
        "alluxio.master.journal.tailer.shutdown.quiet.wait.time": "100ms",
        "alluxio.master.metastore": "HEAP",
        # The reference deployment's list: an explicit persist of such a file is skipped without a word.
        "alluxio.master.persistence.blacklist": ".staging,_temporary,.tmp,_delta_log",
        "alluxio.user.file.persistence.initial.wait.time": "-1",
        # How long a worker stays lost or decommissioned until it may come back: 10 + 20 s here, about 35 min by
        # default. A drain's way back is made of it, so it must happen while a test looks.
        "alluxio.master.worker.timeout": "10s",
        "alluxio.master.lost.worker.deletion.timeout": "20s",
        "alluxio.master.worker.connect.wait.time": "3s",
        "alluxio.master.lost.worker.detection.interval": "1s",
        "alluxio.master.lost.worker.file.detection.interval": "5s",
        "alluxio.master.replication.check.interval": "1s",
        # It calls out to the vendor.
        "alluxio.master.update.check.enabled": "false",
    }


def client(masters: dict[str, str], home: Path) -> dict[str, str]:
    """Properties of the files server, which stands for the applications; ``masters`` are those that say where they are."""
    return {
        **_own(home),
        **masters,
        # ASYNC_THROUGH as in the reference deployment: nothing persists by itself.
        "alluxio.user.file.persistence.initial.wait.time": "-1",
        "alluxio.user.worker.list.refresh.interval": "1s",
        "alluxio.user.metrics.collection.enabled": "false",
        # The client would ask the master's web port for settings that tests change; these here are all it needs.
        "alluxio.user.conf.cluster.default.enabled": "false",
        "alluxio.user.conf.sync.interval": "1h",
    }


def masters_elsewhere(address: str) -> dict[str, str]:
    """Where one master is."""
    return {"alluxio.master.hostname": address, "alluxio.job.master.hostname": address}


def masters_in_cluster(replicas: int, hosts: Path) -> dict[str, str]:
    """Where the masters of ``infra/kubernetes`` are, as their workers are told; ``hosts`` has their names."""
    known = {
        "jdk.net.hosts.file": str(hosts),
        # A test asks right after a pod has come back, which has another address then.
        "sun.net.inetaddr.ttl": "1",
        "sun.net.inetaddr.negative.ttl": "1",
    }
    if replicas == 1:
        return known | masters_elsewhere(_master_in_cluster(0))
    return known | {"alluxio.master.rpc.addresses": addresses_in_cluster(replicas)}


def addresses_in_cluster(replicas: int) -> str:
    """``alluxio.master.rpc.addresses`` of the masters of ``infra/kubernetes``, by their names in the cluster."""
    return ",".join(f"{_master_in_cluster(ordinal)}:{MASTER_RPC_PORT}" for ordinal in range(replicas))


def _master_in_cluster(ordinal: int) -> str:
    return f"alluxio-master-{ordinal}.alluxio-master.alluxio.svc.cluster.local"
