"""The Invoke API. Everything else of Lambda's API is moto's."""

from __future__ import annotations

import base64
import json
from typing import Any

from werkzeug.wrappers import Response

from ..errors import NotPlayed
from ..wire import Call
from .invocation import Answer, Refused
from .service import LambdaService


class Operations:
    def __init__(self, service: LambdaService):
        self._service = service

    def handle(self, call: Call) -> Response | None:
        if call.operation == "Invoke":
            return self._invoke(call)
        if call.operation == "CreateFunction":
            self._service.check_role(call.params["Role"])
        if call.operation in ("CreateFunction", "UpdateFunctionConfiguration"):
            name = str(call.params["FunctionName"]).rsplit(":", 1)[-1]
            if call.params.get("LoggingConfig"):
                self._service.logging_configs[name] = call.params["LoggingConfig"]
        if call.operation in ("InvokeAsync", "InvokeWithResponseStream"):
            raise NotPlayed("lambda", call.operation)
        return None

    def _invoke(self, call: Call) -> Response:
        params = call.params
        payload = params.get("Payload") or b"{}"
        payload = payload.encode() if isinstance(payload, str) else payload
        try:
            function = self._service.function(params["FunctionName"], params.get("Qualifier"))
            try:
                json.loads(payload)
            except ValueError as error:
                raise Refused(
                    "InvalidRequestContentException",
                    f"Could not parse request body into json: {error}",
                    400,
                ) from error
            match params.get("InvocationType", "RequestResponse"):
                case "DryRun":
                    return Response(b"", 204)
                case "Event":
                    self._service.invoke_later(params["FunctionName"], payload)
                    return Response(b"", 202, {"x-amzn-RequestId": call.request_id})
            return _response(self._service.invoke(function, payload), params)
        except Refused as refused:
            return _refusal(refused)


def _response(answer: Answer, params: dict[str, Any]) -> Response:
    headers = {
        "Content-Type": "application/json",
        "x-amzn-RequestId": answer.request_id,
        "X-Amz-Executed-Version": "$LATEST",
    }
    if answer.error is not None:
        headers["X-Amz-Function-Error"] = answer.error
    if params.get("LogType") == "Tail":
        headers["X-Amz-Log-Result"] = base64.b64encode(answer.log_tail).decode()
    return Response(answer.payload, 200, headers)


def _refusal(refused: Refused) -> Response:
    body = {"Type": "User", "message": refused.message, "Message": refused.message}
    if refused.reason:
        body["Reason"] = refused.reason
    headers = {
        "Content-Type": "application/json",
        "x-amzn-ErrorType": refused.code,
        "x-amzn-RequestId": refused.request_id,
    }
    return Response(json.dumps(body), refused.status, headers)
