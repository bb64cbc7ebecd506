"""The API server's token webhook (TokenReview, authentication.k8s.io/v1), in the place of EKS's own authenticator."""

from __future__ import annotations

import datetime as dt
import json
import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Protocol

from .access_entries import AccessEntries, User
from .token import PresignedCall, TokenRefused, read_token

# A TokenReview is its token and some hundred bytes; a longer token must still get through to be refused with a reason.
LONGEST_REQUEST_BYTES = 1 << 20


class Users(Protocol):
    def user(self, call: PresignedCall) -> User: ...


class TokenWebhook:
    """Serves on a free loopback port, in threads of this process.

    `log` is the file that says for each token who it was or why it was refused; never the token.
    """

    def __init__(self, aws_endpoint: str, cluster: str, region: str, log: Path, users: Users | None = None):
        self._region = region
        self._users = users or AccessEntries(aws_endpoint, cluster, region)
        self.log_path = log
        self._log = logging.getLogger(f"{__name__}.{id(self)}")
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        if self._server is None:
            raise RuntimeError("the token webhook is not started")
        return f"http://127.0.0.1:{self._server.server_address[1]}/authenticate"

    def start(self) -> str:
        """Returns the URL for the API server."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(self.log_path)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        self._log.addHandler(handler)
        self._log.setLevel(logging.INFO)
        self._log.propagate = False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.review))
        threading.Thread(target=self._server.serve_forever, name="token-webhook", daemon=True).start()
        return self.url

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for handler in list(self._log.handlers):
            self._log.removeHandler(handler)
            handler.close()

    def review(self, request: dict[str, Any]) -> dict[str, Any]:
        """The TokenReview that answers a TokenReview. A refusal's reason is in the log only, as on EKS."""
        status: dict[str, Any]
        try:
            token = (request.get("spec") or {}).get("token") or ""
            user = self._users.user(read_token(token, self._region, dt.datetime.now(dt.UTC)))
        except TokenRefused as refusal:
            self._log.info("refused: %s", refusal)
            status = {"authenticated": False}
        else:
            self._log.info("%s is %s in %s", user.extra["arn"][0], user.username, list(user.groups))
            status = {
                "authenticated": True,
                "user": {"username": user.username, "uid": user.uid, "groups": list(user.groups), "extra": user.extra},
            }
        return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status}


def _handler(review: Callable[[dict[str, Any]], dict[str, Any]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not length.isdigit() or int(length) > LONGEST_REQUEST_BYTES:
                self.close_connection = True
                self._answer(413, {"error": f"a TokenReview of at most {LONGEST_REQUEST_BYTES} bytes is expected"})
                return
            body = self.rfile.read(int(length))
            try:
                request = json.loads(body)
                if request["kind"] != "TokenReview":
                    raise ValueError
            except (ValueError, KeyError, TypeError):
                self._answer(400, {"error": "a TokenReview is expected"})
                return
            self._answer(200, review(request))

        def _answer(self, status: int, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: what matters of a review is in the webhook's own log."""

    return Handler
