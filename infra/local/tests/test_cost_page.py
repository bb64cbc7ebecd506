"""What docs/empty-account.md says that it costs follows from the prices and counts that stand there, and those from the code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
PAGE = (CHECKOUT / "docs/empty-account.md").read_text()


def tables() -> list[list[list[str]]]:
    """The page's tables, as rows of cells."""
    found: list[list[list[str]]] = [[]]
    for line in PAGE.splitlines():
        if line.startswith("|"):
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def prices() -> dict[str, float]:
    [table] = [table for table in tables() if table[0][0] == "price"]
    return {row[0]: float(row[2]) for row in table[2:]}


SUMS = [table for table in tables() if table[0][:3] == ["what", "count", "price"]]


def benchmark(row: str) -> list[str]:
    page = (CHECKOUT / "docs/benchmarks.md").read_text()
    [line] = [line for line in page.splitlines() if line.startswith(f"| {row} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def way(machine: str, *states: str) -> int:
    """How many states a way through a machine enters; each must follow from the one before."""
    definition = json.loads((CHECKOUT / f"statemachine/{machine}.asl.json").read_text())
    for before, after in zip(states, states[1:], strict=False):
        state = definition["States"][before]
        following = {state.get("Next"), state.get("Default"), *(choice["Next"] for choice in state.get("Choices", []))}
        assert after in following, f"{after} does not follow {before}"
    return len(states)


def test_every_price_says_where_it_comes_from_and_is_used() -> None:
    [table] = [table for table in tables() if table[0][0] == "price"]
    assert all(row[3] for row in table[2:])
    assert {row[2] for rows in SUMS for row in rows[2:-1]} == set(prices())


@pytest.mark.parametrize("table", SUMS, ids=[f"{rows[-1][3].strip('*')}" for rows in SUMS])
def test_a_sum_is_what_its_counts_and_prices_make(table: list[list[str]]) -> None:
    total = 0.0
    for what, count, price, dollars in table[2:-1]:
        made = float(count) * prices()[price]
        assert abs(made - float(dollars)) < 0.000051, what
        total += made
    assert table[-1][0] == "**sum**" and abs(total - float(table[-1][3].strip("*"))) < 0.0001


def test_a_join_takes_as_many_transitions_as_the_page_says() -> None:
    straight = way(
        "node-join",
        *("ResolveNode", "ResolveNodeOutcome", "LabelNode", "LabelNodeOutcome", "ProvisionVolumes", "ProvisionVolumesOutcome"),
        *("ScheduleWorker", "ScheduleWorkerOutcome", "Joined", "HookWaits", "CompleteHook", "TellOutcome", "Ended", "Done"),
    )
    # From one outcome to the next of the same function.
    again = ("LabelNodeOutcome", "KeepHookAlive", "RecordHeartbeat", "Wait", "NextLook", "LabelNode", "LabelNodeOutcome")
    look = way("node-join", *again) - 1
    assert f"in {straight} transitions" in PAGE and f"costs {look} transitions" in PAGE
    assert f"({straight} + {look} k) transition" in PAGE


def test_a_drift_check_takes_as_many_transitions_as_the_page_says() -> None:
    steps = ("ListRules", "CheckDrift", "CheckDriftOutcome", "RulesToEnable", "TellOutcome", "Ended", "Done")
    assert f"288 a day, of {way('drift-check', *steps)} transitions" in PAGE
    template = (CHECKOUT / "infra/template.yaml").read_text()
    assert "Default: rate(5 minutes)" in template and "    MemorySize: 128\n" in template and "    Timeout: 30\n" in template


def test_invocations_and_seconds_of_a_join_are_those_that_were_measured() -> None:
    invocations = benchmark("node-join: lambda:Invoke")[1]
    assert f"makes {invocations} invocations" in PAGE
    seconds = 0.0
    page = (CHECKOUT / "docs/benchmarks.md").read_text()
    join = page[page.index("## A join, in seconds") : page.index("## A drain, in seconds")]
    for function in ("resolve-node", "label-node", "provision-volumes", "schedule-worker"):
        found = re.search(rf"^\| {function} \| ([0-9.]+) \|", join, re.MULTILINE)
        assert found, function
        seconds += float(found[1])
    said = float(re.search(r"ran for ([0-9.]+) s", PAGE)[1])
    # Another machine, another day: the page need not follow every measurement, but may not be far from the last.
    assert said / 2 < seconds < said * 1.5, f"{seconds:.2f} s were measured, the page counts {said} s"
    assert f"{said / 8:.4f} GB-s" in PAGE
