"""The AWS cloud controller's two duties towards nodes: it initialises new ones, and deletes those whose instance is gone."""

from __future__ import annotations

import asyncio
import logging

from . import node_object
from .api import MERGE, Api, ApiError, Unreachable
from .instances import Instance

IDENTITY = ("eks:cloud-controller-manager", ("system:masters",))

# Seen on EKS: a node is initialised about a second after it has registered.
_INITIALIZE_SECONDS = 0.5

_log = logging.getLogger("nodes.cloud")


async def initialize(api: Api, instance: Instance) -> None:
    """Sets zone, region and type, and takes the uninitialised taint away. Waits out an API server that is away."""
    path = f"/api/v1/nodes/{instance.private_dns_name}"
    await asyncio.sleep(_INITIALIZE_SECONDS)
    while True:
        try:
            node = await api.get(path)
            taints = [t for t in node["spec"].get("taints", []) if t["key"] != node_object.UNINITIALIZED_TAINT]
            body = {
                # The version makes a taint that somebody set in between a conflict, not a loss.
                "metadata": {
                    "labels": node_object.cloud_labels(instance),
                    "resourceVersion": node["metadata"]["resourceVersion"],
                },
                "spec": {"taints": taints or None},
            }
            await api.patch(path, body, MERGE)
            return
        except ApiError as error:
            if error.status == 404:
                return
            await asyncio.sleep(0.2 if error.status == 409 else 2)
        except Unreachable:
            await asyncio.sleep(1)


async def delete_node(api: Api, instance: Instance) -> None:
    """Deletes the instance's Node, unless the name belongs to another instance by now."""
    path = f"/api/v1/nodes/{instance.private_dns_name}"
    while True:
        try:
            node = await api.get(path)
            if node["spec"].get("providerID") == instance.provider_id:
                await api.delete(path, uid=node["metadata"]["uid"])
                _log.info("%s: deleted the Node, %s does not exist any more", instance.private_dns_name, instance.id)
            return
        except ApiError as error:
            if error.status == 404:
                return
            await asyncio.sleep(2)
        except Unreachable:
            await asyncio.sleep(1)
