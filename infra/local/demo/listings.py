"""The listings that a reader of the reference deployment is shown, by the commands that such a reader types."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

from .changes.alluxio import Worker, gibibytes, mebibytes
from .record import FunctionUse, Listing
from .services import GROUP

_MEMBERS = (
    f"AutoScalingInstances[?AutoScalingGroupName=='{GROUP}']"
    ".{Instance:InstanceId,Type:InstanceType,Zone:AvailabilityZone,State:LifecycleState,Health:HealthStatus}"
)
_COMMANDS: tuple[tuple[str, ...], ...] = (
    ("kubectl", "get", "nodes", "-o", "wide"),
    ("kubectl", "get", "daemonset", "--all-namespaces"),
    ("kubectl", "get", "pv"),
    ("kubectl", "get", "pods", "--namespace=alluxio", "-o", "wide"),
    ("aws", "autoscaling", "describe-auto-scaling-instances", "--query", _MEMBERS, "--output", "table"),
)


async def take(environment: Mapping[str, str]) -> list[Listing]:
    """Runs the commands, one at a time, with what `make env` sets."""
    return [await run(command, environment) for command in _COMMANDS]


async def run(command: Sequence[str], environment: Mapping[str, str]) -> Listing:
    """What a command prints; of one that fails also its error."""
    program = str(Path(environment["TIDEGATE_TOOLS"]) / "bin" / command[0])
    child = await asyncio.create_subprocess_exec(
        program,
        *command[1:],
        env=dict(environment),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    failed = f"\n(exit status {child.returncode})" if child.returncode else ""
    return Listing(_shown(command), output.decode(errors="replace") + failed)


def _shown(command: Sequence[str]) -> str:
    return " ".join(f'"{part}"' if any(sign in part for sign in " '{[*") else part for part in command)


def worker_listing(workers: Mapping[str, Worker], names: Mapping[str, str]) -> Listing:
    """`names` maps a host to its node."""
    rows = [
        (worker.host, names.get(worker.host, "?"), worker.state, gibibytes(worker.capacity_bytes),
         mebibytes(worker.used_bytes))
        for worker in sorted(workers.values(), key=lambda worker: worker.host)
    ]  # fmt: skip
    shown = table(("WORKER", "NODE", "STATE", "CAPACITY", "USED"), rows) if rows else ""
    return Listing("Alluxio's workers, as its master lists them", shown, typed=False)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as their widest cell."""
    lines = [tuple(head), *map(tuple, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join("   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def function_uses(lines: Iterable[str]) -> list[FunctionUse]:
    """From lines of the world's `lambda-invocations.jsonl`, by function."""
    calls: dict[str, list[dict]] = {}
    for line in lines:
        if line.strip():
            call = json.loads(line)
            calls.setdefault(call["function"], []).append(call)
    return [_use(function, calls[function]) for function in sorted(calls)]


def _use(function: str, calls: list[dict]) -> FunctionUse:
    inits = [call["initMillis"] for call in calls if call.get("initMillis") is not None]
    return FunctionUse(
        function=function,
        calls=len(calls),
        cold_starts=sum(bool(call["cold"]) for call in calls),
        failed=sum(call["outcome"] != "success" for call in calls),
        median_millis=median(call["durationMillis"] for call in calls),
        longest_millis=max(call["durationMillis"] for call in calls),
        init_millis=max(inits, default=None),
        peak_kb=max(call.get("peakMemoryKb") or 0 for call in calls),
        size_mb=calls[0]["memorySizeMb"],
    )


def function_listing(uses: Iterable[FunctionUse]) -> Listing:
    rows = [
        (use.function, str(use.calls), str(use.cold_starts), str(use.failed), f"{use.median_millis:.0f} ms",
         f"{use.longest_millis:.0f} ms", f"{use.peak_kb / 1024:.1f} MB", f"{use.size_mb} MB")
        for use in uses
    ]  # fmt: skip
    head = ("FUNCTION", "CALLS", "COLD", "FAILED", "MEDIAN", "LONGEST", "PEAK MEMORY", "OF")
    return Listing("all calls of the run, as the local Lambda service noted them", table(head, rows), typed=False)
