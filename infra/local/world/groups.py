"""The Auto Scaling group that a newcomer plays with, made by the calls that a user of AWS makes."""

from __future__ import annotations

from typing import Any

import boto3

# Two disks of 300 GB, one, and none: what groups are made of here. Each type has a launch template of its name.
INSTANCE_TYPES = ("m5d.4xlarge", "m5d.2xlarge", "m5.large")
LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"
STARTUP_TAINT = "startup-taint.cluster-autoscaler.kubernetes.io/tidegate"


def client(service: str, endpoint: str, region: str) -> Any:
    """A client of the local AWS, as its administrator."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id="local",
        aws_secret_access_key="local",
    )


def make_launch_templates(endpoint: str, region: str) -> None:
    """A launch template for each of INSTANCE_TYPES, under the type's name."""
    ec2 = client("ec2", endpoint, region)
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
    for instance_type in INSTANCE_TYPES:
        data = {"ImageId": image, "InstanceType": instance_type}
        ec2.create_launch_template(LaunchTemplateName=instance_type, LaunchTemplateData=data)


def make_node_group(endpoint: str, region: str, cluster: str, subnets: list[str], name: str) -> str:
    """A managed node group as a user makes one, with neither hooks nor instances. Answers the name of its group."""
    eks = client("eks", endpoint, region)
    eks.create_nodegroup(
        clusterName=cluster,
        nodegroupName=name,
        subnets=subnets,
        nodeRole="arn:aws:iam::123456789012:role/node",
        launchTemplate={"name": INSTANCE_TYPES[0], "version": "$Latest"},
        scalingConfig={"minSize": 0, "maxSize": 10, "desiredSize": 0},
        taints=[{"key": STARTUP_TAINT, "value": "joining", "effect": "NO_SCHEDULE"}],
    )
    made = eks.describe_nodegroup(clusterName=cluster, nodegroupName=name)["nodegroup"]
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
            HeartbeatTimeout=300,
            DefaultResult="ABANDON",
        )
