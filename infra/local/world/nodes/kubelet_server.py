"""The server of a kubelet: tells what its pods use to who may ``get nodes/metrics``, over TLS on the node's address.

As on EKS nobody is let in without a token; the API server is asked who its bearer is, and what he may.
https://kubernetes.io/docs/reference/access-authn-authz/kubelet-authn-authz/
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from . import node_object
from .api import Api, ApiError, Unreachable

# The kubelet's own default for tokens (authentication.webhook.cacheTTL); it keeps what they may for longer.
_CACHE_SECONDS = 120


class KubeletServer:
    """``api`` acts as the node, ``told`` is the metrics' text; ``gate`` is awaited before each answer."""

    def __init__(self, api: Api, node_name: str, address: str, told: Callable[[], str], gate: Callable[[], Awaitable[object]]):
        self._api, self._node_name, self._address, self._told, self._gate = api, node_name, address, told, gate
        self._let_in: dict[str, float] = {}

    async def run(self, certificate: Awaitable[ssl.SSLContext], port: int = node_object.KUBELET_PORT) -> None:
        """For ever; cancelling it is the power switch."""
        application = web.Application()
        application.add_routes([web.get("/metrics/resource", self._resource_metrics)])
        # Nobody waits for who keeps a connection open.
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._address, port, ssl_context=await certificate).start()
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    async def _resource_metrics(self, request: web.Request) -> web.Response:
        await self._gate()
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind != "Bearer" or not token:
            return web.Response(status=401, text="Unauthorized")
        try:
            if self._let_in.get(token, 0) < time.monotonic():
                refusal = await self._refusal(token)
                if refusal:
                    return refusal
                self._let_in[token] = time.monotonic() + _CACHE_SECONDS
        except (ApiError, *Unreachable) as error:
            return web.Response(status=500, text=f"the API server cannot be asked: {error}")
        return web.Response(text=self._told())

    async def _refusal(self, token: str) -> web.Response | None:
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        status = (await self._api.create("/apis/authentication.k8s.io/v1/tokenreviews", review)).get("status", {})
        if not status.get("authenticated"):
            return web.Response(status=401, text="Unauthorized")
        user = status["user"]
        attributes = {"verb": "get", "version": "v1", "resource": "nodes", "subresource": "metrics", "name": self._node_name}
        spec = {"user": user["username"], "groups": user.get("groups", []), "resourceAttributes": attributes}
        spec |= {key: user[key] for key in ("uid", "extra") if key in user}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        status = (await self._api.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)).get("status", {})
        if status.get("allowed"):
            return None
        return web.Response(
            status=403, text=f"Forbidden (user={user['username']}, verb=get, resource=nodes, subresource(s)=[metrics])\n"
        )
