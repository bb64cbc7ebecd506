"""`python -m bench`: measures in a world of its own, and writes docs/benchmarks.md and dist/bench.json. What `make bench` runs."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import botocore.exceptions
import requests
from demo.stage import Stage, WorldDidNotStart, WorldIsUp
from world.paths import CHECKOUT, Paths, world_directory

from . import choosing, cold_starts, drain_rate, drift, fake_nodes, lifecycle, machine, rendering, slow_store
from .aims import aims
from .cluster import Cluster
from .files import Batch, Files
from .rates import NotAllPersisted
from .recordings import Recordings
from .services import STACK, NotSeen, Services, until
from .starts import memory

PAGE = CHECKOUT / "docs" / "benchmarks.md"
RESULTS = CHECKOUT / "dist" / "bench.json"
# Nodes in the cluster, the one that joins among them.
_SIZES = (1, 10, 50)
# In a drain whose calls are counted: few, as each is asked for by a call of its own.
_FILES = Batch("/bench-counted", 10, 4096)
_FAKE_NODES_SECONDS = 120
_INTERRUPTED = 130
_FAILURES = (NotSeen, NotAllPersisted, requests.RequestException, botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--page", type=Path, default=PAGE, help="where the tables are written (%(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the numbers are written (%(default)s)")
    parser.add_argument("--slow-store", action="store_true", help="measure a drain with a slow under store only, and print it")
    parser.add_argument("--render", action="store_true", help="measure nothing: write the tables of the numbers that are there")
    options = parser.parse_args()
    if options.render:
        return _write(json.loads(options.results.read_text()), options.page)
    if "TIDEGATE_TOOLS" not in os.environ:
        print("bench: TIDEGATE_TOOLS is not set: run make bench", file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        if options.slow_store:
            print(json.dumps(asyncio.run(_with_a_slow_store()), indent=2))
            return 0
        results = asyncio.run(_measured())
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("bench: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except (WorldIsUp, WorldDidNotStart, subprocess.CalledProcessError, *_FAILURES) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    options.results.parent.mkdir(parents=True, exist_ok=True)
    options.results.write_text(json.dumps(results, indent=2) + "\n")
    return _write(results, options.page)


def _interrupt(*_: object) -> None:
    # Not Python's own: asyncio would put that one off until the next await, and measuring is one long call.
    raise KeyboardInterrupt


def _write(results: dict[str, Any], page: Path) -> int:
    page.write_text(rendering.page(results))
    for aim in aims(results):
        print(f"{'met   ' if aim.met else 'MISSED'} {aim.text}: {aim.measured} ({aim.aimed})")
    print(f"bench: {page}")
    return 0


async def _measured() -> dict[str, Any]:
    hello = cold_starts.build_hello_world()
    before = machine.load()
    paths = Paths(world_directory())
    async with Stage(paths) as endpoints:
        results = _measure(paths, endpoints, hello)
    _say("a drift check of 5,000 nodes and 10,000 volumes")
    results["drift"] = drift.measure()
    return results | {"load": {"before": before, "after": machine.load()}}


async def _with_a_slow_store() -> dict[str, Any]:
    paths = Paths(world_directory())
    async with Stage(paths) as endpoints:
        return slow_store.measure(_world(paths, endpoints), paths.world)


def _world(paths: Paths, endpoints: dict[str, Any]) -> lifecycle.World:
    services = Services(endpoints)
    recordings = Recordings(paths.world, services.actors(), STACK)
    return lifecycle.World(services, Cluster(paths.world / "kubeconfig"), Files(endpoints), recordings)


def _measure(paths: Paths, endpoints: dict[str, Any], hello: Path) -> dict[str, Any]:
    world = _world(paths, endpoints)
    services, recordings = world.services, world.recordings
    results: dict[str, Any] = {"machine": machine.description(), "drainFiles": _FILES.count}
    _say("cold starts")
    results["zips"] = cold_starts.sizes(hello)
    results["coldStarts"] = cold_starts.measure(services, recordings, hello)
    _say("a node joins and leaves, with cold functions")
    for function in services.names():
        services.make_cold(function, "first")
    results["cold"] = _life(world)
    _say("a join in which nothing has to be waited for, and the drain rate of small files")
    results["quiet"], results["drainRate"] = {}, {}
    for warmth, kind in (("warm", "small"), ("cold", "large")):
        instance, results["quiet"][warmth] = lifecycle.quiet_join(world, cold=warmth == "cold")
        results["drainRate"][kind] = drain_rate.measure(world, instance, kind)
        _say(f"{warmth}, {kind}: done")
    _say("a drain with a slow under store")
    results["slowStore"] = slow_store.measure(world, paths.world)
    results["sizes"] = {}
    fakes = 0
    for size in _SIZES:
        _say(f"a node joins and leaves in a cluster of {size}")
        world.cluster.create(fake_nodes.cluster_of(fakes, size - 1))
        fakes = size - 1
        until(f"{fakes} fake nodes", lambda wanted=fakes: world.cluster.ready_workers() == wanted, _FAKE_NODES_SECONDS)
        results["sizes"][str(size)] = _life(world)
    _say("who goes, of all of them")
    results["choosing"] = choosing.measure(services, world.cluster, recordings)
    used = [one for one in memory(recordings.invocations()) if one.function != cold_starts.HELLO]
    results["memory"] = {one.function: {"peak": one.peak, "deployed": one.deployed} for one in used}
    return results


def _life(world: lifecycle.World) -> dict[str, Any]:
    instance, joined = lifecycle.join(world)
    lifecycle.fill(world, instance, [_FILES])
    drained = lifecycle.drain(world, instance)
    world.files.delete(_FILES.path)
    return {"join": joined, "drain": drained}


def _say(text: str) -> None:
    print(f"bench: {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
