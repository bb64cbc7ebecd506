"""The Lambda runtime API of one environment, at an address of its own.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
from typing import Protocol

from .invocation import Invocation

VERSION = "/2018-06-01/runtime/"
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html: 6 MB synchronous.
LARGEST_RESPONSE = 6_291_556


class Runtime(Protocol):
    """What the API tells, and asks of, the environment behind it."""

    function_arn: str

    def next_invocation(self) -> Invocation | None: ...

    def current(self, request_id: str) -> Invocation | None: ...

    def init_failed(self, payload: bytes) -> None: ...


class RuntimeApi:
    def __init__(self, runtime: Runtime):
        class Handler(_Handler):
            pass

        Handler.runtime = runtime
        self._server = _Server(("127.0.0.1", 0), Handler)
        host, port = self._server.server_address[:2]
        self.address = f"{host}:{port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.5}, daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        threading.Thread(target=self._stop, daemon=True).start()

    def _stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    block_on_close = False


class _Handler(http.server.BaseHTTPRequestHandler):
    runtime: Runtime
    protocol_version = "HTTP/1.1"
    # Head and body of an answer are two writes; Nagle's algorithm would hold the second for 40 ms.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:  # noqa: N802
        if self.path != VERSION + "invocation/next":
            return self._answer(404, b"{}")
        invocation = self.runtime.next_invocation()
        if invocation is None:
            self.close_connection = True
            return None
        return self._answer(
            200,
            invocation.payload,
            {
                "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
                "Lambda-Runtime-Deadline-Ms": str(invocation.deadline_millis),
                "Lambda-Runtime-Invoked-Function-Arn": self.runtime.function_arn,
                "Lambda-Runtime-Trace-Id": invocation.trace_id,
            },
        )

    def do_POST(self) -> None:  # noqa: N802
        body = self._body()
        if self.path == VERSION + "init/error":
            self.runtime.init_failed(body)
            return self._answer(202, b'{"status":"OK"}')
        parts = self.path.removeprefix(VERSION).split("/")
        if len(parts) != 3 or parts[0] != "invocation" or parts[2] not in ("response", "error"):
            return self._answer(404, b"{}")
        invocation = self.runtime.current(parts[1])
        if invocation is None:
            message = {"errorMessage": "Invalid request ID", "errorType": "InvalidRequestID"}
            return self._answer(400, json.dumps(message).encode())
        if parts[2] == "error":
            invocation.fail(body)
        elif len(body) > LARGEST_RESPONSE:
            message = {
                "errorMessage": "Response payload size exceeded maximum allowed payload size "
                f"({LARGEST_RESPONSE} bytes).",
                "errorType": "Function.ResponseSizeTooLarge",
            }
            invocation.fail(json.dumps(message).encode())
            return self._answer(413, json.dumps(message).encode())
        else:
            invocation.succeed(body)
        return self._answer(202, b'{"status":"OK"}')

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Every invocation is recorded elsewhere."""
