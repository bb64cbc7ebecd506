"""STS: who a caller is, also for presigned GETs, which is what an EKS token carries."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from werkzeug.wrappers import Response

from .errors import ApiError
from .identity import Identities, Principal
from .wire import Call, Signature


class Sts:
    def __init__(self, identities: Identities):
        self._identities = identities

    def principal(self, signature: Signature, environ: dict[str, Any]) -> Principal:
        """The verified caller of a presigned request. Raises ApiError as STS would."""
        return self._identities.presigned_principal(signature, environ, dt.datetime.now(dt.UTC))

    def handle(self, call: Call, principal: Principal) -> dict[str, Any] | Response | None:
        if call.operation != "GetCallerIdentity":
            return None
        result = {
            "Account": principal.account,
            "Arn": principal.arn,
            "UserId": principal.user_id,
        }
        # aws-iam-authenticator asks for JSON, which the query protocol also speaks.
        if "application/json" in call.headers.get("Accept", ""):
            body = {
                "GetCallerIdentityResponse": {
                    "GetCallerIdentityResult": result,
                    "ResponseMetadata": {"RequestId": call.request_id},
                }
            }
            return Response(json.dumps(body), 200, {"Content-Type": "application/json"})
        return result

    @staticmethod
    def refusal(call: Call, error: ApiError) -> Response | None:
        """The JSON form of an error, for callers that asked for JSON."""
        if "application/json" not in call.headers.get("Accept", ""):
            return None
        body = {"Error": {"Code": error.code, "Message": error.message, "Type": "Sender"}}
        return Response(json.dumps(body), error.status or 400, {"Content-Type": "application/json"})
