"""What was aimed at, and what was measured. Pure: from the results as they are written down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import counting

OWN_SECONDS = 3.0
KUBERNETES_CALLS = 15
AWS_CALLS = 6
START_RATIO = 1.5
ZIP_BYTES = 5_000_000
CHOICE_SECONDS = 1.0
DRIFT_SECONDS = 10.0
SLOW_STORE_RATIO = 1.5
DRIFT_MIB = 128


@dataclass(frozen=True)
class Aim:
    text: str
    aimed: str
    measured: str
    met: bool


def aims(results: dict[str, Any]) -> list[Aim]:
    found = []
    for kind, cost in (("cold", results["cold"]["join"]), ("warm", results["sizes"]["1"]["join"])):
        own = cost["ownSeconds"]
        found.append(
            Aim(f"Our own share of a join, {kind} functions", f"under {OWN_SECONDS:g} s", f"{own:.1f} s", own < OWN_SECONDS)
        )
    for kind in ("cold", "warm"):
        total = results["quiet"][kind]["calls"][-1]
        what = f"calls of a join in which nothing has to be waited for, {kind} functions"
        for name, count, most in (("Kubernetes", total["kubernetes"], KUBERNETES_CALLS), ("AWS", total["aws"], AWS_CALLS)):
            found.append(Aim(f"{name} {what}", f"at most {most}", str(count), count <= most))
    for machine in ("join", "drain"):
        questions = {int(size): cost[machine]["calls"][-1]["questions"] for size, cost in results["sizes"].items()}
        told = ", ".join(str(questions[size]) for size in sorted(questions))
        sizes = ", ".join(str(size) for size in sorted(questions))
        text = f"Different Kubernetes calls of a {machine} in clusters of {sizes} nodes"
        found.append(Aim(text, "no growth", told, not counting.grows(questions)))
    slowest = max((s for name, s in results["coldStarts"].items() if name in results["memory"]), key=lambda s: s["ratio"])
    ratio = slowest["ratio"]
    text = "Cold start of the slowest function against hello-world"
    found.append(Aim(text, f"at most {START_RATIO:g} times", f"{ratio:.1f} times", ratio <= START_RATIO))
    largest = max(sizes["zip"] for name, sizes in results["zips"].items() if name in results["memory"])
    text = "Largest deployment package"
    found.append(Aim(text, f"at most {ZIP_BYTES / 1e6:g} MB", f"{largest / 1e6:.1f} MB", largest <= ZIP_BYTES))
    fullest = max(one["peak"] / one["deployed"] for one in results["memory"].values())
    found.append(Aim("Peak memory of the fullest function", "below its deployed size", f"{fullest:.0%} of it", fullest < 1))
    slow = results["slowStore"]
    text = f"A drain with an under store of {slow['bytesPerSecond'] / 1e6:g} MB/s against the shortest time that it allows"
    found.append(Aim(text, f"at most {SLOW_STORE_RATIO:g} times", f"{slow['ratio']:.2f} times", slow["ratio"] <= SLOW_STORE_RATIO))
    choosing = results["choosing"]
    slowest_choice = max(choosing["coldSeconds"], choosing["warmSeconds"])
    text = f"Who of {choosing['candidates']} instances goes: the slowest answer"
    found.append(Aim(text, f"within {CHOICE_SECONDS:g} s", f"{slowest_choice:.2f} s", slowest_choice <= CHOICE_SECONDS))
    drift_check = results["drift"]
    nodes, volumes = f"{drift_check['nodes']:,}", f"{drift_check['volumes']:,}"
    seconds = drift_check["elapsedMillis"] / 1000
    text = f"A drift check of {nodes} nodes and {volumes} volumes"
    found.append(Aim(text, f"at most {DRIFT_SECONDS:g} s", f"{seconds:.1f} s", seconds <= DRIFT_SECONDS))
    mib = drift_check["peakKiB"] / 1024
    found.append(Aim(f"{text}: peak memory", f"at most {DRIFT_MIB} MiB", f"{mib:.0f} MiB", mib <= DRIFT_MIB))
    return found
