"""The cluster as its administrator sees it, by kubectl."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from .services import NotSeen, until

Object = dict[str, Any]

_INSTANCE_ID = "tidegate.dev/instance-id"
_LAYOUT_LABEL = "tidegate.dev/disk-layout"


class Cluster:
    def __init__(self, kubeconfig: Path):
        self._environment = os.environ | {"KUBECONFIG": str(kubeconfig)}

    def _kubectl(self, *arguments: str, given: Object | None = None) -> str:
        done = subprocess.run(
            ["kubectl", *arguments],
            input=None if given is None else json.dumps(given),
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise NotSeen(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def _items(self, *arguments: str) -> list[Object]:
        return list(json.loads(self._kubectl("get", *arguments, "-o", "json"))["items"])

    def create(self, objects: list[Object]) -> None:
        if not objects:
            return
        self._kubectl("create", "-f", "-", given={"apiVersion": "v1", "kind": "List", "items": objects})

    def node_of(self, instance: str) -> Object | None:
        """None until the node is there and initialised."""
        for node in self._items("nodes"):
            initialised = "node.kubernetes.io/instance-type" in node["metadata"]["labels"]
            if node["spec"].get("providerID", "").endswith(f"/{instance}") and initialised:
                return node
        return None

    def address_of(self, instance: str) -> str:
        node = until(f"the node of {instance}", lambda: self.node_of(instance))
        return str(next(one["address"] for one in node["status"]["addresses"] if one["type"] == "InternalIP"))

    def label_as_joined(self, instance: str, layout: str) -> None:
        """What a join sets on a node, set at once."""
        node = self.node_of(instance) or {}
        self._kubectl(
            "label", "node", node["metadata"]["name"], f"{_INSTANCE_ID}={instance}", f"{_LAYOUT_LABEL}={layout}",
            "fast-disk-node=pv-nvme", f"tidegate.dev/alluxio-worker={layout}",
        )  # fmt: skip

    def unlabel(self, instance: str) -> None:
        """As if no join had found the node yet. What was built because of the labels stays."""
        node = self.node_of(instance) or {}
        self._kubectl("label", "node", node["metadata"]["name"], f"{_INSTANCE_ID}-", f"{_LAYOUT_LABEL}-")

    def volumes_of(self, instance: str) -> int:
        return len(self._items("pv", "-l", f"{_INSTANCE_ID}={instance}"))

    def worker_is_ready(self, instance: str) -> bool:
        node = self.node_of(instance) or {}
        chosen = ("-n", "alluxio", "-l", "role=alluxio-worker", "--field-selector", f"spec.nodeName={node['metadata']['name']}")
        return any(_ready(pod) for pod in self._items("pods", *chosen))

    def instances(self) -> list[tuple[str, str, str]]:
        """Id, type and zone of the instance of each initialised node."""
        found = []
        for node in self._items("nodes"):
            labels = node["metadata"]["labels"]
            kind, zone = labels.get("node.kubernetes.io/instance-type"), labels.get("topology.kubernetes.io/zone")
            if kind and zone:
                found.append((node["spec"]["providerID"].rsplit("/", 1)[-1], kind, zone))
        return found

    def ready_nodes(self) -> int:
        return sum(1 for node in self._items("nodes") if _ready(node))

    def ready_workers(self) -> int:
        """Pods of Alluxio workers that are ready, fake ones too."""
        return sum(1 for pod in self._items("pods", "-n", "alluxio", "-l", "role=alluxio-worker") if _ready(pod))


def _ready(thing: Object) -> bool:
    conditions = thing.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
