"""HTTP requests to calls, results to HTTP responses, by the service models of botocore.

moto's parsers and serializers do the protocol work; this module picks them and adds what a client
needs to see: request ids, error codes in headers, the status of errors that no model lists.
"""

from __future__ import annotations

import io
import re
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

import moto.core.errors
from moto.core.model import OperationModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response

from .errors import ApiError

# moto warns of each error code that no model lists (Auto Scaling's ValidationError, AccessDenied)
# and serializes it all the same.
moto.core.errors.warn = lambda *_, **__: None

# Signing name (the service part of the credential scope) -> name of the service model.
MODEL_OF_SIGNING_NAME = {
    "states": "stepfunctions",
    "monitoring": "cloudwatch",
}
# Signing name -> prefix of the service's IAM actions, where they differ.
IAM_PREFIX_OF_SIGNING_NAME = {"monitoring": "cloudwatch"}

_SCOPE = re.compile(r"Credential=([^/,\s]+)/\d{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request")


@dataclass(frozen=True)
class Signature:
    """Who signed for which service: read from the header or, presigned, from the query string."""

    access_key: str
    region: str
    service: str
    session_token: str | None
    presigned: bool


@dataclass(frozen=True)
class Call:
    """One parsed API call. `service` is the prefix of its IAM action (`states`, `autoscaling`)."""

    service: str
    operation: str
    params: dict[str, Any]
    request_id: str
    model: OperationModel
    protocol: str
    headers: Any
    path: str


def read_body(environ: dict[str, Any]) -> bytes:
    """Reads the body and leaves it readable for whoever comes next."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    stream = environ["wsgi.input"]
    if environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked":
        body = stream.read()
        environ["CONTENT_LENGTH"] = str(len(body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
    else:
        body = stream.read(length) if length else b""
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def signature_of(environ: dict[str, Any]) -> Signature | None:
    authorization = environ.get("HTTP_AUTHORIZATION", "")
    found = _SCOPE.search(authorization)
    if found:
        return Signature(*found.groups(), environ.get("HTTP_X_AMZ_SECURITY_TOKEN"), False)
    query = parse_qs(environ.get("QUERY_STRING", ""))
    credential = query.get("X-Amz-Credential", [""])[0].split("/")
    if len(credential) == 5:
        token = query.get("X-Amz-Security-Token", [None])[0]
        return Signature(credential[0], credential[2], credential[3], token, True)
    return None


def parse(environ: dict[str, Any], service: str) -> Call | None:
    """The call in a request, or None when its service model has no such operation."""
    name = MODEL_OF_SIGNING_NAME.get(service, service)
    body = read_body(environ)
    # The parser reads from a copy: moto may still have to read the same request.
    request = Request(environ | {"wsgi.input": io.BytesIO(body)}, populate_request=False)
    try:
        model = get_service_model(name)
        protocol = determine_request_protocol(model, request.content_type)
        operation, uri_params = get_service_router(name).match(request)
    except (NotFound, NotImplementedError, KeyError, ValueError):
        return None
    except Exception as error:  # botocore.exceptions.UnknownServiceError and its kin
        if "Unknown" in type(error).__name__:
            return None
        raise
    parser = PROTOCOL_PARSERS[protocol](operation, map_type=dict)
    params = parser.parse(
        {
            "method": request.method,
            "values": request.values,
            "headers": request.headers,
            "body": body,
            "url_path": request.path,
            "url_params": uri_params,
        }
    )
    return Call(
        service=IAM_PREFIX_OF_SIGNING_NAME.get(service, service),
        operation=str(operation.name),
        params=params or {},
        request_id=str(uuid.uuid4()),
        model=operation,
        protocol=protocol,
        headers=request.headers,
        path=request.path,
    )


def violated_constraint(call: Call) -> ApiError | None:
    """What AWS answers when a required member is absent or a text is too short or too long."""
    shape = call.model.input_shape
    required = set(getattr(shape, "required_members", []))
    for member, member_shape in getattr(shape, "members", {}).items():
        value = call.params.get(member)
        if value is None:
            if member in required:
                return _violation(call, "null", member, "Member must not be null")
        elif isinstance(value, str) and member_shape.type_name == "string":
            least, most = (member_shape.metadata.get(key) for key in ("min", "max"))
            if least is not None and len(value) < least:
                what = f"Member must have length greater than or equal to {least}"
                return _violation(call, f"'{value}'", member, what)
            if most is not None and len(value) > most:
                what = f"Member must have length less than or equal to {most}"
                return _violation(call, f"'{value}'", member, what)
    return None


def _violation(call: Call, value: str, member: str, what: str) -> ApiError:
    code = "ValidationError" if call.protocol in ("query", "ec2") else "ValidationException"
    field = member[0].lower() + member[1:]
    return ApiError(
        code,
        f"1 validation error detected: Value {value} at '{field}' failed to satisfy constraint: "
        f"{what}",
        400,
    )


def serialize(call: Call, result: Any) -> Response:
    """A result (dict shaped by the model, None, or an exception) as the protocol's response."""
    serializer_class = get_serializer_class(call.model.service_model.service_name, call.protocol)
    serialized = serializer_class(operation_model=call.model, pretty_print=False).serialize(result)
    headers = dict(serialized["headers"])
    body = serialized["body"]
    status = serialized["status_code"]
    if isinstance(result, ApiError):
        status = result.status or status
        if "x-amzn-errortype" not in map(str.lower, headers):
            headers["x-amzn-ErrorType"] = result.code
    if isinstance(body, bytes):
        text = body
    else:
        text = re.sub(r"(?<=<RequestId>).*?(?=</RequestId>)", call.request_id, body).encode()
    headers["x-amzn-RequestId"] = call.request_id
    return Response(text, status=int(status), headers=headers)
