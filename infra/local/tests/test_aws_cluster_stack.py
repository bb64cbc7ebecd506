"""The cluster's own stack: told of by CloudFormation, and deleted for real with a role of its own."""

from __future__ import annotations

import pytest
from aws_support import NODE_GROUP, Aws, aws, until  # noqa: F401
from botocore.exceptions import ClientError
from world import groups

STACK = "tidegate-cluster"
CLOUDFORMATION = "cloudformation.amazonaws.com"
DELETE = {"Effect": "Allow", "Action": "cloudformation:DeleteStack", "Resource": f"arn:aws:cloudformation:*:*:stack/{STACK}/*"}
EVERYTHING = {"Effect": "Allow", "Action": ["eks:*", "ec2:*"], "Resource": "*"}


@pytest.fixture
def stack(aws: Aws) -> str:
    """The stack of this world's cluster, with a node group in which an instance runs. Answers the group's name."""
    endpoint = aws.endpoint
    if endpoint.cluster_stack.stack is not None:
        # Of the case before, in which it stayed.
        groups_of_cluster = aws.client("eks").describe_nodegroup(clusterName=endpoint.config.cluster, nodegroupName=NODE_GROUP)
        return str(groups_of_cluster["nodegroup"]["resources"]["autoScalingGroups"][0]["name"])
    if endpoint.config.cluster not in endpoint.eks.backend.clusters:
        endpoint.eks.make_cluster()
    subnets = list(endpoint.ec2.subnets.values())
    if not aws.client("ec2").describe_launch_templates()["LaunchTemplates"]:
        groups.make_launch_templates(aws.url, endpoint.config.region)
    group = groups.make_node_group(aws.url, endpoint.config.region, endpoint.config.cluster, subnets, groups.bare_node_group(NODE_GROUP))
    aws.desire(group, 1)
    until(lambda: aws.states(group) == ["InService"])
    aws.admin("POST", "cluster-stack", {"name": STACK})
    return group


def status(aws: Aws) -> dict:
    return aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]


def gone(aws: Aws) -> bool:
    try:
        return not status(aws)
    except ClientError as error:
        return "does not exist" in str(error)


def delete_as(aws: Aws, caller: str, role: str) -> None:
    """As the state machine does it, with that role of its own."""
    credentials = aws.endpoint.identities.assume(caller, "execution", "stepfunctions")
    aws.client("cloudformation", credentials).delete_stack(StackName=STACK, RoleARN=role)


def test_a_stack_goes_with_its_groups_instances_and_cluster_once_nothing_holds_its_network(aws: Aws, stack: str) -> None:
    role = aws.role(CLOUDFORMATION, EVERYTHING)
    passing = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": role}
    caller = aws.role("states.amazonaws.com", DELETE, passing)
    subnets = list(aws.endpoint.ec2.subnets.values())
    network = {"SubnetIds": subnets, "SecurityGroupIds": ["sg-1"]}
    function = aws.function("def handle(event, context): return 1", VpcConfig=network)
    assert status(aws)["StackStatus"] == "CREATE_COMPLETE" and "RoleARN" not in status(aws)

    delete_as(aws, caller, role)
    failed = until(lambda: status(aws)["StackStatus"] == "DELETE_FAILED" and status(aws), 30)
    assert function in failed["StackStatusReason"] and failed["RoleARN"] == role
    assert aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[stack])["AutoScalingGroups"] == []
    with pytest.raises(ClientError, match="ResourceNotFound"):
        aws.client("eks").describe_cluster(name=aws.endpoint.config.cluster)

    nowhere = {"SubnetIds": [], "SecurityGroupIds": []}
    aws.client("lambda").update_function_configuration(FunctionName=function, VpcConfig=nowhere)
    delete_as(aws, caller, role)
    assert until(lambda: gone(aws), 30)
    gateways = aws.client("ec2").describe_nat_gateways()["NatGateways"]
    assert all(gateway["State"] == "deleted" for gateway in gateways)
    assert aws.client("ec2").describe_addresses()["Addresses"] == []
    used = {(call["service"], call["action"]) for call in aws.calls() if "execution" in call["principal"]}
    assert used == {("cloudformation", "DeleteStack"), ("iam", "PassRole")}


def test_a_role_is_not_handed_on_without_the_right_to(aws: Aws, stack: str) -> None:
    role = aws.role(CLOUDFORMATION, EVERYTHING)
    with pytest.raises(ClientError, match="iam:PassRole"):
        delete_as(aws, aws.role("states.amazonaws.com", DELETE), role)
    elsewhere = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "arn:aws:iam::123456789012:role/another"}
    with pytest.raises(ClientError, match="iam:PassRole"):
        delete_as(aws, aws.role("states.amazonaws.com", DELETE, elsewhere), role)
    assert status(aws)["StackStatus"] == "CREATE_COMPLETE"


def test_cloudformation_takes_only_a_role_that_trusts_it_and_does_no_more_than_that_allows(aws: Aws, stack: str) -> None:
    passing = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*"}
    caller = aws.role("states.amazonaws.com", DELETE, passing)
    with pytest.raises(ClientError, match="cannot be assumed"):
        delete_as(aws, caller, aws.role("lambda.amazonaws.com", EVERYTHING))
    delete_as(aws, caller, aws.role(CLOUDFORMATION, {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}))
    failed = until(lambda: status(aws)["StackStatus"] == "DELETE_FAILED" and status(aws), 30)
    assert "eks:" in failed["StackStatusReason"]


def test_a_stack_is_deleted_only_by_whom_its_name_is_granted(aws: Aws, stack: str) -> None:
    other = DELETE | {"Resource": "arn:aws:cloudformation:*:*:stack/another/*"}
    with pytest.raises(ClientError, match="cloudformation:DeleteStack"):
        delete_as(aws, aws.role("states.amazonaws.com", other), aws.role(CLOUDFORMATION, EVERYTHING))
