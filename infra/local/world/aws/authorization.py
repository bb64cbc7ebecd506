"""Least privilege, enforced: what a role's session may do is what the role's policies allow.

Users (the operator, IAM users) may do everything here; sessions of roles may do what is deployed.
Resource ARNs are worked out for the services that the product calls; for others the resource of a
statement is not looked at, its action is.
"""

from __future__ import annotations

import json
from typing import Any, Protocol

from moto.awslambda.models import lambda_backends
from moto.sqs.models import sqs_backends

from . import policies
from .config import Config
from .errors import ApiError
from .identity import Identities, Principal
from .wire import Call

# Anybody may ask who they are; AWS needs no permission for it either.
FREE = {("sts", "GetCallerIdentity")}


class GroupFinder(Protocol):
    """What authorization needs to know of Auto Scaling: ARNs and tags of groups."""

    def group_arn(self, name: str | None, instance_id: str | None) -> str | None: ...

    def group_tags(self, arn: str) -> dict[str, str]: ...


class Authorizer:
    def __init__(self, config: Config, identities: Identities, groups: GroupFinder):
        self._config = config
        self._identities = identities
        self._groups = groups

    def check(self, principal: Principal, call: Call) -> None:
        """Raises the service's own access-denied error."""
        if principal.role_arn is None or (call.service, call.operation) in FREE:
            return
        action = f"{call.service}:{iam_action(call)}"
        resources = self._resources(call)
        facts = self._facts(principal, call, resources)
        if not self.role_allows(principal.role_arn, action, resources, facts):
            raise denied(call, principal.arn, action, resources)

    def role_allows(
        self,
        role_arn: str,
        action: str,
        resources: tuple[str, ...] | None,
        facts: policies.Facts | None = None,
    ) -> bool:
        documents = self._documents(role_arn)
        return policies.allowed(documents, policies.Request(action, resources, facts or {}))

    def queue_allows(self, queue_arn: str, service: str, source_arn: str) -> bool:
        """Whether a queue's own policy lets a service send: without one, EventBridge cannot."""
        name = queue_arn.rsplit(":", 1)[-1]
        queue = sqs_backends[self._config.account][self._config.region].queues.get(name)
        if queue is None or not queue.policy:
            return False
        facts = {
            "aws:sourcearn": [source_arn],
            "aws:sourceaccount": [self._config.account],
            "aws:securetransport": ["true"],
        }
        request = policies.Request("sqs:SendMessage", (queue_arn,), facts, service)
        return policies.allowed([json.loads(queue.policy)], request)

    def function_allows(self, function_arn: str, principal_arn: str) -> bool:
        """Whether a function's own policy lets a principal call it."""
        backend = lambda_backends[self._config.account][self._config.region]
        try:
            statements = backend.get_function(function_arn).policy.statements
        except Exception:
            return False
        # The emulator keeps the ARN of a role as it was given; in a policy it is an AWS principal.
        statements = [
            statement | {"Principal": {"AWS": statement["Principal"]}}
            if isinstance(statement["Principal"], str)
            else statement
            for statement in statements
        ]
        facts = {"aws:sourceaccount": [self._config.account]}
        request = policies.Request("lambda:InvokeFunction", (function_arn,), facts, principal_arn)
        return policies.allowed([{"Statement": statements}], request)

    def _documents(self, role_arn: str) -> list[dict[str, Any]]:
        role = self._identities.role(role_arn)
        if role is None:
            return []
        texts = list(role.policies.values())
        texts += [
            version.document
            for policy in role.managed_policies.values()
            for version in policy.versions
            if version.version_id == policy.default_version_id
        ]
        return [json.loads(text) if isinstance(text, str) else text for text in texts]

    def _facts(
        self, principal: Principal, call: Call, resources: tuple[str, ...] | None
    ) -> dict[str, list[str]]:
        facts = {
            "aws:principalarn": [principal.role_arn or principal.arn],
            "aws:principalaccount": [principal.account],
            "aws:requestedregion": [self._config.region],
            # The endpoint speaks plain HTTP; on AWS every SDK speaks TLS.
            "aws:securetransport": ["true"],
        }
        if call.service == "events" and call.operation == "PutEvents":
            entries = call.params.get("Entries", [])
            facts["events:source"] = [entry.get("Source", "") for entry in entries]
            facts["events:detail-type"] = [entry.get("DetailType", "") for entry in entries]
        if call.service == "cloudformation" and call.params.get("RoleARN"):
            facts["cloudformation:rolearn"] = [call.params["RoleARN"]]
        for arn in resources or ():
            for key, value in self._groups.group_tags(arn).items():
                facts[f"autoscaling:resourcetag/{key}".lower()] = [value]
                facts[f"aws:resourcetag/{key}".lower()] = [value]
        return facts

    def _resources(self, call: Call) -> tuple[str, ...] | None:
        arn = f"arn:aws:{call.service}:{self._config.region}:{self._config.account}"
        params = call.params
        match call.service:
            case "autoscaling":
                if call.operation.startswith("Describe"):
                    return ("*",)
                found = self._groups.group_arn(
                    params.get("AutoScalingGroupName"), params.get("InstanceId")
                )
                # A group that does not exist has no ARN; its name is still what a policy names.
                name = params.get("AutoScalingGroupName", "")
                return (found or f"{arn}:autoScalingGroup:none:autoScalingGroupName/{name}",)
            case "states":
                named = params.get("executionArn") or params.get("stateMachineArn")
                return (named,) if named else ("*",)
            case "lambda":
                name = params.get("FunctionName")
                return (name if str(name).startswith("arn:") else f"{arn}:function:{name}",)
            case "eks":
                name = params.get("name") or params.get("clusterName")
                group = params.get("nodegroupName")
                if group:
                    # The ARN ends in a unique part; policies name it with a wildcard.
                    return (f"{arn}:nodegroup/{name}/{group}/*",)
                return (f"{arn}:cluster/{name}",) if name else ("*",)
            case "cloudformation":
                name = str(params.get("StackName", "*"))
                # The ARN ends in a unique part; policies name it with a wildcard.
                return (name if name.startswith("arn:") else f"{arn}:stack/{name}/*",)
            case "logs" if params.get("logGroupName"):
                return (f"{arn}:log-group:{params['logGroupName']}",)
            case "events":
                if call.operation in ("DisableRule", "EnableRule"):
                    return (f"{arn}:rule/{params.get('Name')}",)
                if call.operation == "PutEvents":
                    buses = {e.get("EventBusName") or "default" for e in params.get("Entries", [])}
                    return tuple(
                        bus if bus.startswith("arn:") else f"{arn}:event-bus/{bus}" for bus in buses
                    )
                return None
            case "ec2":
                return ("*",) if call.operation.startswith("Describe") else None
        return None


def iam_action(call: Call) -> str:
    """API operation names are IAM action names, but for Lambda's Invoke."""
    return (
        "InvokeFunction"
        if (call.service, call.operation) == ("lambda", "Invoke")
        else call.operation
    )


def denied(call: Call, caller: str, action: str, resources: tuple[str, ...] | None) -> ApiError:
    """The access-denied error as each protocol words it."""
    on = f" on resource: {resources[0]}" if resources and resources[0] != "*" else ""
    sentence = (
        f"User: {caller} is not authorized to perform: {action}{on} because no identity-based "
        f"policy allows the {action} action"
    )
    match call.protocol:
        case "ec2":
            return ApiError(
                "UnauthorizedOperation",
                f"You are not authorized to perform this operation. {sentence}",
                403,
            )
        case "query":
            return ApiError("AccessDenied", sentence, 403)
        case "rest-json":
            return ApiError("AccessDeniedException", sentence, 403)
        case _:
            return ApiError("AccessDeniedException", sentence, 400)
