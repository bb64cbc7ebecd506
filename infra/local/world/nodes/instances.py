"""The instances of Auto Scaling groups, as EC2 tells about them."""

from __future__ import annotations

import asyncio
import base64
import os
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config

_GROUP_TAG = "aws:autoscaling:groupName"


@dataclass(frozen=True)
class Instance:
    """A running instance. ``group`` is its Auto Scaling group; ``address`` its private address."""

    id: str
    type: str
    zone: str
    group: str
    address: str
    private_dns_name: str
    tags: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def region(self) -> str:
        return self.zone[:-1]

    @property
    def provider_id(self) -> str:
        return f"aws:///{self.zone}/{self.id}"

    @property
    def capacity_type(self) -> str:
        return "SPOT" if self.tags.get("tidegate-local/capacity") == "spot" else "ON_DEMAND"


def client(endpoint: str, region: str) -> Any:
    """Of EC2, by boto3; it does not try again by itself."""
    # An instance profile would be looked up over the network otherwise.
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    config = Config(retries={"total_max_attempts": 1}, read_timeout=10)
    return boto3.client("ec2", endpoint_url=endpoint, region_name=region, config=config)


class Ec2:
    """``endpoint`` is the local AWS; credentials come from the environment as for any client."""

    def __init__(self, endpoint: str, region: str, cluster: str):
        self._cluster = cluster
        self._client = client(endpoint, region)
        self._types: dict[str, dict[str, Any]] = {}

    async def running(self) -> dict[str, Instance]:
        """Instances by id that are running, belong to a group, and are not of another cluster.

        One that was there and is not any more is shutting down or gone. Raises botocore's errors when EC2 is away.
        """
        return await asyncio.to_thread(self._running)

    def _running(self) -> dict[str, Instance]:
        filters = [
            {"Name": "tag-key", "Values": [_GROUP_TAG]},
            {"Name": "instance-state-name", "Values": ["running"]},
        ]
        found: dict[str, Instance] = {}
        token = ""
        while True:
            page = self._client.describe_instances(
                Filters=filters, MaxResults=1000, **({"NextToken": token} if token else {})
            )
            for reservation in page["Reservations"]:
                for told in reservation["Instances"]:
                    instance = _instance(told)
                    if instance and self._is_ours(instance):
                        found[instance.id] = instance
            token = page.get("NextToken", "")
            if not token:
                return found

    def _is_ours(self, instance: Instance) -> bool:
        """EKS tags the instances of its node groups with the cluster; untagged ones are taken for ours."""
        named = {instance.tags.get("eks:cluster-name")} - {None}
        named |= {key.split("/", 2)[2] for key in instance.tags if key.startswith("kubernetes.io/cluster/")}
        return not named or self._cluster in named

    async def user_data(self, instance_id: str) -> str:
        """What cloud-init is given; empty where there is none."""
        told = await asyncio.to_thread(
            self._client.describe_instance_attribute, InstanceId=instance_id, Attribute="userData"
        )
        return base64.b64decode(told.get("UserData", {}).get("Value", "")).decode()

    async def instance_type(self, name: str) -> dict[str, Any]:
        """What DescribeInstanceTypes says, asked once for each type."""
        if name not in self._types:
            told = await asyncio.to_thread(self._client.describe_instance_types, InstanceTypes=[name])
            self._types[name] = told["InstanceTypes"][0]
        return self._types[name]


def _instance(told: dict[str, Any]) -> Instance | None:
    tags = {tag["Key"]: tag["Value"] for tag in told.get("Tags", [])}
    address = told.get("PrivateIpAddress")
    if not address:
        return None
    zone = told["Placement"]["AvailabilityZone"]
    return Instance(
        id=told["InstanceId"],
        type=told["InstanceType"],
        zone=zone,
        group=tags[_GROUP_TAG],
        address=address,
        private_dns_name=told.get("PrivateDnsName") or f"ip-{address.replace('.', '-')}.{zone[:-1]}.compute.internal",
        tags=tags,
    )
