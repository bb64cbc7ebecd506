"""Switches of the node player, for tests and for who plays by hand; loopback HTTP, JSON answers.

``nodes/player.json`` in the world directory tells the address (``control``). NODE is an instance id or a node name.

- ``GET /``: every machine: its state, disks, pods and their containers
- ``POST /boot?mode=never|slow&count=N``: how the next N instances boot; ``never`` ones stay without a node
- ``POST /disks?fault=missing|small|read-only|not-mounted&count=N``: what befalls the last disk of the next N instances
- ``POST /nodes/NODE/freeze`` and ``/thaw``: the kubelet neither speaks nor hears, its processes go on
- ``POST /nodes/NODE/crash``: everything of it dies, EC2 still says running
- ``POST /nodes/NODE/containers/NAME?signal=KILL|TERM|STOP|CONT``: a signal to the containers of that name
- ``POST /nodes/NODE/disks/N?fault=lost|read-only``: befalls the mounted disk number N (0, 1, ...)

The same two things can be said in advance by tags of the instance: ``tidegate-local/boot``, ``tidegate-local/disk``.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

from aiohttp import web

from .player import Player

_BOOT_MODES = ("never", "slow")
_DISK_FAULTS = ("missing", "small", "read-only", "not-mounted")


class Refused(Exception):
    """The request makes no sense; the message says why."""


class Control:
    """Serves the switches of ``player``; :attr:`url` is known after :meth:`start`."""

    def __init__(self, player: Player):
        self._player = player
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self) -> None:
        application = web.Application()
        application.add_routes(
            [
                web.get("/", _answer(self._state)),
                web.post("/boot", _answer(self._boot)),
                web.post("/disks", _answer(self._disks)),
                web.post("/nodes/{node}/containers/{name}", _answer(self._signal)),
                web.post("/nodes/{node}/disks/{index}", _answer(self._disk)),
                web.post("/nodes/{node}/{action}", _answer(self._node)),
            ]
        )
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner:
            await self._runner.cleanup()

    async def _state(self, request: web.Request) -> object:
        return {"nodes": [machine.told() for machine in self._player.machines.values()]}

    async def _boot(self, request: web.Request) -> object:
        mode = _one_of(request.query.get("mode"), _BOOT_MODES)
        self._player.orders.boots.extend([mode] * int(request.query.get("count", "1")))
        return {"boots": list(self._player.orders.boots)}

    async def _disks(self, request: web.Request) -> object:
        fault = _one_of(request.query.get("fault"), _DISK_FAULTS)
        self._player.orders.disk_faults.extend([fault] * int(request.query.get("count", "1")))
        return {"diskFaults": list(self._player.orders.disk_faults)}

    async def _node(self, request: web.Request) -> object:
        machine = self._player.machine(request.match_info["node"])
        action = _one_of(request.match_info["action"], ("freeze", "thaw", "crash"))
        if action == "crash":
            await machine.crash()
        else:
            getattr(machine, action)()
        return machine.told()

    async def _signal(self, request: web.Request) -> object:
        machine = self._player.machine(request.match_info["node"])
        name = _one_of(request.query.get("signal", "KILL"), ("KILL", "TERM", "STOP", "CONT"))
        sent = machine.signal(request.match_info["name"], signal.Signals[f"SIG{name}"])
        if not sent:
            raise Refused(f"no container named {request.match_info['name']} runs there")
        return machine.told()

    async def _disk(self, request: web.Request) -> object:
        machine = self._player.machine(request.match_info["node"])
        fault = _one_of(request.query.get("fault"), ("lost", "read-only"))
        act = machine.disks.lose if fault == "lost" else machine.disks.make_read_only
        await asyncio.to_thread(act, int(request.match_info["index"]))
        return machine.told()


def _one_of(value: str | None, known: tuple[str, ...]) -> str:
    if value not in known:
        raise Refused(f"{value!r} is none of {', '.join(known)}")
    return value


def _answer(act: Callable[[web.Request], Awaitable[object]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(request: web.Request) -> web.Response:
        try:
            return web.json_response(await act(request))
        except KeyError as error:
            return web.json_response({"error": f"no machine is {error.args[0]}"}, status=404)
        except (Refused, IndexError, ValueError) as error:
            return web.json_response({"error": str(error)}, status=400)

    return handler
