"""Logging in to EKS in tests, as `aws eks get-token` does it, with credentials of the world's own AWS."""

from __future__ import annotations

import base64
import json
from typing import Any

import boto3
from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

REGION = "us-west-2"
CLUSTER = "tidegate"


def client(url: str, service: str) -> Any:
    return boto3.client(
        service, endpoint_url=url, region_name=REGION, aws_access_key_id="operator", aws_secret_access_key="operator"
    )


def make_role(url: str, name: str, path: str = "/") -> str:
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
    role = client(url, "iam").create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=json.dumps(trust))
    return role["Role"]["Arn"]


def make_entry(url: str, role_arn: str, groups: list[str], **more: str) -> None:
    client(url, "eks").create_access_entry(clusterName=CLUSTER, principalArn=role_arn, kubernetesGroups=groups, **more)


def token(url: str, role_arn: str, session: str = "i-0123", cluster: str = CLUSTER, region: str = REGION) -> str:
    """A token for a session of the role, signed for the STS of `region`; that of `aws-global` is the global one."""
    given = client(url, "sts").assume_role(RoleArn=role_arn, RoleSessionName=session)["Credentials"]
    credentials = Credentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
    return token_of(credentials, cluster, region)


def token_of(credentials: Credentials, cluster: str = CLUSTER, region: str = REGION) -> str:
    host, scope = ("sts.amazonaws.com", "us-east-1") if region == "aws-global" else (f"sts.{region}.amazonaws.com", region)
    request = AWSRequest(
        "GET",
        f"https://{host}/?Action=GetCallerIdentity&Version=2011-06-15",
        headers={"x-k8s-aws-id": cluster},
    )
    SigV4QueryAuth(credentials, "sts", scope, expires=60).add_auth(request)
    return "k8s-aws-v1." + base64.urlsafe_b64encode(request.url.encode()).rstrip(b"=").decode()
