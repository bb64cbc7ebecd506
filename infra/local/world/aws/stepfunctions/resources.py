"""What a Task's Resource names: a function, an optimized integration, or an aws-sdk operation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

import botocore.session
from botocore.exceptions import UnknownServiceError
from botocore.model import OperationModel, ServiceModel

from . import jsonata

# Step Functions names services as the AWS SDK for Java 2.x does; botocore names these otherwise.
BOTOCORE_NAME = {
    "eventbridge": "events",
    "sfn": "stepfunctions",
    "cloudwatchlogs": "logs",
    "elasticloadbalancingv2": "elbv2",
}
OPTIMIZED = {
    "lambda:invoke": ("lambda", "Invoke"),
    "events:putEvents": ("events", "PutEvents"),
    "sqs:sendMessage": ("sqs", "SendMessage"),
    "sns:publish": ("sns", "Publish"),
    "states:startExecution": ("stepfunctions", "StartExecution"),
}
WAITING_STARTS = {"states:startExecution.sync": "sync", "states:startExecution.sync:2": "sync:2"}


class UnknownResource(Exception):
    """Nothing that this endpoint can call."""


@dataclass(frozen=True)
class Resource:
    arn: str
    kind: str
    """`function` (a Lambda ARN), `lambda` (lambda:invoke), `optimized`, `sdk` or `execution`."""
    service: str
    """botocore's name."""
    operation: str
    """The API operation, `CompleteLifecycleAction`."""
    resource: str
    """As the history shows it: `completeLifecycleAction`."""
    resource_type: str
    """As the history shows it: `aws-sdk:autoscaling`, `lambda`."""


@cache
def service_model(name: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(name)


def operation_model(resource: Resource) -> OperationModel:
    return service_model(resource.service).operation_model(resource.operation)


def parse(arn: str) -> Resource:
    """Raises UnknownResource."""
    if re.match(r"arn:aws:lambda:[a-z0-9-]+:\d{12}:function:", arn):
        return Resource(arn, "function", "lambda", "Invoke", arn, "lambda")
    prefix = "arn:aws:states:::"
    if not arn.startswith(prefix):
        raise UnknownResource(f"The resource {arn!r} is not a valid resource ARN")
    name = arn.removeprefix(prefix)
    if name.startswith("aws-sdk:"):
        return _sdk(arn, name)
    if name in OPTIMIZED:
        service, operation = OPTIMIZED[name]
        kind = "lambda" if service == "lambda" else "optimized"
        return Resource(arn, kind, service, operation, name.split(":", 1)[1], name.split(":")[0])
    if name in WAITING_STARTS:
        return Resource(
            arn, "execution", "stepfunctions", "StartExecution", name.split(":", 1)[1], "states"
        )
    raise UnknownResource(f"the integration {name} is not played by this endpoint")


def _sdk(arn: str, name: str) -> Resource:
    parts = name.split(":")
    if len(parts) != 3:
        raise UnknownResource(f"The resource {arn!r} is not a valid resource ARN")
    service, action = BOTOCORE_NAME.get(parts[1], parts[1]), parts[2]
    operation = action[0].upper() + action[1:]
    try:
        known = operation in service_model(service).operation_names
    except UnknownServiceError:
        known = False
    if not known or not action[0].islower():
        raise UnknownResource(f"The resource provided {arn} is not recognized")
    return Resource(arn, "sdk", service, operation, action, f"aws-sdk:{parts[1]}")


def unknown_arguments(resource: Resource, arguments: Any) -> list[str]:
    """Top-level fields of literal Arguments that the operation does not have in PascalCase."""
    if resource.kind == "function" or not isinstance(arguments, dict):
        return []
    if jsonata.is_expression(arguments):
        return []
    shape = operation_model(resource).input_shape
    members = {pascal(name) for name in shape.members} if shape else set()
    return [field for field in arguments if field not in members]


def pascal(member: str) -> str:
    return member[:1].upper() + member[1:]


def java_service_name(service: str) -> str:
    """`Auto Scaling` -> AutoScaling, `EC2` -> Ec2, `DynamoDB` -> DynamoDb, `SFN` -> Sfn."""
    identifier = service_model(service).metadata["serviceId"]
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z0-9]*|[a-z0-9]+", identifier)
    return "".join(word[:1].upper() + word[1:].lower() for word in words)


def java_exception_name(shape: str) -> str:
    """The class that the SDK for Java 2.x makes of an error shape."""
    if shape.endswith("Fault"):
        return shape.removesuffix("Fault") + "Exception"
    return shape if shape.endswith("Exception") else shape + "Exception"
