"""The settings of `samples`, as a world takes them: a cluster with the node groups of infra/cluster.yaml, and the stack's
parameters."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from .groups import STARTUP_TAINT, NodeGroup
from .paths import CHECKOUT

NAMES = ("prod", "dev")
MASTER_LABEL = "tidegate.dev/alluxio-master"
MEMORY_LABEL = "alluxio-memory-worker"


@dataclass(frozen=True)
class Sample:
    """``caches`` is the group that the stack looks after; the masters have one of their own where there is a second."""

    caches: NodeGroup
    masters: NodeGroup | None
    parameters: dict[str, str] = field(default_factory=dict)
    """Of the functions' stack."""

    @property
    def master_replicas(self) -> int:
        return int(self.parameters["MasterReplicas"])


def read(name: str, changes: dict[str, str], samples: Path = CHECKOUT / "samples") -> Sample:
    """``changes`` are to parameters of the cluster, such as NodesDesired. Raises ValueError for one that it does not have."""
    cluster = json.loads((samples / "cluster" / f"{name}.json").read_text())["Parameters"]
    unknown = sorted(set(changes) - set(cluster))
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: samples/cluster/{name}.json has no such parameter")
    cluster |= changes
    overrides = tomllib.loads((samples / "samconfig.toml").read_text())[name]["deploy"]["parameters"]["parameter_overrides"]
    return Sample(*node_groups(cluster), dict(override.split("=", 1) for override in overrides))


def node_groups(cluster: dict[str, str]) -> tuple[NodeGroup, NodeGroup | None]:
    """What infra/cluster.yaml makes of its parameters."""
    own_masters = int(cluster["MasterNodes"])
    in_memory = cluster["Cache"] == "memory"
    labels = {MEMORY_LABEL: "true"} | ({} if own_masters else {MASTER_LABEL: "true"})
    caches = NodeGroup(
        name=f"{cluster['ClusterName']}-nodes",
        instance_type=cluster["NodeInstanceType"],
        sizes=(int(cluster["NodesMin"]), int(cluster["NodesDesired"]), int(cluster["NodesMax"])),
        labels=labels if in_memory else {},
        taints=[] if in_memory else [STARTUP_TAINT],
        in_one_zone=not own_masters,
    )
    if not own_masters:
        return caches, None
    masters = NodeGroup(
        name=f"{cluster['ClusterName']}-masters",
        instance_type=cluster["MasterInstanceType"],
        sizes=(own_masters, own_masters, own_masters),
        labels={MASTER_LABEL: "true"},
    )
    return caches, masters
