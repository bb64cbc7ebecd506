"""EKS: the world's cluster with its real endpoint, access entries, node groups with real groups."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from dataclasses import dataclass, field
from typing import Any

from moto.eks.models import eks_backends

from .autoscaling.operations import Operations as AutoScaling
from .config import Config
from .ec2 import Ec2
from .errors import ApiError, NotPlayed
from .wire import Call

KUBERNETES_VERSION = "1.35"
# A taint's effects as EKS spells them, and as Kubernetes does.
EFFECTS = {
    "NO_SCHEDULE": "NoSchedule",
    "NO_EXECUTE": "NoExecute",
    "PREFER_NO_SCHEDULE": "PreferNoSchedule",
}
_NOT_PLAYED = {"CreateAddon", "CreateFargateProfile", "CreatePodIdentityAssociation"}


@dataclass
class AccessEntry:
    cluster: str
    principal_arn: str
    arn: str
    kubernetes_groups: list[str]
    username: str
    kind: str
    tags: dict[str, str]
    created_at: dt.datetime
    modified_at: dt.datetime
    policies: list[dict[str, Any]] = field(default_factory=list)

    def view(self) -> dict[str, Any]:
        return {
            "clusterName": self.cluster,
            "principalArn": self.principal_arn,
            "kubernetesGroups": self.kubernetes_groups,
            "accessEntryArn": self.arn,
            "createdAt": self.created_at,
            "modifiedAt": self.modified_at,
            "tags": self.tags,
            "username": self.username,
            "type": self.kind,
        }


class Eks:
    def __init__(self, config: Config, ec2: Ec2, autoscaling: AutoScaling):
        self._config = config
        self._ec2 = ec2
        self._autoscaling = autoscaling
        self.entries: dict[tuple[str, str], AccessEntry] = {}

    @property
    def backend(self) -> Any:
        return eks_backends[self._config.account][self._config.region]

    def make_cluster(self) -> None:
        account = self._config.account
        self.backend.create_cluster(
            name=self._config.cluster,
            version=KUBERNETES_VERSION,
            role_arn=f"arn:aws:iam::{account}:role/{self._config.cluster}-cluster",
            resources_vpc_config={"subnetIds": list(self._ec2.subnets.values())},
        )

    def set_endpoint(self, endpoint: str, certificate_authority: str) -> None:
        """`certificate_authority` is base64 of the PEM text, as DescribeCluster has it."""
        cluster = self.backend.clusters[self._config.cluster]
        cluster.endpoint = endpoint
        cluster.certificate_authority = {"data": certificate_authority}

    def handle(self, call: Call) -> dict[str, Any] | None:
        if call.operation in _NOT_PLAYED:
            raise NotPlayed("eks", call.operation)
        method = getattr(self, call.operation, None)
        return None if method is None else method(call.params)

    # access entries

    def CreateAccessEntry(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        cluster, principal = self._cluster(params), params["principalArn"]
        found = re.fullmatch(r"arn:aws:iam::(\d{12}):(role|user)/(?:.*/)?([^/]+)", principal)
        if not found:
            raise ApiError(
                "InvalidParameterException", "The principalArn parameter format is not valid", 400
            )
        if (cluster, principal) in self.entries:
            raise ApiError(
                "ResourceInUseException",
                "The specified access entry resource is already in use on this cluster.",
                409,
            )
        groups = params.get("kubernetesGroups") or []
        if any(group.startswith("system:") for group in groups):
            raise ApiError(
                "InvalidParameterException",
                "The kubernetes group name cannot start with system:",
                400,
            )
        account, kind, name = found.groups()
        # The documented default: the session's name for a role, the ARN for a user.
        username = params.get("username") or (
            f"arn:aws:sts::{account}:assumed-role/{name}/{{{{SessionName}}}}"
            if kind == "role"
            else principal
        )
        now = dt.datetime.now(dt.UTC)
        entry = AccessEntry(
            cluster=cluster,
            principal_arn=principal,
            arn=f"arn:aws:eks:{self._config.region}:{account}:access-entry/{cluster}/{kind}/"
            f"{account}/{name}/{uuid.uuid4()}",
            kubernetes_groups=groups,
            username=username,
            kind=params.get("type") or "STANDARD",
            tags=params.get("tags") or {},
            created_at=now,
            modified_at=now,
        )
        self.entries[(cluster, principal)] = entry
        return {"accessEntry": entry.view()}

    def DescribeAccessEntry(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"accessEntry": self._entry(params).view()}

    def UpdateAccessEntry(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        entry = self._entry(params)
        entry.kubernetes_groups = params.get("kubernetesGroups", entry.kubernetes_groups)
        entry.username = params.get("username") or entry.username
        entry.modified_at = dt.datetime.now(dt.UTC)
        return {"accessEntry": entry.view()}

    def DeleteAccessEntry(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        entry = self._entry(params)
        del self.entries[(entry.cluster, entry.principal_arn)]
        return {}

    def ListAccessEntries(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        cluster = self._cluster(params)
        return {"accessEntries": [arn for name, arn in self.entries if name == cluster]}

    def AssociateAccessPolicy(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        entry = self._entry(params)
        now = dt.datetime.now(dt.UTC)
        policy = {
            "policyArn": params["policyArn"],
            "accessScope": params["accessScope"],
            "associatedAt": now,
            "modifiedAt": now,
        }
        entry.policies = [p for p in entry.policies if p["policyArn"] != policy["policyArn"]]
        entry.policies.append(policy)
        return {
            "clusterName": entry.cluster,
            "principalArn": entry.principal_arn,
            "associatedAccessPolicy": policy,
        }

    def DisassociateAccessPolicy(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        entry = self._entry(params)
        entry.policies = [p for p in entry.policies if p["policyArn"] != params["policyArn"]]
        return {}

    def ListAssociatedAccessPolicies(self, params: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        entry = self._entry(params)
        return {
            "clusterName": entry.cluster,
            "principalArn": entry.principal_arn,
            "associatedAccessPolicies": entry.policies,
        }

    def _cluster(self, params: dict[str, Any]) -> str:
        name = params.get("clusterName") or params.get("name") or ""
        if name not in self.backend.clusters:
            raise ApiError("ResourceNotFoundException", f"No cluster found for name: {name}.", 404)
        return name

    def _entry(self, params: dict[str, Any]) -> AccessEntry:
        key = (self._cluster(params), params["principalArn"])
        if key not in self.entries:
            raise ApiError(
                "ResourceNotFoundException",
                "The specified principalArn could not be found. You can view your available access "
                "entries with 'list-access-entries'.",
                404,
            )
        return self.entries[key]

    # node groups: moto describes them, the group behind one is real

    def after(self, call: Call) -> None:
        """Called when moto has answered a call with success."""
        name = call.params.get("nodegroupName")
        match call.operation:
            case "CreateNodegroup":
                self._make_group(self._nodegroup(call, name), call.params)
            case "DeleteNodegroup":
                # The node group is gone from moto; its group carries its name in a tag.
                for group in self._groups_of(name):
                    self._autoscaling.DeleteAutoScalingGroup(
                        {"AutoScalingGroupName": group, "ForceDelete": True}
                    )
            case "UpdateNodegroupConfig":
                scaling = call.params.get("scalingConfig") or {}
                for group in self._groups_of(name):
                    self._autoscaling.UpdateAutoScalingGroup(
                        {"AutoScalingGroupName": group} | _sizes(scaling)
                    )

    def _nodegroup(self, call: Call, name: str) -> Any:
        cluster = call.params.get("clusterName") or call.params.get("name")
        return self.backend.clusters[cluster].nodegroups[name]

    def _groups_of(self, nodegroup: str) -> list[str]:
        found = self._autoscaling.DescribeAutoScalingGroups(
            {"Filters": [{"Name": "tag:eks:nodegroup-name", "Values": [nodegroup]}]}
        )
        return [group["AutoScalingGroupName"] for group in found["AutoScalingGroups"]]

    def _make_group(self, nodegroup: Any, params: dict[str, Any]) -> None:
        name = nodegroup.resources["autoScalingGroups"][0]["name"]
        template = params.get("launchTemplate")
        if template:
            specification = {
                "LaunchTemplateId": template.get("id"),
                "LaunchTemplateName": template.get("name"),
                "Version": template.get("version"),
            }
            specification = {key: value for key, value in specification.items() if value}
            # moto tells a type of its own; EKS tells none that the launch template names.
            nodegroup.instance_types = params.get("instanceTypes") or []
        else:
            instance_type = (params.get("instanceTypes") or ["t3.medium"])[0]
            data = {"ImageId": "ami-eks0000000000", "InstanceType": instance_type}
            made = self._ec2.backend.create_launch_template(name, "", data, {})
            specification = {"LaunchTemplateId": made.id}
        self._autoscaling.CreateAutoScalingGroup(
            {
                "AutoScalingGroupName": name,
                "LaunchTemplate": specification,
                "VPCZoneIdentifier": ",".join(params["subnets"]),
                "Tags": [
                    {"Key": key, "Value": value, "PropagateAtLaunch": True}
                    for key, value in {
                        "eks:cluster-name": nodegroup.cluster_name,
                        "eks:nodegroup-name": nodegroup.nodegroup_name,
                        f"kubernetes.io/cluster/{nodegroup.cluster_name}": "owned",
                    }.items()
                ]
                # EKS hands these to the kubelet; the kubelet that is played reads tags.
                + [
                    {
                        "Key": f"k8s.io/cluster-autoscaler/node-template/taint/{taint['key']}",
                        "Value": f"{taint.get('value', '')}:{EFFECTS[taint['effect']]}",
                        "PropagateAtLaunch": True,
                    }
                    for taint in params.get("taints") or []
                ]
                + [
                    {
                        "Key": f"k8s.io/cluster-autoscaler/node-template/label/{key}",
                        "Value": value,
                        "PropagateAtLaunch": True,
                    }
                    for key, value in (params.get("labels") or {}).items()
                ],
            }
            | {"MinSize": 0, "MaxSize": 1}
            | _sizes(params.get("scalingConfig") or {})
        )


def _sizes(scaling: dict[str, int]) -> dict[str, int]:
    names = {"minSize": "MinSize", "maxSize": "MaxSize", "desiredSize": "DesiredCapacity"}
    return {names[key]: value for key, value in scaling.items() if key in names}
