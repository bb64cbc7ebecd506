"""The part of a kubelet that speaks for its node: registration, readiness, heartbeats."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from datetime import UTC, datetime

from . import node_object
from .api import Api, ApiError, Unreachable
from .instances import Instance

# nodeLeaseDurationSeconds / 4, as every kubelet.
_LEASE_SECONDS = 10
_LEASE_DURATION_SECONDS = 40
# The kubelet's own default is 5 min if nothing has changed; a look at the heartbeats should not need so long here.
_STATUS_SECONDS = 60
# Until the network plugin's pod has written its configuration.
_NETWORK_READY_SECONDS = 1.0


def identity(node_name: str) -> tuple[str, tuple[str, ...]]:
    """User and groups of a kubelet's client certificate: what the Node authorizer goes by."""
    return f"system:node:{node_name}", ("system:nodes",)


class Kubelet:
    """``api`` acts as the node. :meth:`run` is for ever; cancelling it is the power switch."""

    def __init__(self, api: Api, instance: Instance, instance_type: node_object.Object, version: str):
        self._api, self._instance, self._type, self._version = api, instance, instance_type, version
        self._name = instance.private_dns_name
        self._path = f"/api/v1/nodes/{self._name}"
        self._log = logging.getLogger(f"nodes.{self._name}")
        self.uid = ""
        self._healthy_since = self._ready_since = ""
        self._renewed = 0.0

    async def register(self) -> None:
        """Creates the Node, waiting out an API server that is away. An existing Node is taken over, labels brought up."""
        node = node_object.registration(self._instance, self._type, self._version)
        pause = 0.5
        while True:
            try:
                try:
                    created = await self._api.create("/api/v1/nodes", node)
                    self._log.info("registered as %s", self._instance.provider_id)
                except ApiError as error:
                    if error.status != 409:
                        raise
                    labels = {"metadata": {"labels": node["metadata"]["labels"]}}
                    created = await self._api.patch(self._path, labels)
                    known = created["spec"].get("providerID")
                    if known != self._instance.provider_id:
                        # A kubelet cannot change it; the cloud controller deletes the stale Node, and it registers anew.
                        raise ApiError(409, "AlreadyExists", f"the Node of {known} still has this name") from None
                    self._log.info("took its Node over again")
                self.uid = created["metadata"]["uid"]
                return
            except (ApiError, *Unreachable) as error:
                self._log.warning("cannot register yet: %s", error)
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))
                pause = min(pause * 2, 5)

    async def run(self) -> None:
        """After :meth:`register`."""
        self._healthy_since = node_object.now()
        await asyncio.sleep(_NETWORK_READY_SECONDS)
        self._ready_since = node_object.now()
        await asyncio.gather(self._repeat(self._tell_status, _STATUS_SECONDS), self._repeat(self._renew_lease, _LEASE_SECONDS))

    async def _repeat(self, act, seconds: float) -> None:
        while True:
            try:
                await act()
                await asyncio.sleep(seconds)
            except ApiError as error:
                self._log.warning("heartbeat refused: %s", error)
                # The Node was deleted under a living kubelet; as a kubelet does, it goes on, and never registers again.
                await asyncio.sleep(seconds)
            except Unreachable:
                # As every kubelet, soon again: the node is Unknown after a few missed heartbeats.
                await asyncio.sleep(2)

    async def _tell_status(self) -> None:
        conditions = node_object.conditions(
            ready=True, healthy_since=self._healthy_since, ready_since=self._ready_since
        )
        await self._api.patch(f"{self._path}/status", {"status": {"conditions": conditions}})

    async def _renew_lease(self) -> None:
        """Also notices a silence so long that the node may be Unknown by now, and says at once that it is not."""
        path = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        renewed = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": self._name, "leaseDurationSeconds": _LEASE_DURATION_SECONDS, "renewTime": renewed}
        try:
            await self._api.patch(f"{path}/{self._name}", {"spec": spec})
            await self._after_silence()
        except ApiError as error:
            if error.status != 404:
                raise
            owner = {"apiVersion": "v1", "kind": "Node", "name": self._name, "uid": self.uid}
            metadata = {"name": self._name, "namespace": "kube-node-lease", "ownerReferences": [owner]}
            await self._api.create(
                path, {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
            )

    async def _after_silence(self) -> None:
        before, self._renewed = self._renewed, time.monotonic()
        if before and self._renewed - before > _LEASE_DURATION_SECONDS:
            self._healthy_since = self._ready_since = node_object.now()
            await self._tell_status()
