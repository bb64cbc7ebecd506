"""The groups of a world, made by the calls that a user of AWS makes."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import boto3

from .paths import CHECKOUT

# Two disks of 300 GB, one, and none: what groups are made of here. Each type has a launch template of its name.
INSTANCE_TYPES = ("m5d.4xlarge", "m5d.2xlarge", "m5.large")
# The launch template of the first of them whose disks become one array.
ARRAY_TEMPLATE = f"{INSTANCE_TYPES[0]}-array"
LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"
STARTUP_TAINT = "startup-taint.cluster-autoscaler.kubernetes.io/tidegate"


@dataclass(frozen=True)
class NodeGroup:
    """A managed node group; ``sizes`` are the least, the wanted and the most."""

    name: str
    instance_type: str
    sizes: tuple[int, int, int]
    labels: dict[str, str] = field(default_factory=dict)
    taints: list[str] = field(default_factory=list)
    """Keys; the value is that of the startup taint."""
    in_one_zone: bool = False


def client(service: str, endpoint: str, region: str) -> Any:
    """A client of the local AWS, as its administrator."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


def make_launch_templates(endpoint: str, region: str, further: Iterable[str] = ()) -> None:
    """A launch template for each of INSTANCE_TYPES, and for each further type, under the type's name; and ARRAY_TEMPLATE."""
    ec2 = client("ec2", endpoint, region)
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    for instance_type in dict.fromkeys((*INSTANCE_TYPES, *further)):
        data = {"ImageId": image, "InstanceType": instance_type}
        ec2.create_launch_template(LaunchTemplateName=instance_type, LaunchTemplateData=data)
    render = [sys.executable, str(CHECKOUT / "infra/user-data/render.py"), "--layout", "pv-raid"]
    user_data = base64.b64encode(subprocess.run(render, stdout=subprocess.PIPE, check=True).stdout).decode()
    data = {"ImageId": image, "InstanceType": INSTANCE_TYPES[0], "UserData": user_data}
    ec2.create_launch_template(LaunchTemplateName=ARRAY_TEMPLATE, LaunchTemplateData=data)


def bare_node_group(name: str) -> NodeGroup:
    """Of nodes with two disks, and nothing in it yet."""
    return NodeGroup(name, INSTANCE_TYPES[0], (0, 0, 10), taints=[STARTUP_TAINT])


def make_node_group(endpoint: str, region: str, cluster: str, subnets: list[str], group: NodeGroup) -> str:
    """A managed node group as a user makes one, without hooks. Answers the name of its group."""
    least, wanted, most = group.sizes
    eks = client("eks", endpoint, region)
    eks.create_nodegroup(
        clusterName=cluster,
        nodegroupName=group.name,
        subnets=subnets[:1] if group.in_one_zone else subnets,
        nodeRole="arn:aws:iam::123456789012:role/node",
        launchTemplate={"name": group.instance_type, "version": "$Latest"},
        scalingConfig={"minSize": least, "maxSize": most, "desiredSize": wanted},
        labels=group.labels,
        taints=[{"key": key, "value": "joining", "effect": "NO_SCHEDULE"} for key in group.taints],
    )
    made = eks.describe_nodegroup(clusterName=cluster, nodegroupName=group.name)["nodegroup"]
    return str(made["resources"]["autoScalingGroups"][0]["name"])


def security_group(endpoint: str, region: str, subnet: str) -> str:
    """The default security group of a subnet's network."""
    ec2 = client("ec2", endpoint, region)
    vpc = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"][0]["VpcId"]
    found = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
    return str(found["SecurityGroups"][0]["GroupId"])


def make(endpoint: str, region: str, cluster: str, subnets: list[str], name: str) -> None:
    """A group of NVMe nodes with nothing in it yet, our hooks on it, its instances kept when a drain gives up."""
    autoscaling = client("autoscaling", endpoint, region)
    tags = {
        f"kubernetes.io/cluster/{cluster}": "owned",
        "eks:cluster-name": cluster,
        "eks:nodegroup-name": name,
        f"k8s.io/cluster-autoscaler/node-template/taint/{STARTUP_TAINT}": "joining:NoSchedule",
    }
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchTemplate={"LaunchTemplateName": INSTANCE_TYPES[0], "Version": "$Latest"},
        MinSize=0,
        MaxSize=10,
        DesiredCapacity=0,
        VPCZoneIdentifier=",".join(subnets),
        InstanceLifecyclePolicy={"RetentionTriggers": {"TerminateHookAbandon": "retain"}},
        Tags=[{"Key": key, "Value": value, "PropagateAtLaunch": True} for key, value in tags.items()],
    )
    for hook, transition in (("tidegate-node-join", LAUNCHING), ("tidegate-node-drain", TERMINATING)):
        autoscaling.put_lifecycle_hook(
            AutoScalingGroupName=name,
            LifecycleHookName=hook,
            LifecycleTransition=transition,
            HeartbeatTimeout=1800,
            DefaultResult="ABANDON",
        )
