"""Deploys a template as a stack in the order of references; next time changes it and removes."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config as ClientConfig

from ..config import Config
from . import source
from .errors import TemplateError
from .intrinsics import NO_VALUE, Resolver
from .resources import HANDLERS
from .resources.base import Context, Made

log = logging.getLogger(__name__)

Emit = Callable[[str, str, list[str], dict[str, Any]], None]


@dataclass
class Stack:
    name: str
    id: str
    made: dict[str, Made] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)


class Deployer:
    def __init__(self, config: Config, endpoint: str, emit: Emit):
        self._config = config
        self._endpoint = endpoint
        self._emit = emit
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}
        self.stacks: dict[str, Stack] = {}

    def client(self, service: str) -> Any:
        """The API as CloudFormation uses it; nobody issued its key, so it may do everything."""
        if service not in self._clients:
            self._clients[service] = boto3.session.Session().client(
                service,
                region_name=self._config.region,
                endpoint_url=self._endpoint,
                aws_access_key_id="AKIACLOUDFORMATION00",
                aws_secret_access_key="local",
                config=ClientConfig(retries={"total_max_attempts": 1}, read_timeout=60),
            )
        return self._clients[service]

    def deploy_request(self, request: dict[str, Any]) -> dict[str, Any]:
        """POST /local-api/deploy {"template", "stackName", "parameters"}."""
        stack = self.deploy(
            Path(request["template"]),
            request.get("stackName", self._config.cluster),
            request.get("parameters") or {},
        )
        return {
            "stackId": stack.id,
            "outputs": stack.outputs,
            "resources": {
                name: {"type": made.type, "physicalId": made.reference}
                for name, made in stack.made.items()
            },
        }

    def deploy(self, template: Path, stack_name: str, parameters: dict[str, Any]) -> Stack:
        """Raises TemplateError; what was made before the error stays, and is taken up next time."""
        with self._lock:
            read = source.read(template, parameters, self._config.region)
            known = stack_name in self.stacks
            stack = self.stacks.get(stack_name) or Stack(
                stack_name,
                f"arn:aws:cloudformation:{self._config.region}:{self._config.account}:stack/"
                f"{stack_name}/{uuid.uuid4()}",
            )
            self.stacks[stack_name] = stack
            _Deployment(self, self._config, stack, read).run()
            self._tell(stack, "UPDATE_COMPLETE" if known else "CREATE_COMPLETE")
            return stack

    def _tell(self, stack: Stack, status: str) -> None:
        # https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/eventbridge-event-details.html
        detail = {
            "stack-id": stack.id,
            "status-details": {"status": status, "status-reason": ""},
            "client-request-token": "",
        }
        self._emit("aws.cloudformation", "CloudFormation Stack Status Change", [stack.id], detail)


class _Deployment:
    def __init__(self, deployer: Deployer, config: Config, stack: Stack, read: source.Source):
        self._deployer = deployer
        self._config = config
        self._stack = stack
        self._read = read
        template = read.template
        self._resources: dict[str, Any] = template.get("Resources", {})
        self._under_way: list[str] = []
        self._finished: set[str] = set()
        self._resolver = Resolver(
            values=read.parameters | self._pseudo_parameters(),
            mappings=template.get("Mappings", {}),
            conditions=template.get("Conditions", {}),
            reference=lambda name: self._made(name, f"Ref {name}").reference,
            attribute=self._attribute,
        )

    def _pseudo_parameters(self) -> dict[str, Any]:
        return {
            "AWS::AccountId": self._config.account,
            "AWS::Region": self._config.region,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackName": self._stack.name,
            "AWS::StackId": self._stack.id,
            "AWS::NotificationARNs": [],
        }

    def run(self) -> None:
        unknown = sorted({r["Type"] for r in self._resources.values()} - set(HANDLERS))
        if unknown:
            raise TemplateError("resource types not known to this reader: " + ", ".join(unknown))
        for name in self._resources:
            if self._wanted(name):
                self._made(name, "Resources")
        for name in [n for n in reversed(self._stack.made) if n not in self._finished]:
            made = self._stack.made.pop(name)
            HANDLERS[made.type].delete(made, self._context(name))
        self._stack.outputs = {
            name: self._resolver.resolve(output["Value"])
            for name, output in self._read.template.get("Outputs", {}).items()
            if "Condition" not in output or self._resolver.condition(output["Condition"])
        }

    def _wanted(self, name: str) -> bool:
        condition = self._resources[name].get("Condition")
        return condition is None or self._resolver.condition(condition)

    def _attribute(self, name: str, attribute: str) -> Any:
        made = self._made(name, f"GetAtt {name}.{attribute}")
        if attribute not in made.attributes:
            raise TemplateError(f"{name} ({made.type}) has no attribute {attribute} in this reader")
        return made.attributes[attribute]

    def _made(self, name: str, asked_by: str) -> Made:
        """The resource, made or updated first if that has not been done."""
        if name not in self._resources:
            raise TemplateError(f"{asked_by}: {name} is neither a parameter nor a resource")
        if name in self._finished:
            return self._stack.made[name]
        if name in self._under_way:
            circle = " -> ".join([*self._under_way, name])
            raise TemplateError(f"Circular dependency between resources: {circle}")
        if not self._wanted(name):
            raise TemplateError(f"{asked_by}: {name} is not made, its condition is false")
        self._under_way.append(name)
        try:
            made = self._make(name)
        finally:
            self._under_way.pop()
        self._stack.made[name] = made
        self._finished.add(name)
        return made

    def _make(self, name: str) -> Made:
        resource = self._resources[name]
        before = resource.get("DependsOn", [])
        for other in [before] if isinstance(before, str) else before:
            if self._wanted(other):
                self._made(other, f"DependsOn of {name}")
        properties = self._resolver.resolve(resource.get("Properties", {}))
        properties = {} if properties is NO_VALUE else properties
        handler = HANDLERS[resource["Type"]]
        surplus = sorted(set(properties) - handler.properties)
        if surplus:
            raise TemplateError(
                f"{name} ({resource['Type']}): properties not known to this reader: "
                + ", ".join(surplus)
            )
        known = self._stack.made.get(name)
        if known is not None and known.type != resource["Type"]:
            raise TemplateError(f"{name} changed its type from {known.type}")
        try:
            return handler.apply(properties, known, self._context(name))
        except TemplateError:
            raise
        except Exception as error:
            log.exception("%s could not be made", name)
            raise TemplateError(f"{name} ({resource['Type']}): {error}") from error

    def _context(self, name: str) -> Context:
        return Context(
            logical_id=name,
            stack=self._stack.name,
            config=self._config,
            client=self._deployer.client,
            files=self._read.files,
        )
