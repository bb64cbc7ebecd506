"""The cluster's own stack, as CloudFormation tells of it and deletes it: node groups, then the cluster, then its network.

What infra/cluster.yaml makes is not made here but for the cluster, its node groups, a NAT gateway and its address; the
network is the world's and stays. The deletion is real: each call is made with the role that the stack is deleted with.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config as ClientConfig
from moto.awslambda.models import lambda_backends

from .authorization import Authorizer, denied
from .calls import CallLog
from .config import Config
from .errors import ApiError
from .identity import Credentials, Identities, Principal
from .wire import Call

log = logging.getLogger(__name__)

TAG = "tidegate-cluster"
GOING = "DELETE_IN_PROGRESS"
FAILED = "DELETE_FAILED"
# A node group's instances end in a moment here.
GROUPS_GONE_SECONDS = 60


@dataclass
class Stack:
    name: str
    id: str
    created_at: dt.datetime
    status: str = "CREATE_COMPLETE"
    reason: str | None = None
    role_arn: str | None = None
    nat_gateway: str | None = None
    address: str | None = None

    def view(self) -> dict[str, Any]:
        told = {
            "StackName": self.name,
            "StackId": self.id,
            "CreationTime": self.created_at,
            "StackStatus": self.status,
        }
        more = {"StackStatusReason": self.reason, "RoleARN": self.role_arn}
        return told | {key: value for key, value in more.items() if value}


class ClusterStack:
    """CloudFormation for the one stack; every other is moto's."""

    def __init__(self, config: Config, identities: Identities, authorizer: Authorizer, calls: CallLog):
        self._config = config
        self._identities = identities
        self._authorizer = authorizer
        self._calls = calls
        self._lock = threading.Lock()
        self.endpoint = ""
        self.groups_left: Callable[[], list[str]] = list
        self.stack: Stack | None = None

    def make(self, name: str, subnet: str) -> dict[str, Any]:
        """The stack as `make deploy-cluster` leaves it. The cluster and its node groups are there already."""
        ec2 = self._client("ec2", None)
        tags = [{"Key": TAG, "Value": self._config.cluster}]
        address = ec2.allocate_address(
            Domain="vpc", TagSpecifications=[{"ResourceType": "elastic-ip", "Tags": tags}]
        )["AllocationId"]
        gateway = ec2.create_nat_gateway(
            SubnetId=subnet,
            AllocationId=address,
            TagSpecifications=[{"ResourceType": "natgateway", "Tags": tags}],
        )["NatGateway"]["NatGatewayId"]
        arn = f"arn:aws:cloudformation:{self._config.region}:{self._config.account}:stack/{name}/{uuid.uuid4()}"
        self.stack = Stack(
            name, arn, dt.datetime.now(dt.UTC), nat_gateway=gateway, address=address
        )
        return {"stackId": arn}

    def handle(self, call: Call, principal: Principal) -> dict[str, Any] | None:
        stack = self.stack
        named = call.params.get("StackName")
        if stack is None or named not in (stack.name, stack.id):
            return None
        if call.operation == "DescribeStacks":
            return {"Stacks": [stack.view()]}
        if call.operation == "DeleteStack":
            self._delete(stack, call, principal)
            return {}
        return None

    def _delete(self, stack: Stack, call: Call, principal: Principal) -> None:
        """Without a role of its own the stack would be deleted with the caller's rights, which is not played."""
        role = call.params.get("RoleARN") or stack.role_arn
        if role is None:
            raise ApiError("ValidationError", "a stack without a role is not deleted here", 400)
        self._may_hand_on(role, call, principal)
        if not self._identities.trusts(role, "cloudformation.amazonaws.com"):
            raise ApiError(
                "ValidationError", f"Role {role} is invalid or cannot be assumed", 400
            )
        with self._lock:
            if stack.status == GOING:
                return
            stack.status, stack.reason, stack.role_arn = GOING, None, role
        threading.Thread(target=self._run, args=(stack,), name="delete-stack", daemon=True).start()

    def _may_hand_on(self, role: str, call: Call, principal: Principal) -> None:
        if principal.role_arn is None:
            return
        facts = {"iam:passedtoservice": ["cloudformation.amazonaws.com"]}
        if not self._authorizer.role_allows(principal.role_arn, "iam:PassRole", (role,), facts):
            raise denied(call, principal.arn, "iam:PassRole", (role,))
        # It is no call, but a right that was needed.
        self._calls.record("iam", "PassRole", principal, 200)

    def _run(self, stack: Stack) -> None:
        try:
            failure = self._take_away(stack)
        except Exception as error:
            log.exception("the stack %s could not be deleted", stack.name)
            failure = str(error)
        if failure is None:
            self.stack = None
        else:
            stack.reason, stack.status = failure, FAILED

    def _take_away(self, stack: Stack) -> str | None:
        """Why it stays; None where it is gone."""
        assert stack.role_arn is not None
        credentials = self._identities.assume(stack.role_arn, "AWSCloudFormation", "cloudformation")
        eks, ec2 = self._client("eks", credentials), self._client("ec2", credentials)
        name = self._config.cluster
        try:
            eks.describe_cluster(name=name)
        except eks.exceptions.ResourceNotFoundException:
            pass
        else:
            for group in eks.list_nodegroups(clusterName=name)["nodegroups"]:
                eks.delete_nodegroup(clusterName=name, nodegroupName=group)
            deadline = time.monotonic() + GROUPS_GONE_SECONDS
            while self.groups_left():
                if time.monotonic() > deadline:
                    return f"the groups {self.groups_left()} did not end"
                time.sleep(0.1)
            eks.delete_cluster(name=name)
        if stack.nat_gateway:
            ec2.delete_nat_gateway(NatGatewayId=stack.nat_gateway)
            stack.nat_gateway = None
        if stack.address:
            ec2.release_address(AllocationId=stack.address)
            stack.address = None
        held = self._held()
        if held:
            return (
                "The following resource(s) failed to delete: [FirstPrivateSubnet]. The subnet has dependencies and "
                f"cannot be deleted: network interfaces of {', '.join(held)}"
            )
        return None

    def _held(self) -> list[str]:
        """Functions whose network interfaces hold the subnets."""
        functions = lambda_backends[self._config.account][self._config.region].list_functions()
        return [f.function_name for f in functions if (f.vpc_config or {}).get("SubnetIds")]

    def _client(self, service: str, credentials: Credentials | None) -> Any:
        return boto3.session.Session().client(
            service,
            region_name=self._config.region,
            endpoint_url=self.endpoint,
            aws_access_key_id=credentials.access_key_id if credentials else "AKIACLOUDFORMATION00",
            aws_secret_access_key=credentials.secret_access_key if credentials else "local",
            aws_session_token=credentials.session_token if credentials else None,
            config=ClientConfig(retries={"total_max_attempts": 1}),
        )
