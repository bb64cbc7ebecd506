"""Every request comes in here: who calls, what, may they, who plays it; then it is written down."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from moto.core.exceptions import ServiceException
from werkzeug.wrappers import Response

from .authorization import Authorizer
from .calls import CallLog
from .cluster_stack import ClusterStack
from .config import Config
from .errors import ApiError
from .identity import Identities, Principal
from .sts import Sts
from .wire import (
    Call,
    Signature,
    parse,
    read_body,
    serialize,
    signature_of,
    violated_constraint,
)

log = logging.getLogger(__name__)

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
ADMIN = "/local-api/"
# IAM is signed for us-east-1 wherever its caller is.
GLOBAL = {"iam"}


class Service(Protocol):
    def handle(self, call: Call) -> dict[str, Any] | Response | None:
        """A result, or None for what moto plays."""


class FrontDoor:
    def __init__(
        self,
        config: Config,
        identities: Identities,
        authorizer: Authorizer,
        calls: CallLog,
        services: dict[str, Service],
        moto: WsgiApp,
        admin: WsgiApp,
        cluster_stack: ClusterStack,
    ):
        self._config = config
        self._identities = identities
        self._authorizer = authorizer
        self._calls = calls
        self._services = services
        self._sts = Sts(identities)
        self._moto = moto
        self._admin = admin
        self._cluster_stack = cluster_stack

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if environ.get("PATH_INFO", "").startswith(ADMIN):
            return self._admin(environ, start_response)
        read_body(environ)
        signature = signature_of(environ)
        if signature is None:
            return self._moto(environ, start_response)
        return self._signed(environ, start_response, signature)

    def _signed(
        self, environ: dict[str, Any], start_response: Callable[..., Any], signature: Signature
    ) -> Any:
        call = parse(environ, signature.service)
        if call is None:
            return self._moto(environ, start_response)
        principal = self._identities.principal(None)
        try:
            principal = self._principal(environ, signature, call)
            self._authorizer.check(principal, call)
            response = self._play(call, principal, signature)
        except (ApiError, ServiceException) as error:
            response = self._refusal(call, error)
        except Exception as error:
            log.exception("%s:%s failed", call.service, call.operation)
            code = "InternalFailure" if call.protocol in ("query", "ec2") else "InternalServerError"
            response = serialize(call, ApiError(code, repr(error), 500))
        if response is None:
            return self._by_moto(environ, start_response, call, principal)
        self._calls.record(call.service, call.operation, principal, response.status_code)
        return response(environ, start_response)

    def _principal(self, environ: dict[str, Any], signature: Signature, call: Call) -> Principal:
        if signature.presigned and call.service == "sts":
            return self._sts.principal(signature, environ)
        return self._identities.principal(signature)

    def _play(self, call: Call, principal: Principal, signature: Signature) -> Response | None:
        if call.service == "sts":
            result = self._sts.handle(call, principal)
        elif call.service == "cloudformation":
            # Handing a role on is a right of the caller's.
            result = self._cluster_stack.handle(call, principal)
        else:
            service = self._services.get(call.service)
            if service is None:
                return None
            if call.service not in GLOBAL and signature.region != self._config.region:
                raise ApiError(
                    "RegionNotPlayed",
                    f"this world is in {self._config.region}, not in {signature.region}",
                    400,
                )
            violation = violated_constraint(call)
            if violation is not None:
                raise violation
            result = service.handle(call)
        if result is None or isinstance(result, Response):
            return result
        return serialize(call, result)

    def _refusal(self, call: Call, error: ServiceException) -> Response:
        if call.service == "sts" and isinstance(error, ApiError):
            response = self._sts.refusal(call, error)
            if response is not None:
                return response
        return serialize(call, error)

    def _by_moto(
        self,
        environ: dict[str, Any],
        start_response: Callable[..., Any],
        call: Call,
        principal: Principal,
    ) -> Any:
        statuses: list[int] = []

        def noting(status: str, *rest: Any, **more: Any) -> Any:
            statuses.append(int(status.split(" ", 1)[0]))
            return start_response(status, *rest, **more)

        try:
            result = self._moto(environ, noting)
        except Exception as error:
            log.exception("moto failed in %s:%s", call.service, call.operation)
            response = serialize(call, ApiError("InternalFailure", repr(error), 500))
            self._calls.record(call.service, call.operation, principal, 500)
            return response(environ, start_response)
        status = statuses[-1] if statuses else 500
        self._calls.record(call.service, call.operation, principal, status)
        after = getattr(self._services.get(call.service), "after", None)
        if after is not None and status < 300:
            after(call)
        return result
