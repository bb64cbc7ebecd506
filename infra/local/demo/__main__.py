"""`python -m demo`: plays the story in a world of its own, and writes the report. What `make demo` runs."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time
import traceback
from pathlib import Path

from world.nodes.api import Cluster
from world.paths import CHECKOUT, Paths, world_directory

from . import claims, listings, report, stage
from .events import Event
from .files import Files
from .observers import Observers
from .record import Claim, FunctionUse, Record
from .repairs import Repairs
from .seen import NotSeen, Seen
from .services import Services
from .story import Story
from .timeline import Style, wants_colour, width_of

REPORT = CHECKOUT / "dist" / "demo" / "report.html"
_INTERRUPTED = 130


def main() -> int:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the world up at the end (make down ends it)")
    parser.add_argument("--report", type=Path, default=REPORT, help="where the report is written (%(default)s)")
    options = parser.parse_args()
    if "TIDEGATE_TOOLS" not in os.environ:
        print("demo: TIDEGATE_TOOLS is not set: run make demo", file=sys.stderr)
        return 2
    try:
        return asyncio.run(_demo(options.report, options.keep))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("demo: interrupted", file=sys.stderr)
        return _INTERRUPTED
    except stage.WorldIsUp as error:
        print(
            f"demo: {error}, and the demo makes one of its own: end it with make down, or name another directory"
            " (TIDEGATE_WORLD=... make demo)",
            file=sys.stderr,
        )
        return 2
    except stage.WorldDidNotStart as error:
        print(f"demo: the world did not start: {error}", file=sys.stderr)
        return 1


async def _demo(target: Path, keep: bool) -> int:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    paths = Paths(world_directory())
    style = Style(wants_colour(sys.stdout, os.environ), width_of(sys.stdout))
    record = Record(time.time())
    print(style.heading("Tidegate: one node's whole life"), flush=True)
    async with stage.Stage(paths, keep) as endpoints:
        try:
            await _play(record, style, endpoints, paths)
        finally:
            # What was seen until then is told, also after a Ctrl-C.
            record.functions = _functions(paths)
    return _judge(record, style, target)


def _functions(paths: Paths) -> list[FunctionUse]:
    """Of the world that is up: it has begun without what the last one in this directory left."""
    invocations = paths.world / "lambda-invocations.jsonl"
    # Of the line that is being written only a part may be there.
    whole, _, _ = invocations.read_text().rpartition("\n") if invocations.exists() else ("", "", "")
    return listings.function_uses(whole.splitlines())


async def _play(record: Record, style: Style, endpoints: dict, paths: Paths) -> None:
    def tell(event: Event) -> None:
        if record.acts:
            print(style.event(event, event.at - record.acts[-1].began, seen.short(event.instance)), flush=True)

    seen = Seen(tell)
    services = Services(endpoints["aws"], endpoints["region"], endpoints["account"])
    files = Files(endpoints["files"])
    cluster = Cluster(paths.world / "kubeconfig")
    observers = Observers(seen, services, files, cluster, paths.world)
    shared = (seen, services, files, cluster.acting_as(), observers, record, style, stage.environment(paths), paths.world)

    async def tell_all() -> None:
        await Story(*shared).run()
        await Repairs(*shared).run()

    observing = asyncio.create_task(observers.run())
    telling = asyncio.create_task(tell_all())
    try:
        await asyncio.wait({observing, telling}, return_when=asyncio.FIRST_COMPLETED)
        if observing.done():
            observing.result()
        await telling
        record.claims.append(Claim("The story was told to its end", True, f"{len(seen.events)} events seen"))
    except NotSeen as error:
        record.claims.append(Claim("The story was told to its end", False, str(error)))
    except Exception as error:  # noqa: BLE001 - what was seen until then is told all the same
        traceback.print_exc()
        record.claims.append(Claim("The story was told to its end", False, f"{type(error).__name__}: {error}"))
    finally:
        for part in (telling, observing):
            part.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await part
        await files.close()
        await cluster.close()
        record.events, record.outcomes = seen.events, seen.outcomes
        record.names = {id: seen.short(id) for id in seen.known}


def _judge(record: Record, style: Style, target: Path) -> int:
    record.claims.append(claims.within_memory(record.functions))
    used = listings.function_listing(record.functions)
    print(style.heading("The functions"), style.listing(used), sep="\n")
    print(style.heading("What was claimed, and what was seen"), style.verdicts(record.claims), sep="")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(report.render(record))
    print(f"\nreport: {target}\n{style.summary(record)}", flush=True)
    return 0 if record.all_seen else 1


if __name__ == "__main__":
    sys.exit(main())
