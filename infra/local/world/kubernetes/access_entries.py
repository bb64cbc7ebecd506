"""From a token's IAM identity to a Kubernetes user: STS says who signed, EKS's access entries say who that is here."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from .token import CLUSTER_HEADER, PresignedCall, TokenRefused

# The API server gives its webhook 30 s and retries; an answer later than this helps nobody.
TIMEOUT_SECONDS = 5
ASSUMED_ROLE = re.compile(r"^arn:(?P<partition>[^:]+):sts::(?P<account>\d{12}):assumed-role/(?P<role>[^/]+)/(?P<session>.+)$")
IAM_PRINCIPAL = re.compile(r"^arn:[^:]+:iam::\d{12}:(?P<kind>role|user)/(?:.*/)?(?P<name>[^/]+)$")

# https://docs.aws.amazon.com/eks/latest/userguide/access-policy-permissions.html
CLUSTER_ADMIN = ":cluster-access-policy/AmazonEKSClusterAdminPolicy"


@dataclass(frozen=True)
class Identity:
    """Who STS says has signed. `role` and `session` are empty for an IAM user."""

    arn: str
    account: str
    user_id: str
    role: str
    session: str

    @property
    def canonical_arn(self) -> str:
        """The role's ARN for a session of it. Without the role's path: STS does not tell it."""
        found = ASSUMED_ROLE.match(self.arn)
        return f"arn:{found['partition']}:iam::{self.account}:role/{self.role}" if found else self.arn


@dataclass(frozen=True)
class User:
    username: str
    groups: tuple[str, ...]
    uid: str
    extra: dict[str, list[str]]


class AccessEntries:
    """The access entries of one cluster, read anew for each token: the API server does the caching."""

    def __init__(self, aws_endpoint: str, cluster: str, region: str):
        self._aws_endpoint = aws_endpoint.rstrip("/")
        self._cluster = cluster
        # Keys that nobody issued are the operator's in this world; nothing of EKS's own lookup needs a role.
        self._eks: Any = boto3.client(
            "eks",
            endpoint_url=self._aws_endpoint,
            region_name=region,
            aws_access_key_id="eks-authenticator",
            aws_secret_access_key="eks-authenticator",
            config=Config(connect_timeout=TIMEOUT_SECONDS, read_timeout=TIMEOUT_SECONDS, retries={"max_attempts": 1}, proxies={}),
        )
        # A proxy of the environment must not be asked for loopback addresses.
        self._open = build_opener(ProxyHandler({})).open

    def user(self, call: PresignedCall) -> User:
        """The Kubernetes user that the signer of the call is. Raises TokenRefused, also when AWS cannot be asked."""
        identity = self._confirmed(call)
        entry = self._entry(identity)
        return User(
            username=_username(entry, identity),
            groups=(*(entry.get("kubernetesGroups") or ()), *self._granted(entry)),
            uid=f"aws-iam-authenticator:{identity.account}:{identity.user_id.split(':')[0]}",
            extra={
                "arn": [identity.arn],
                "canonicalArn": [identity.canonical_arn],
                "accessKeyId": [call.access_key_id],
                "principalId": [identity.user_id.split(":")[0]],
                "sessionName": [identity.session],
            },
        )

    def _granted(self, entry: dict[str, Any]) -> tuple[str, ...]:
        """What access policies grant, as a group. EKS asks an authorizer of its own, past RBAC, and so does this group."""
        try:
            found = self._eks.list_associated_access_policies(clusterName=self._cluster, principalArn=entry["principalArn"])
        except (ClientError, BotoCoreError) as error:
            raise TokenRefused(f"the access policies of {entry['principalArn']} cannot be read: {error}") from None
        for policy in found["associatedAccessPolicies"]:
            if policy["policyArn"].endswith(CLUSTER_ADMIN) and policy["accessScope"]["type"] == "cluster":
                return ("system:masters",)
        return ()

    def _confirmed(self, call: PresignedCall) -> Identity:
        # The cluster's own name, not one that came with the token: signed for another cluster, the signature is wrong.
        headers = {"Host": call.host, CLUSTER_HEADER: self._cluster, "Accept": "application/json"}
        try:
            with self._open(Request(f"{self._aws_endpoint}/?{call.query}", headers=headers), timeout=TIMEOUT_SECONDS) as answer:
                return _identity(answer.read())
        except HTTPError as error:
            text = error.read(2000).decode(errors="replace")
            raise TokenRefused(f"STS answered {error.code}: {' '.join(text.split())}") from None
        except (URLError, TimeoutError, ConnectionError) as error:
            raise TokenRefused(f"STS cannot be asked: {error}") from None

    def _entry(self, identity: Identity) -> dict[str, Any]:
        try:
            for page in self._eks.get_paginator("list_access_entries").paginate(clusterName=self._cluster):
                for principal in page["accessEntries"]:
                    if _is(principal, identity):
                        found = self._eks.describe_access_entry(clusterName=self._cluster, principalArn=principal)
                        return found["accessEntry"]
        except (ClientError, BotoCoreError) as error:
            raise TokenRefused(f"the access entries of {self._cluster} cannot be read: {error}") from None
        raise TokenRefused(f"{identity.canonical_arn} has no access entry in {self._cluster}")


def _identity(body: bytes) -> Identity:
    """Reads STS's answer in either of its forms; moto gives XML whatever is asked for."""
    try:
        if body.lstrip().startswith(b"{"):
            fields = json.loads(body)["GetCallerIdentityResponse"]["GetCallerIdentityResult"]
        else:
            result = ElementTree.fromstring(body).find("{*}GetCallerIdentityResult")
            fields = {child.tag.rpartition("}")[2]: child.text or "" for child in (result if result is not None else ())}
        arn, account, user_id = fields["Arn"], fields["Account"], fields["UserId"]
    except (ValueError, KeyError, TypeError, ElementTree.ParseError):
        raise TokenRefused("STS's answer is no GetCallerIdentity response") from None
    session = ASSUMED_ROLE.match(arn)
    return Identity(arn, account, user_id, session["role"] if session else "", session["session"] if session else "")


def _is(principal: str, identity: Identity) -> bool:
    if not identity.role:
        return principal == identity.arn
    found = IAM_PRINCIPAL.match(principal)
    # An entry names a role with its path; the names of an account's roles are unique without it.
    return bool(found) and found["kind"] == "role" and found["name"] == identity.role and f"::{identity.account}:" in principal


def _username(entry: dict[str, Any], identity: Identity) -> str:
    """The entry's user name, with the placeholders filled in that EKS allows there.

    An entry made without one has on EKS a default, by the kind of principal; the same here should the entry lack it.
    https://docs.aws.amazon.com/eks/latest/userguide/creating-access-entries.html
    """
    template = entry.get("username")
    if not template:
        template = identity.arn.removesuffix(identity.session) + "{{SessionName}}" if identity.role else identity.arn
    return (
        template.replace("{{AccountID}}", identity.account)
        .replace("{{SessionNameRaw}}", identity.session)
        .replace("{{SessionName}}", identity.session.replace("@", "-"))
    )
