"""Readiness, liveness and startup probes, really performed for tcpSocket and httpGet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

Object = dict[str, Any]


def port_number(container: Object, port: int | str) -> int:
    """A probe may name one of the container's ports."""
    if isinstance(port, int):
        return port
    return next(p["containerPort"] for p in container.get("ports", []) if p.get("name") == port)


async def once(probe: Object, container: Object, host: str) -> tuple[bool, str]:
    """Success, and kubelet's words for a failure. exec and gRPC probes are not played: they succeed."""
    seconds = probe.get("timeoutSeconds", 1)
    try:
        if "tcpSocket" in probe:
            target = probe["tcpSocket"]
            port = port_number(container, target["port"])
            connecting = asyncio.open_connection(target.get("host", host), port)
            _, writer = await asyncio.wait_for(connecting, seconds)
            writer.close()
        elif "httpGet" in probe:
            target = probe["httpGet"]
            port = port_number(container, target["port"])
            url = f"{target.get('scheme', 'HTTP').lower()}://{target.get('host', host)}:{port}{target.get('path', '/')}"
            timeout = aiohttp.ClientTimeout(total=seconds)
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, ssl=False) as answer:
                if not 200 <= answer.status < 400:
                    return False, f"HTTP probe failed with statuscode: {answer.status}"
    except (OSError, TimeoutError, aiohttp.ClientError) as error:
        return False, f"probe of {host} failed: {str(error) or type(error).__name__}"
    return True, ""


async def results(probe: Object, container: Object, host: str, initially: bool) -> AsyncIterator[tuple[bool, str]]:
    """Each change of the probe's verdict under its thresholds, beginning with ``initially`` (not told itself)."""
    period = probe.get("periodSeconds", 10)
    needed = {True: probe.get("successThreshold", 1), False: probe.get("failureThreshold", 3)}
    verdict, streak, last = initially, 0, None
    await asyncio.sleep(probe.get("initialDelaySeconds", 0))
    while True:
        success, why = await once(probe, container, host)
        streak = streak + 1 if success == last else 1
        last = success
        if success != verdict and streak >= needed[success]:
            verdict = success
            yield verdict, why
        await asyncio.sleep(period)
