"""Where the pods behind aggregated APIs are, for the API server.

The API server goes to such pods by the EndpointSlices of their service, and takes no loopback address into one as an
address. As a name it does, and it only ever connects to it: https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/
So pods with loopback addresses get a slice of names beside those of the real controller, which stay empty.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress

from . import probes
from .api import Api, ApiError, Object, Unreachable

IDENTITY = ("system:serviceaccount:kube-system:endpointslice-controller", ("system:masters",))

_API_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
_RETRY_SECONDS = 2.0


class AggregatedApis:
    """Follows each service that an APIService names, as long as the APIService is there."""

    def __init__(self, api: Api):
        self._api = api
        self._following: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """For ever."""
        try:
            async for event in self._api.follow(_API_SERVICES):
                service = event.object.get("spec", {}).get("service")
                if not service:
                    continue
                uid = event.object["metadata"]["uid"]
                if event.type == "DELETED":
                    self._following.pop(uid).cancel()
                elif uid not in self._following:
                    self._following[uid] = asyncio.create_task(self._follow(service["namespace"], service["name"]))
        finally:
            for task in self._following.values():
                task.cancel()

    async def _follow(self, namespace: str, name: str) -> None:
        service = await self._service(namespace, name)
        selector = ",".join(f"{key}={value}" for key, value in service["spec"].get("selector", {}).items())
        pods: dict[str, Object] = {}
        written: Object = {}
        async for event in self._api.follow(f"/api/v1/namespaces/{namespace}/pods", labelSelector=selector):
            if event.type == "DELETED":
                pods.pop(event.object["metadata"]["uid"], None)
            elif event.type != "SYNCED":
                pods[event.object["metadata"]["uid"]] = event.object
            wanted = slice_of(service, list(pods.values()))
            if wanted != written and (wanted["endpoints"] or written):
                await self._write(wanted)
                written = wanted

    async def _service(self, namespace: str, name: str) -> Object:
        while True:
            with contextlib.suppress(ApiError, *Unreachable):
                return await self._api.get(f"/api/v1/namespaces/{namespace}/services/{name}")
            await asyncio.sleep(_RETRY_SECONDS)

    async def _write(self, wanted: Object) -> None:
        path = f"/apis/discovery.k8s.io/v1/namespaces/{wanted['metadata']['namespace']}/endpointslices"
        while True:
            try:
                try:
                    await self._api.create(path, wanted)
                except ApiError as error:
                    if error.status != 409:
                        raise
                    change = {"endpoints": wanted["endpoints"], "ports": wanted["ports"]}
                    await self._api.patch(f"{path}/{wanted['metadata']['name']}", change)
                return
            except (ApiError, *Unreachable):
                await asyncio.sleep(_RETRY_SECONDS)


def slice_of(service: Object, pods: list[Object]) -> Object:
    """The EndpointSlice of the service's pods whose addresses are loopback ones."""
    metadata = service["metadata"]
    here = [pod for pod in pods if _is_loopback(pod.get("status", {}).get("podIP", ""))]
    here = [pod for pod in here if not pod["metadata"].get("deletionTimestamp")]
    ports = [
        {"name": port["name"], "port": probes.port_number(here[0]["spec"]["containers"][0], port["targetPort"])}
        for port in service["spec"]["ports"]
        if here
    ]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{metadata['name']}-loopback",
            "namespace": metadata["namespace"],
            "labels": {"kubernetes.io/service-name": metadata["name"]},
            # Goes with its service.
            "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": metadata["name"], "uid": metadata["uid"]}],
        },
        "addressType": "FQDN",
        "endpoints": [{"addresses": [pod["status"]["podIP"]], "conditions": {"ready": _is_ready(pod)}} for pod in here],
        "ports": ports,
    }


def _is_loopback(address: str) -> bool:
    return bool(address) and ipaddress.ip_address(address).is_loopback


def _is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
