"""One node joins, or leaves, and what that cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from . import counting, phases
from .cluster import Cluster
from .files import Batch, Files
from .history import Execution
from .recordings import Recordings
from .services import DRAIN, FUNCTIONS, JOIN, Services, until

_LAYOUT, _DISKS = "2x300g", 2
_IN_SERVICE = "InService"


@dataclass
class World:
    """What is measured in."""

    services: Services
    cluster: Cluster
    files: Files
    recordings: Recordings


def join(world: World) -> tuple[str, dict[str, Any]]:
    """A node is launched and joins: its instance, and what that cost."""
    return _measured(world, JOIN, world.services.launch)


def drain(world: World, instance: str, meanwhile: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """A node's instance is ended by its group. `meanwhile` is called once the group has been told."""

    def end() -> str:
        world.services.end(instance)
        meanwhile()
        return instance

    _, cost = _measured(world, DRAIN, end)
    # The next launch must not meet what is left of this one.
    until(f"the end of {instance}", lambda: instance not in world.services.members())
    until(f"the end of the node of {instance}", lambda: world.cluster.node_of(instance) is None)
    return cost


def quiet_join(world: World, cold: bool) -> tuple[str, dict[str, Any]]:
    """A join in which nothing has to be waited for.

    The event of the launch is held back until the node's volumes and worker are there, brought up by the labels that
    joins set. Then the labels by which a join finds the node are taken off, and the event comes. Only the label that
    runs the worker stays, as the worker would go with it.
    """
    services, cluster = world.services, world.cluster
    services.hold_launches()
    try:
        instance = services.launch()
        address = cluster.address_of(instance)
        cluster.label_as_joined(instance, _LAYOUT)
        until("the volumes", lambda: cluster.volumes_of(instance) == _DISKS)
        until("the worker", lambda: cluster.worker_is_ready(instance))
        until("the worker's registration", lambda: address in world.files.live_hosts())
        cluster.unlabel(instance)
        if cold:
            for function in services.names():
                services.make_cold(function, instance)
    except BaseException:
        services.release()
        raise

    def release() -> str:
        services.release()
        return instance

    return _measured(world, JOIN, release)


def _measured(world: World, machine: str, act: Callable[[], str]) -> tuple[str, dict[str, Any]]:
    before, counters = world.services.executions(machine), world.files.master_readings()
    instance = act()
    execution = world.services.ended(machine, before)
    after = world.files.master_readings()
    world.recordings.settle()
    if machine == JOIN:
        until(f"{instance} in service", lambda: world.services.members().get(instance) == _IN_SERVICE)
    return instance, cost(machine, execution, world.recordings, counting.master_calls(counters, after))


def cost(machine: str, execution: Execution, recordings: Recordings, master_calls: dict[str, int]) -> dict[str, Any]:
    """What an execution cost, as it is written down."""
    requests, calls, invocations = recordings.requests(), recordings.calls(), recordings.invocations()
    window = counting.Window(execution.began, execution.ended)
    found = phases.phases(execution, requests, invocations)
    counted = counting.counted(window, requests, calls, (*FUNCTIONS, machine))
    started = [one for one in invocations if window.holds(one.ended) and one.function in FUNCTIONS]
    return {
        "seconds": execution.seconds,
        "entered": {state.name: state.entered for state in reversed(execution.states)},
        "ownSeconds": phases.own_share(found),
        "waits": phases.waiting(found),
        "phases": [asdict(phase) | {"own": phase.own} for phase in found],
        "calls": [asdict(one) for one in [*counted, counting.total(counted)]],
        "byAction": counting.by_action(window, requests, calls),
        "masterCalls": master_calls,
        "coldStarts": sum(1 for one in started if one.init_seconds is not None),
        "invocations": len(started),
    }


def fill(world: World, instance: str, batches: list[Batch]) -> None:
    """Files whose only copy is on the worker of that instance."""
    host = world.cluster.address_of(instance)
    until("the worker's registration", lambda: host in world.files.live_hosts())
    for batch in batches:
        world.files.fill(batch, host)
