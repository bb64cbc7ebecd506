"""The EBS CSI driver of the cluster: makes an EC2 volume and a PV for each claim that is handed over to it, attaches it
to the instance of a pod that needs it, and deletes both with the claim.

An EC2 volume is a record in EC2 and a directory of this machine. The driver is there while the cluster has its
``CSIDriver`` object.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import shutil
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from . import ebs
from .api import MERGE, Api, ApiError, Unreachable
from .ebs import Object

# Rights are not what is looked at here: the add-on brings its own.
IDENTITY = ("system:serviceaccount:kube-system:ebs-csi-controller-sa", ("system:masters",))

# What did not work is tried again this often; every change is looked at at once.
_RETRY_SECONDS = 1.0

_log = logging.getLogger("nodes.ebs")


class Ec2Volumes:
    """EBS volumes by EC2's API. Raises botocore's errors; each call blocks, so it is made in a thread."""

    def __init__(self, client: Any):
        self._client = client

    def make(self, request: Object) -> str:
        """Its id. One of the same name is taken for made before."""
        wanted = {tag["Key"]: tag["Value"] for tag in request["TagSpecifications"][0]["Tags"]}
        there = self._client.describe_volumes(Filters=[{"Name": "tag:CSIVolumeName", "Values": [wanted["CSIVolumeName"]]}])
        for volume in there["Volumes"]:
            return str(volume["VolumeId"])
        return str(self._client.create_volume(**request)["VolumeId"])

    def delete(self, volume_id: str) -> None:
        with _unless_gone():
            self._client.delete_volume(VolumeId=volume_id)

    def attach(self, volume_id: str, instance_id: str) -> str:
        """Answers the device. It may be attached there already; elsewhere is an error of EC2's."""
        volume = self._client.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]
        for attachment in volume["Attachments"]:
            if attachment["InstanceId"] == instance_id:
                return str(attachment["Device"])
            raise ebs.Unsupported(f"{volume_id} is already attached to an instance: {attachment['InstanceId']}")
        instance = self._client.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
        device = ebs.free_device({mapping["DeviceName"] for mapping in instance["BlockDeviceMappings"]})
        self._client.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device=device)
        return device

    def detach(self, volume_id: str, instance_id: str) -> None:
        """Not an error if it is not attached there: an instance that is gone has let go of all."""
        with _unless_gone():
            volume = self._client.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]
            if any(attachment["InstanceId"] == instance_id for attachment in volume["Attachments"]):
                self._client.detach_volume(VolumeId=volume_id, InstanceId=instance_id)


class EbsCsi:
    """``directory`` holds the volumes' contents, each below its id."""

    def __init__(self, api: Api, volumes: Ec2Volumes, cluster: str, directory: Path):
        self._api, self._ec2, self._cluster, self._directory = api, volumes, cluster, directory
        self._installed: dict[str, Object] = {}
        self._claims: dict[str, Object] = {}
        self._volumes: dict[str, Object] = {}
        self._attachments: dict[str, Object] = {}
        self._changed = asyncio.Event()
        self._told: dict[str, str] = {}

    async def run(self) -> None:
        """For ever; outages of EC2 and of the API server are waited out."""
        async with asyncio.TaskGroup() as group:
            for path, known in (
                ("/apis/storage.k8s.io/v1/csidrivers", self._installed),
                ("/api/v1/persistentvolumeclaims", self._claims),
                ("/api/v1/persistentvolumes", self._volumes),
                ("/apis/storage.k8s.io/v1/volumeattachments", self._attachments),
            ):
                group.create_task(self._follow(path, known))
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), _RETRY_SECONDS)
                self._changed.clear()
                if any(driver["metadata"]["name"] == ebs.DRIVER for driver in self._installed.values()):
                    await self._look()

    async def _follow(self, path: str, known: dict[str, Object]) -> None:
        async for event in self._api.follow(path):
            if event.type == "SYNCED":
                continue
            uid = event.object["metadata"]["uid"]
            if event.type == "DELETED":
                known.pop(uid, None)
            else:
                known[uid] = event.object
            self._changed.set()

    async def _look(self) -> None:
        for claim in list(self._claims.values()):
            if ebs.is_due(claim):
                await self._try(claim, self._provision)
        for attachment in list(self._attachments.values()):
            if attachment["spec"]["attacher"] == ebs.DRIVER:
                going = attachment["metadata"].get("deletionTimestamp")
                if going:
                    await self._try(attachment, self._detach)
                elif not attachment.get("status", {}).get("attached"):
                    await self._try(attachment, self._attach)
        for volume in list(self._volumes.values()):
            if ebs.is_to_be_deleted(volume):
                await self._try(volume, self._delete)

    async def _try(self, about: Object, act: Any) -> None:
        """An error is told once, and tried again with the next look."""
        uid, name = about["metadata"]["uid"], about["metadata"]["name"]
        try:
            await act(about)
            self._told.pop(uid, None)
        except (ApiError, *Unreachable, BotoCoreError, ClientError, ebs.Unsupported) as error:
            if self._told.get(uid) != str(error):
                self._told[uid] = str(error)
                _log.warning("%s: %s", name, error)

    async def _provision(self, claim: Object) -> None:
        if any(volume["metadata"]["name"] == ebs.volume_name(claim) for volume in self._volumes.values()):
            # Made, and not bound yet: Kubernetes does that.
            return
        class_name = claim["spec"]["storageClassName"]
        storage_class = await self._api.get(f"/apis/storage.k8s.io/v1/storageclasses/{class_name}")
        node_name = ebs.selected_node(claim)
        if ebs.waits_for_a_pod(storage_class) and not node_name:
            return
        zone = await self._zone(node_name)
        volume_id = await asyncio.to_thread(self._ec2.make, ebs.request(claim, storage_class, zone, self._cluster))
        try:
            made = await self._api.create(
                "/api/v1/persistentvolumes", ebs.persistent_volume(claim, storage_class, volume_id, zone)
            )
        except ApiError as error:
            # Made just before, and not yet seen.
            if error.status != 409:
                raise
            return
        self._volumes[made["metadata"]["uid"]] = made
        _log.info("%s is the volume of the claim %s", volume_id, claim["metadata"]["name"])

    async def _zone(self, node_name: str | None) -> str:
        """Of the node, or of any where no pod is waited for."""
        if node_name:
            nodes = [await self._api.get(f"/api/v1/nodes/{node_name}")]
        else:
            nodes = (await self._api.get("/api/v1/nodes"))["items"]
        zones = {node["metadata"]["labels"].get(ebs.ZONE) for node in nodes} - {None}
        if not zones:
            raise ebs.Unsupported("no topology key found on any node")
        return str(random.choice(sorted(zones)))

    async def _attach(self, attachment: Object) -> None:
        path = f"/apis/storage.k8s.io/v1/volumeattachments/{attachment['metadata']['name']}"
        volume_id, instance_id = await self._ends(attachment)
        if ebs.ATTACHER_FINALIZER not in attachment["metadata"].get("finalizers", []):
            await self._api.patch(path, {"metadata": {"finalizers": [ebs.ATTACHER_FINALIZER]}}, MERGE)
        device = await asyncio.to_thread(self._ec2.attach, volume_id, instance_id)
        status = {"attached": True, "attachmentMetadata": {"devicePath": device}}
        await self._api.patch(f"{path}/status", {"status": status}, MERGE)
        _log.info("%s is attached to %s as %s", volume_id, instance_id, device)

    async def _detach(self, attachment: Object) -> None:
        if ebs.ATTACHER_FINALIZER not in attachment["metadata"].get("finalizers", []):
            return
        try:
            volume_id, instance_id = await self._ends(attachment)
            await asyncio.to_thread(self._ec2.detach, volume_id, instance_id)
            _log.info("%s is detached from %s", volume_id, instance_id)
        except ApiError as error:
            # The node is gone, and its instance with it: that has let go of everything.
            if error.status != 404:
                raise
        path = f"/apis/storage.k8s.io/v1/volumeattachments/{attachment['metadata']['name']}"
        await self._without_finalizer(path, attachment, ebs.ATTACHER_FINALIZER)

    async def _ends(self, attachment: Object) -> tuple[str, str]:
        """Of an attachment: the EC2 volume and the instance."""
        name = attachment["spec"]["source"]["persistentVolumeName"]
        volume = await self._api.get(f"/api/v1/persistentvolumes/{name}")
        node = await self._api.get(f"/api/v1/nodes/{attachment['spec']['nodeName']}")
        return volume["spec"]["csi"]["volumeHandle"], node["spec"]["providerID"].rsplit("/", 1)[1]

    async def _delete(self, volume: Object) -> None:
        name, volume_id = volume["metadata"]["name"], volume["spec"]["csi"]["volumeHandle"]
        for attachment in self._attachments.values():
            if attachment["spec"]["source"].get("persistentVolumeName") == name:
                raise ebs.Unsupported(f"persistentvolume {name} is still attached to node {attachment['spec']['nodeName']}")
        await asyncio.to_thread(self._ec2.delete, volume_id)
        await asyncio.to_thread(shutil.rmtree, self._directory / volume_id, ignore_errors=True)
        path = f"/api/v1/persistentvolumes/{name}"
        await self._api.delete(path, uid=volume["metadata"]["uid"])
        await self._without_finalizer(path, volume, ebs.PROVISIONER_FINALIZER)
        _log.info("%s is deleted with its claim", volume_id)

    async def _without_finalizer(self, path: str, told: Object, finalizer: str) -> None:
        """Others put theirs beside it: what is there now counts, and a change in between is a conflict."""
        try:
            now = await self._api.get(path)
            left = [name for name in now["metadata"].get("finalizers", []) if name != finalizer]
            version = now["metadata"]["resourceVersion"]
            await self._api.patch(path, {"metadata": {"finalizers": left, "resourceVersion": version}}, MERGE)
        except ApiError as error:
            if error.status != 404:
                raise


@contextlib.contextmanager
def _unless_gone():
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("InvalidVolume.NotFound", "InvalidInstanceID.NotFound"):
            raise
