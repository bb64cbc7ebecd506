"""`/local-api/`: what only a local world can do. Nothing of the product uses it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from typing import Any

from werkzeug.wrappers import Request, Response

from .errors import ApiError
from .lambda_service.invocation import Refused

log = logging.getLogger(__name__)

Handler = Callable[[dict[str, Any], re.Match[str]], Any]


class Admin:
    """Routes are added by the server: method, path pattern below /local-api/, handler."""

    def __init__(self) -> None:
        self._routes: list[tuple[str, re.Pattern[str], Handler]] = []

    def route(self, method: str, pattern: str, handler: Handler) -> None:
        self._routes.append((method, re.compile(f"/local-api/{pattern}"), handler))

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        request = Request(environ)
        status, body = self._answer(request)
        response = Response(
            json.dumps(body, default=str), status, {"Content-Type": "application/json"}
        )
        return response(environ, start_response)

    def _answer(self, request: Request) -> tuple[int, Any]:
        for method, pattern, handler in self._routes:
            found = pattern.fullmatch(request.path)
            if not found or method != request.method:
                continue
            try:
                text = request.get_data(as_text=True)
                given = json.loads(text) if text else {}
                return 200, handler(given, found)
            except (ApiError, Refused) as error:
                return getattr(error, "status", None) or 400, {
                    "error": error.code,
                    "message": error.message,
                }
            except (ValueError, KeyError, TypeError, OSError) as error:
                log.exception("%s %s failed", request.method, request.path)
                return 400, {"error": type(error).__name__, "message": str(error)}
        known = sorted(f"{m} {p.pattern}" for m, p, _ in self._routes)
        return 404, {"error": "NotFound", "message": "known are: " + ", ".join(known)}
