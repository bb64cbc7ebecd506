"""Names of the cluster, as its DNS answers them, in files that the JVMs of pods read (``-Djdk.net.hosts.file``).

A pod has a file of its own, which begins as the kubelet's ``/etc/hosts`` does: with the pod's own name. Then come the
names of headless services and of the pods behind them. A JVM with such a file asks nobody else, and reads it at each
look-up that its own cache does not answer (30 s, as in the image).
https://docs.oracle.com/en/java/javase/17/docs/api/java.base/java/net/InetAddress.html
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from .api import Api

Object = dict[str, Any]

IDENTITY = ("system:serviceaccount:kube-system:coredns", ("system:masters",))
_DOMAIN = "svc.cluster.local"


def of_pod(pod: Object, address: str) -> list[str]:
    """The lines about the pod itself."""
    spec, metadata = pod["spec"], pod["metadata"]
    names = []
    if not spec.get("hostNetwork"):
        host = spec.get("hostname", metadata["name"])
        if spec.get("subdomain"):
            names.append(f"{host}.{spec['subdomain']}.{metadata['namespace']}.{_DOMAIN}")
        names.append(host)
    # The JDK asks for the name of the machine to learn its own address.
    names.append(socket.gethostname())
    return [f"{address} {name}" for name in names]


def of_service(endpoint_slice: Object) -> list[str]:
    """The lines of an EndpointSlice of a headless service: the service, and each pod that has a hostname in it."""
    metadata = endpoint_slice["metadata"]
    service = metadata.get("labels", {}).get("kubernetes.io/service-name")
    if not service:
        return []
    name = f"{service}.{metadata['namespace']}.{_DOMAIN}"
    lines = []
    for endpoint in endpoint_slice.get("endpoints") or []:
        # Nothing said means ready; publishNotReadyAddresses makes every one so.
        if endpoint.get("conditions", {}).get("ready") is False:
            continue
        for address in endpoint["addresses"]:
            lines.append(f"{address} {name}")
            if endpoint.get("hostname"):
                lines.append(f"{address} {endpoint['hostname']}.{name}")
    return lines


class Names:
    """``everybody`` is a file with the cluster's names alone, for who is not in a pod."""

    def __init__(self, api: Api, everybody: Path):
        self._api = api
        self._files: dict[Path, list[str]] = {everybody: [f"127.0.0.1 {socket.gethostname()}"]}
        self._slices: dict[str, list[str]] = {}

    async def run(self) -> None:
        """For ever: follows the EndpointSlices."""
        self._write_all()
        headless = "service.kubernetes.io/headless"
        async for event in self._api.follow("/apis/discovery.k8s.io/v1/endpointslices", labelSelector=headless):
            if event.type == "SYNCED":
                continue
            uid = event.object["metadata"]["uid"]
            lines = [] if event.type == "DELETED" else of_service(event.object)
            if lines != self._slices.get(uid, []):
                self._slices[uid] = lines
                self._write_all()

    def add(self, file: Path, own: list[str]) -> None:
        """From now on the file has the pod's ``own`` lines and those of the cluster."""
        self._files[file] = own
        self._write(file)

    def remove(self, file: Path) -> None:
        self._files.pop(file, None)

    def _write_all(self) -> None:
        for file in self._files:
            self._write(file)

    def _write(self, file: Path) -> None:
        lines = ["127.0.0.1 localhost", *self._files[file]]
        for told in self._slices.values():
            lines += told
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_name(f"{file.name}.new")
        unfinished.write_text("\n".join(lines) + "\n")
        unfinished.chmod(0o644)
        os.replace(unfinished, file)
