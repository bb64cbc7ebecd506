"""The world's masters, which are no pods, as if they ran in the cluster: what the functions look them up by."""

from __future__ import annotations

from typing import Any

SERVICE = "alluxio-master"
NAMESPACE = "alluxio"


def service_of(master: str) -> dict[str, Any]:
    """The service of infra/kubernetes, without a selector, and its only slice. ``master`` is the ``host:port`` of its RPC."""
    host, _, port = master.rpartition(":")
    rpc = {"name": "rpc", "port": int(port)}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": SERVICE, "namespace": NAMESPACE},
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "ports": [rpc],
            # Without a selector it would want both, and that of infra/kubernetes could not take its place.
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
        },
    }
    slice_of_it = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{SERVICE}-world",
            "namespace": NAMESPACE,
            # The second keeps the controller of Kubernetes from taking it for one of its own.
            "labels": {"kubernetes.io/service-name": SERVICE, "endpointslice.kubernetes.io/managed-by": "tidegate-world"},
        },
        # The API server takes no loopback address as IPv4; as a name it is resolved to itself.
        "addressType": "FQDN",
        "ports": [rpc],
        "endpoints": [{"addresses": [host], "conditions": {"ready": True, "serving": True}}],
    }
    return {"apiVersion": "v1", "kind": "List", "items": [service, slice_of_it]}
