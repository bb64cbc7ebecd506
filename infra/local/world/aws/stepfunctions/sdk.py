"""aws-sdk integrations: real calls over HTTP to this endpoint, with the machine's role.

Parameters and results are in PascalCase whatever the service's own spelling; errors carry the names
of the AWS SDK for Java 2.x, which is what Step Functions itself is made with.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
from typing import Any

import boto3
from botocore import xform_name
from botocore.config import Config as ClientConfig
from botocore.exceptions import BotoCoreError, ClientError
from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape

from ..identity import Identities
from .errors import StateError
from .interpreter import stamp
from .resources import (
    Resource,
    java_exception_name,
    java_service_name,
    operation_model,
    pascal,
    service_model,
)

CONNECTIONS = 50


class Sdk:
    def __init__(self, identities: Identities, endpoint: str, region: str):
        self._identities = identities
        self._endpoint = endpoint
        self._region = region
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str], Any] = {}

    def call(self, resource: Resource, arguments: Any, role_arn: str, session: str) -> Any:
        """The operation's output in PascalCase. Raises StateError."""
        model = operation_model(resource)
        if not isinstance(arguments, dict):
            raise StateError("States.Runtime", "the Arguments of an integration must be an object")
        parameters = to_request(arguments, model.input_shape)
        client = self._client(resource.service, role_arn)
        try:
            response = getattr(client, xform_name(resource.operation))(**parameters)
        except ClientError as error:
            raise state_error(resource.service, error) from error
        except BotoCoreError as error:
            name = java_service_name(resource.service)
            raise StateError(f"{name}.SdkClientException", str(error)) from error
        response.pop("ResponseMetadata", None)
        result = from_response(response, model.output_shape)
        if resource.kind == "optimized" and result.get("FailedEntryCount"):
            raise StateError("EventBridge.FailedEntry", json.dumps(result["Entries"]))
        return result

    def _client(self, service: str, role_arn: str) -> Any:
        """One client for each service and role; making one is slow, using it is thread-safe."""
        with self._lock:
            key = (service, role_arn)
            if key not in self._clients:
                credentials = self._identities.assume(role_arn, "StepFunctions", "stepfunctions")
                self._clients[key] = boto3.session.Session().client(
                    service,
                    region_name=self._region,
                    endpoint_url=self._endpoint,
                    aws_access_key_id=credentials.access_key_id,
                    aws_secret_access_key=credentials.secret_access_key,
                    aws_session_token=credentials.session_token,
                    config=ClientConfig(
                        parameter_validation=False,
                        retries={"total_max_attempts": 1},
                        max_pool_connections=CONNECTIONS,
                    ),
                )
            return self._clients[key]


def state_error(service: str, error: ClientError) -> StateError:
    """`AutoScaling.AutoScalingException`, or the modelled exception's own name."""
    prefix = java_service_name(service)
    code = error.response["Error"].get("Code", "")
    shapes = service_model(service).error_shapes
    shape = next((s.name for s in shapes if code in (s.name, s.error_code)), None)
    name = java_exception_name(shape) if shape else f"{prefix}Exception"
    metadata = error.response["ResponseMetadata"]
    cause = (
        f"{error.response['Error'].get('Message', '')} (Service: {prefix}, "
        f"Status Code: {metadata['HTTPStatusCode']}, Request ID: {metadata.get('RequestId', '')})"
    )
    return StateError(f"{prefix}.{name}", cause)


def to_request(value: Any, shape: Shape | None) -> Any:
    """PascalCase to the model's spelling; a structure where text is wanted becomes JSON text."""
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        members = {pascal(name): (name, member) for name, member in shape.members.items()}
        result = {}
        for key, item in value.items():
            name, member = members.get(key, (key, None))
            result[name] = to_request(item, member)
        return result
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [to_request(item, shape.member) for item in value]
    if isinstance(shape, MapShape) and isinstance(value, dict):
        return {key: to_request(item, shape.value) for key, item in value.items()}
    if isinstance(shape, StringShape) and not isinstance(value, str) and value is not None:
        return json.dumps(value, separators=(",", ":"))
    if shape is not None and shape.type_name == "blob" and not isinstance(value, str | bytes):
        return json.dumps(value, separators=(",", ":")).encode()
    return value


def from_response(value: Any, shape: Shape | None) -> Any:
    if isinstance(value, dict) and isinstance(shape, StructureShape):
        members = shape.members
        return {pascal(k): from_response(v, members.get(k)) for k, v in value.items()}
    if isinstance(value, dict):
        inner = shape.value if isinstance(shape, MapShape) else None
        return {k: from_response(v, inner) for k, v in value.items()}
    if isinstance(value, list):
        member = shape.member if isinstance(shape, ListShape) else None
        return [from_response(item, member) for item in value]
    if isinstance(value, dt.datetime):
        return stamp(value.astimezone(dt.UTC))
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if hasattr(value, "read"):
        return value.read().decode(errors="replace")
    return value
