"""docs/benchmarks.md, from the results as they are written down. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .aims import aims
from .counting import MASTER_CALLS
from .phases import OTHERS

_HEAD = """\
# Benchmarks

`make bench` measures all of this in one run, in a [local world](../infra/local/README.md) of its own, and writes this
file and `dist/bench.json`. Ratios and counts carry over to other machines. **Seconds do not**: they are of a machine with
{cores} cores ({processor}, {memory} GiB), on which the whole world shares them; {load} processes wanted a core when
it began, {load_after} when it ended (means of a minute).
"""


def page(results: dict[str, Any]) -> str:
    parts = [
        _head(results),
        _aims(results),
        _phases("A join", "node-join", results["cold"]["join"], results["sizes"]["1"]["join"]),
        _phases("A drain", "node-drain", results["cold"]["drain"], results["sizes"]["1"]["drain"]),
        _calls(results),
        _quiet(results),
        _rate(results),
        _slow_store(results),
        _starts(results),
        _packages(results),
        _choosing(results),
        _drift(results),
    ]
    return "\n".join(parts)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """The first `left` columns are text, the others numbers."""
    marks = ["---"] * left + ["--:"] * (len(head) - left)
    lines = [head, marks, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def seconds(value: float) -> str:
    return f"{value:.2f}" if value else "–"


def _head(results: dict[str, Any]) -> str:
    machine = results["machine"]
    return _HEAD.format(
        cores=machine["cores"],
        processor=machine["processor"],
        memory=round(machine["memoryBytes"] / 2**30),
        load=f"{results['load']['before']:.1f}",
        load_after=f"{results['load']['after']:.1f}",
    )


def _aims(results: dict[str, Any]) -> str:
    rows = [(aim.text, aim.aimed, aim.measured, "met" if aim.met else "**missed**") for aim in aims(results)]
    return "## Aims\n\n" + table(("what", "aim", "measured", ""), rows, left=4)


def _phases(title: str, machine: str, cold: dict[str, Any], warm: dict[str, Any]) -> str:
    warm_phases = {phase["name"]: phase for phase in warm["phases"]}
    rows = []
    for phase in cold["phases"]:
        other = warm_phases.get(phase["name"], phase)
        who = phase["function"] or phase["name"]
        rows.append(
            (
                f"{who}{', beside the next' if phase['beside'] else ''}",
                *(seconds(value) for one in (phase, other) for value in (one["seconds"], sum(one["waits"].values()), one["own"])),
            )
        )
    rows.append(("**all**", *(f"**{value:.2f}**" for one in (cold, warm) for value in _whole(one))))
    waits = sorted({*cold["waits"], *warm["waits"]}, key=lambda what: -cold["waits"].get(what, 0.0))
    waited = [(what, OTHERS[what], seconds(cold["waits"].get(what, 0.0)), seconds(warm["waits"].get(what, 0.0))) for what in waits]
    return f"""\
## {title}, in seconds of that machine

From the history of an execution of `{machine}`; waiting is what can be shown to be nothing else: time inside a watch, a
function's own pause between two looks, a Wait state. All else is our own share: starts of functions, their calls, the
state machine's transitions. Cold: no process of any function was there ({cold["coldStarts"]} were started); warm: the
same again ({warm["coldStarts"]} were started).

{table(("phase", "cold", "waiting", "own", "warm", "waiting", "own"), rows)}
What was waited for:

{table(("", "", "cold", "warm"), waited, left=2)}"""


def _whole(cost: dict[str, Any]) -> tuple[float, float, float]:
    return cost["seconds"], sum(cost["waits"].values()), cost["ownSeconds"]


def _calls(results: dict[str, Any]) -> str:
    sizes = sorted(results["sizes"], key=int)
    parts = [
        f"""\
## Calls of a node, in clusters of {", ".join(sizes[:-1])} and {sizes[-1]} nodes

The other nodes are played by kwok, with labels, volumes and worker pods as nodes have that have joined; functions are
warm. Kubernetes calls are counted in the API server's audit log by the group of the function, a watch once; `different`
leaves out those that ask what was asked before, as a function does that waits: how many of those there are is a matter of
time, not of the cluster. AWS calls are counted by the role of the caller. The state machine's invocations of functions
are state transitions, and not among them; nor is the API server's question to STS for whose token it was shown.
"""
    ]
    for machine in ("join", "drain"):
        by_actor = {size: {one["actor"]: one for one in results["sizes"][size][machine]["calls"]} for size in sizes}
        actors = list(dict.fromkeys(actor for size in sizes for actor in by_actor[size]))
        actors = [*(actor for actor in actors if actor != "all"), "all"]
        rows = []
        for actor in actors:
            cells = [[str(by_actor[size].get(actor, {}).get(kind, 0)) for size in sizes] for kind in ("kubernetes", "questions", "aws")]
            rows.append((actor, *(" / ".join(cell) for cell in cells)))
        parts.append(f"A {machine}:\n\n" + table(("", "Kubernetes", "of them different", "AWS"), rows))
    measured = [results["sizes"][size][machine]["masterCalls"] for size in sizes for machine in ("join", "drain")]
    names = [name for name in MASTER_CALLS if any(calls.get(name) for calls in measured)]
    rows = []
    for name in names:
        counts = [" / ".join(str(results["sizes"][size][m]["masterCalls"].get(name, 0)) for size in sizes) for m in ("join", "drain")]
        rows.append((f"`{name}`", MASTER_CALLS[name], *counts))
    files = results["drainFiles"]
    parts.append(
        "Calls of the Alluxio master, from its own metrics. Workers' requests for pages of files are not counted: one for each"
        f" 500 files and pass.\nThe drained worker had {files} files that were nowhere else.\n\n"
        + table(("call", "made by", "join", "drain"), rows, left=2)
    )
    return "\n".join(parts)


def _quiet(results: dict[str, Any]) -> str:
    names = sorted({*results["quiet"]["cold"]["byAction"], *results["quiet"]["warm"]["byAction"]}, key=_order)
    rows = [(f"{name}", *(str(results["quiet"][kind]["byAction"].get(name, 0)) for kind in ("cold", "warm"))) for name in names]
    for kind, label in (("kubernetes", "**all Kubernetes calls**"), ("aws", "**all AWS calls**")):
        rows.append((label, *(f"**{results['quiet'][one]['calls'][-1][kind]}**" for one in ("cold", "warm"))))
    return f"""\
## A join in which nothing has to be waited for

The event of a launch is held back until volumes and worker are there; then it is let go. The label that runs the worker
is set already, as the worker would go with it: where it is not, `schedule-worker` makes one call of Kubernetes more.
`resolve-node` asks where the API server is, once a minute at most, and the state machine tells it to the others: what is
written down at a deployment is wrong as soon as the cluster is made again under its name. Invocations of functions are
listed, and not counted among the calls of AWS.

{table(("", "cold", "warm"), rows)}"""


def _order(name: str) -> tuple[int, str]:
    actor = name.partition(":")[0]
    order = ("resolve-node", "label-node", "provision-volumes", "schedule-worker", "node-join")
    return (order.index(actor) if actor in order else len(order), name)


def _rate(results: dict[str, Any]) -> str:
    rows = []
    for kind, found in results["drainRate"].items():
        for who, name in (("alluxio", "Alluxio's client"), ("drain", "drain")):
            rate = found[who]
            rows.append(
                (
                    f"{found['files']} {kind} files of {_bytes(found['fileBytes'])}",
                    name,
                    f"{rate['seconds']:.1f}",
                    f"{rate['filesPerSecond']:.0f}" if rate["filesPerSecond"] >= 10 else f"{rate['filesPerSecond']:.1f}",
                    f"{rate['bytesPerSecond'] / 1e6:.1f}",
                    f"**{found['ratio']:.2f}**" if who == "drain" else "1",
                )
            )
    return f"""\
## Drain rate

Files whose only copy is on one worker, persisted in two ways on the same node, one after the other: asked for all at
once by Alluxio's own client with nothing of ours running, and by the drain of the node. From the first asking, or the
begin of `drain-cache`, until the under store has all of them.

{table(("files", "by", "s", "files/s", "MB/s", "ratio"), rows, left=2)}"""


def _slow_store(results: dict[str, Any]) -> str:
    slow = results["slowStore"]
    rows = [
        ("the first file is in the under store", f"{slow['firstSeconds']:.0f}"),
        ("all are", f"{slow['seconds']:.0f}"),
        ("the shortest time that the under store allows", f"{slow['bestSeconds']:.0f}"),
    ]
    return f"""\
## A drain with a slow under store

{slow["files"]} files of {slow["fileBytes"] / 1e6:g} MB whose only copy is on the node that its group ends. The under store is a loop
device mounted `sync`, whose writes the kernel throttles to {slow["bytesPerSecond"] / 1e6:g} MB/s. From the order to end the instance:

{table(("", "s"), rows)}"""


def _starts(results: dict[str, Any]) -> str:
    rows = [
        (
            name,
            f"**{start['ratio']:.2f}**",
            f"{start['shortestRatio']:.2f}",
            f"{start['firstAnswerRatio']:.2f}",
            f"{start['medianSeconds'] * 1000:.1f}",
            f"{start['shortestSeconds'] * 1000:.1f}",
        )
        for name, start in sorted(results["coldStarts"].items(), key=lambda pair: pair[1]["medianSeconds"])
    ]
    count = min(start["count"] for start in results["coldStarts"].values())
    return f"""\
## Cold starts

From the spawn of the process until it asks the runtime API for its first call, {count} times each in turns, against
[a function that does nothing](../infra/local/bench/hello-world) with the same runtime and profile; both in the local
Lambda service. What AWS adds, the micro VM and the loading of the package, is the same for all but for its size.
`first answer` is from the spawn to the answer to a call that is refused before any neighbour is asked.

`resolve-node`, `check-drift` and `choose-victims` read the system's trusted certificates, to talk to AWS; the last two also
ask where the API server is, which nobody tells them.

{table(("function", "median, ratio", "shortest, ratio", "first answer, ratio", "median, ms", "shortest, ms"), rows)}"""


def _packages(results: dict[str, Any]) -> str:
    rows = []
    for name, sizes in results["zips"].items():
        used = results["memory"].get(name)
        rows.append(
            (
                name,
                f"{sizes['zip'] / 1e6:.2f}",
                f"{sizes['binary'] / 1e6:.1f}",
                f"{used['peak'] / 2**20:.0f}" if used else "",
                f"{used['deployed'] / 2**20:.0f}" if used else "",
                f"{used['peak'] / used['deployed']:.0%}" if used else "",
            )
        )
    return f"""\
## Packages and memory

Zips at deflate level 6 of binaries for this machine's processor ({results["machine"]["system"]}). Peak memory is the
highest resident set of any invocation in this run, the drain of {results["drainRate"]["small"]["files"]} files among
them, against what the function is deployed with.

{table(("function", "zip, MB", "binary, MB", "peak, MiB", "deployed, MiB", "used"), rows)}"""


def _choosing(results: dict[str, Any]) -> str:
    found = results["choosing"]
    rows = [
        ("cold, after its start", f"{found['coldSeconds']:.3f}"),
        ("its start, in which it looks for the API server and connects", f"{found['coldStartSeconds']:.3f}"),
        ("warm", f"{found['warmSeconds']:.3f}"),
    ]
    return f"""\
## Who goes, of {found["candidates"]} instances

`choose-victims` in the largest of these clusters, every node a candidate: one listing of nodes, one report of the Alluxio
master. Auto Scaling waits for two seconds.

{table(("seconds", "measured"), rows)}"""


def _drift(results: dict[str, Any]) -> str:
    found = results["drift"]
    rows = [
        ("from the call to the answer, s", f"{found['elapsedMillis'] / 1000:.2f}"),
        ("processor time, s", f"{found['cpuMillis'] / 1000:.2f}"),
        ("the same at the share of a processor that Lambda gives to 128 MB, s", f"{found['millisAtItsShare'] / 1000:.1f}"),
        ("highest resident set, MiB", f"{found['peakKiB'] / 1024:.0f}"),
        ("the answer, KiB", f"{found['answerBytes'] / 1024:.0f}"),
    ]
    return f"""\
## A drift check of {found["nodes"]:,} nodes

With {found["volumes"]:,} volumes and a worker's pod for each node, all of them objects of a real API server; one node in a hundred
lacks something. Auto Scaling, Alluxio and Step Functions answer at once, from memory.

{table(("", "measured"), rows)}"""


def _bytes(count: int) -> str:
    return f"{count // 2**20} MiB" if count >= 2**20 else f"{count // 1024} KiB"
