"""Who calls, what they may, and the login of a cluster: STS, roles, EKS."""

from __future__ import annotations

import base64
import datetime as dt
import json

import pytest
import requests
from aws_support import Aws, aws  # noqa: F401
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

STS = "sts.us-west-2.amazonaws.com"


def session(aws: Aws, *statements: dict):
    role = aws.role("lambda.amazonaws.com", *statements)
    return aws.endpoint.identities.assume(role, "label-node", "lambda")


def presigned(credentials, cluster: str = "tidegate", expires: int = 60) -> str:
    """The URL inside an EKS token: GetCallerIdentity, presigned, with the cluster's name in it."""
    request = AWSRequest(
        "GET",
        f"https://{STS}/?Action=GetCallerIdentity&Version=2011-06-15",
        headers={"x-k8s-aws-id": cluster},
    )
    signer = SigV4QueryAuth(
        Credentials(
            credentials.access_key_id, credentials.secret_access_key, credentials.session_token
        ),
        "sts",
        "us-west-2",
        expires=expires,
    )
    signer.add_auth(request)
    return request.url


def ask(aws: Aws, url: str, cluster: str = "tidegate", **headers: str) -> requests.Response:
    return requests.get(
        url.replace(f"https://{STS}", aws.url),
        headers={"Host": STS, "x-k8s-aws-id": cluster} | headers,
        timeout=10,
    )


def test_a_presigned_get_says_who_signed_it(aws):
    credentials = session(aws)
    answer = ask(aws, presigned(credentials), Accept="application/json")
    assert answer.status_code == 200
    result = answer.json()["GetCallerIdentityResponse"]["GetCallerIdentityResult"]
    name = credentials.role_arn.split("/")[-1]
    assert result["Arn"] == f"arn:aws:sts::123456789012:assumed-role/{name}/label-node"
    assert result["Account"] == "123456789012"
    assert result["UserId"].endswith(":label-node")


def test_without_asking_for_json_the_answer_is_xml(aws):
    answer = ask(aws, presigned(session(aws)))
    assert answer.status_code == 200
    assert "<GetCallerIdentityResult>" in answer.text and "assumed-role/" in answer.text


def test_a_token_for_another_cluster_does_not_verify(aws):
    answer = ask(aws, presigned(session(aws), cluster="theirs"), cluster="tidegate")
    assert answer.status_code == 403
    assert "SignatureDoesNotMatch" in answer.text


def test_a_changed_url_does_not_verify(aws):
    url = presigned(session(aws)).replace("X-Amz-Expires=60", "X-Amz-Expires=900")
    assert ask(aws, url).status_code == 403


def test_an_old_token_has_expired(aws):
    from world.aws.errors import ApiError
    from world.aws.identity import verify_presigned

    credentials = session(aws)
    url = presigned(credentials)
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "QUERY_STRING": url.split("?", 1)[1],
        "HTTP_HOST": STS,
        "HTTP_X_K8S_AWS_ID": "tidegate",
    }
    now = dt.datetime.now(dt.UTC)
    verify_presigned(environ, credentials.secret_access_key, now)
    with pytest.raises(ApiError, match="Signature expired"):
        verify_presigned(environ, credentials.secret_access_key, now + dt.timedelta(seconds=61))


def test_a_key_that_nobody_issued_has_no_identity_in_a_token(aws):
    credentials = session(aws)
    forged = type(credentials)("ASIAFORGED0000000000", "secret", "token", credentials.role_arn)
    answer = ask(aws, presigned(forged), Accept="application/json")
    assert answer.status_code == 403
    assert answer.json()["Error"]["Code"] == "InvalidClientTokenId"


def test_a_session_key_with_a_foreign_token_is_refused(aws):
    credentials = session(aws)
    stolen = type(credentials)(
        credentials.access_key_id, credentials.secret_access_key, "another", credentials.role_arn
    )
    with pytest.raises(ClientError, match="security token included in the request is invalid"):
        aws.client("ec2", stolen).describe_vpcs()


def test_a_role_may_do_what_its_policies_allow_and_nothing_else(aws):
    describe = {"Effect": "Allow", "Action": "ec2:DescribeInstances", "Resource": "*"}
    ec2 = aws.client("ec2", session(aws, describe))
    ec2.describe_instances()
    with pytest.raises(ClientError) as raised:
        ec2.describe_instance_types(InstanceTypes=["m5d.large"])
    error = raised.value.response["Error"]
    assert error["Code"] == "UnauthorizedOperation"
    assert "is not authorized to perform: ec2:DescribeInstanceTypes" in error["Message"]


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "code"),
    [
        (
            "autoscaling",
            "complete_lifecycle_action",
            {
                "AutoScalingGroupName": "g",
                "LifecycleHookName": "h",
                "LifecycleActionResult": "CONTINUE",
            },
            "AccessDenied",
        ),
        ("eks", "describe_cluster", {"name": "tidegate"}, "AccessDeniedException"),
        (
            "events",
            "put_events",
            {"Entries": [{"Source": "a", "DetailType": "b", "Detail": "{}"}]},
            "AccessDeniedException",
        ),
        ("sqs", "list_queues", {}, "AccessDeniedException"),
    ],
)
def test_each_protocol_says_access_denied_in_its_own_way(aws, service, operation, parameters, code):
    client = aws.client(service, session(aws))
    with pytest.raises(ClientError, match="is not authorized to perform") as raised:
        getattr(client, operation)(**parameters)
    assert raised.value.response["Error"]["Code"] == code


def test_rights_on_one_group_are_no_rights_on_another(aws):
    ours, theirs = aws.group(), aws.group()
    right = {
        "Effect": "Allow",
        "Action": "autoscaling:SetDesiredCapacity",
        "Resource": f"arn:aws:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/{ours}",
    }
    client = aws.client("autoscaling", session(aws, right))
    client.set_desired_capacity(AutoScalingGroupName=ours, DesiredCapacity=0)
    with pytest.raises(ClientError, match="is not authorized"):
        client.set_desired_capacity(AutoScalingGroupName=theirs, DesiredCapacity=0)


def test_a_tag_on_the_group_can_be_a_condition(aws):
    tags = [{"Key": "tidegate", "Value": "yes", "PropagateAtLaunch": False}]
    tagged, plain = aws.group(Tags=tags), aws.group()
    right = {
        "Effect": "Allow",
        "Action": "autoscaling:SetDesiredCapacity",
        "Resource": "*",
        "Condition": {"StringEquals": {"autoscaling:ResourceTag/tidegate": "yes"}},
    }
    client = aws.client("autoscaling", session(aws, right))
    client.set_desired_capacity(AutoScalingGroupName=tagged, DesiredCapacity=0)
    with pytest.raises(ClientError, match="is not authorized"):
        client.set_desired_capacity(AutoScalingGroupName=plain, DesiredCapacity=0)


def test_the_operator_may_do_everything_and_is_somebody(aws):
    identity = aws.client("sts").get_caller_identity()
    assert identity["Arn"] == "arn:aws:iam::123456789012:user/operator"


def test_every_call_is_written_down(aws):
    aws.client("ec2").describe_vpcs()
    (call,) = [c for c in aws.calls()[-1:] if c["action"] == "DescribeVpcs"]
    assert call["service"] == "ec2"
    assert call["principal"].endswith(":user/operator")
    assert (call["status"], call["source"]) == (200, "user")
    with pytest.raises(ClientError):
        aws.client("eks").describe_cluster(name="nobody")
    assert aws.calls()[-1]["status"] == 404


def test_the_cluster_has_the_endpoint_and_authority_that_were_set(aws):
    authority = base64.b64encode(b"-----BEGIN CERTIFICATE-----").decode()
    given = {"endpoint": "https://127.0.0.1:6443", "certificateAuthority": authority}
    aws.admin("POST", "eks", given)
    cluster = aws.client("eks").describe_cluster(name="tidegate")["cluster"]
    assert cluster["endpoint"] == given["endpoint"]
    assert cluster["certificateAuthority"] == {"data": authority}
    assert cluster["status"] == "ACTIVE"


def test_access_entries_come_and_go(aws):
    eks, role = aws.client("eks"), aws.role("lambda.amazonaws.com")
    name = role.split("/")[-1]
    entry = eks.create_access_entry(
        clusterName="tidegate", principalArn=role, kubernetesGroups=["tidegate:label-node"]
    )["accessEntry"]
    assert entry["username"] == (
        f"arn:aws:sts::123456789012:assumed-role/{name}/{{{{SessionName}}}}"
    )
    assert role in eks.list_access_entries(clusterName="tidegate")["accessEntries"]
    with pytest.raises(ClientError) as raised:
        eks.create_access_entry(clusterName="tidegate", principalArn=role)
    assert raised.value.response["Error"]["Code"] == "ResourceInUseException"
    eks.update_access_entry(clusterName="tidegate", principalArn=role, kubernetesGroups=["g"])
    shown = eks.describe_access_entry(clusterName="tidegate", principalArn=role)["accessEntry"]
    assert shown["kubernetesGroups"] == ["g"]
    eks.delete_access_entry(clusterName="tidegate", principalArn=role)
    with pytest.raises(ClientError) as raised:
        eks.describe_access_entry(clusterName="tidegate", principalArn=role)
    assert raised.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_an_access_entry_cannot_grant_a_system_group(aws):
    role = aws.role("lambda.amazonaws.com")
    with pytest.raises(ClientError, match="cannot start with system:"):
        aws.client("eks").create_access_entry(
            clusterName="tidegate", principalArn=role, kubernetesGroups=["system:masters"]
        )


def test_a_managed_node_group_has_a_real_group_behind_it(aws):
    eks = aws.client("eks")
    eks.create_nodegroup(
        clusterName="tidegate",
        nodegroupName="nvme",
        nodeRole="arn:aws:iam::123456789012:role/node",
        subnets=list(aws.endpoint.ec2.subnets.values()),
        instanceTypes=["m5d.4xlarge"],
        scalingConfig={"minSize": 0, "maxSize": 3, "desiredSize": 0},
        labels={"team": "data"},
        taints=[{"key": "dedicated", "value": "cache", "effect": "NO_SCHEDULE"}],
    )
    described = eks.describe_nodegroup(clusterName="tidegate", nodegroupName="nvme")["nodegroup"]
    group = described["resources"]["autoScalingGroups"][0]["name"]
    (shown,) = aws.client("autoscaling").describe_auto_scaling_groups(
        AutoScalingGroupNames=[group]
    )["AutoScalingGroups"]
    assert (shown["MinSize"], shown["MaxSize"], shown["DesiredCapacity"]) == (0, 3, 0)
    assert json.dumps(shown["Tags"], default=str).count("eks:nodegroup-name") == 1
    told = {tag["Key"]: tag["Value"] for tag in shown["Tags"] if tag["PropagateAtLaunch"]}
    # What the kubelet that is played reads.
    assert told["k8s.io/cluster-autoscaler/node-template/label/team"] == "data"
    assert told["k8s.io/cluster-autoscaler/node-template/taint/dedicated"] == "cache:NoSchedule"
