"""Which seconds of an execution are waiting, and which our own."""

from __future__ import annotations

import pytest
from bench import phases
from bench.history import Execution, execution
from bench_support import History, cold, request

JOIN = (
    History()
    .started(0)
    .stay("ResolveNode", 0, 0.2)
    .stay("LabelNode", 0.2, 4.5)
    .stay("ProvisionVolumes", 4.5, 5)
    .stay("ScheduleWorker", 5, 12)
    .stay("CompleteHook", 12, 12.1)
    .stay("TellOutcome", 12.1, 12.3)
    .succeeded(12.4)
)


def by_name(found: list[phases.Phase]) -> dict[str, phases.Phase]:
    return {phase.name: phase for phase in found}


def measured(history: History, *requests: object, invocations: tuple = ()) -> tuple[Execution, list[phases.Phase]]:
    run = execution(history.events)
    return run, phases.phases(run, requests, invocations)


def test_time_inside_a_watch_is_waiting_and_the_rest_of_the_phase_is_ours():
    _, found = measured(JOIN, request("label-node", "list", "nodes", 0.4, 0.5), request("label-node", "watch", "nodes", 0.5, 4.3))
    phase = by_name(found)["LabelNode"]
    assert phase.waits == {"boot": pytest.approx(3.8)}
    assert phase.own == pytest.approx(0.5)


def test_a_watch_ends_by_the_next_request_at_the_latest():
    watch = request("label-node", "watch", "nodes", 0.5, 9.0)
    _, found = measured(JOIN, watch, request("label-node", "patch", "nodes", 4.0, 4.1))
    assert by_name(found)["LabelNode"].waits == {"boot": pytest.approx(3.5)}


def test_a_pause_between_two_looks_is_waiting_by_its_own_length_only():
    looks = [request("schedule-worker", "list", "pods", at, at + 0.1) for at in (6.0, 6.75, 7.5)]
    _, found = measured(JOIN, *looks)
    # Two gaps of 0.65 s, in each a pause of 0.5 s.
    assert by_name(found)["ScheduleWorker"].waits == {"registration": pytest.approx(1.0)}


def test_a_gap_that_is_shorter_than_a_pause_is_ours():
    looks = [request("schedule-worker", "list", "pods", at, at + 0.1) for at in (6.0, 6.4)]
    _, found = measured(JOIN, *looks)
    assert by_name(found)["ScheduleWorker"].waits == {}


def test_all_seconds_of_an_execution_are_either_waiting_or_ours():
    run, found = measured(JOIN, request("label-node", "watch", "nodes", 0.5, 4.3))
    assert sum(phases.waiting(found).values()) + phases.own_share(found) == pytest.approx(run.seconds)


def test_a_cold_start_is_part_of_its_phase():
    _, found = measured(JOIN, invocations=(cold("label-node", 4.45, 4.0, 0.06), cold("resolve-node", 0.19, 0.1, 0.03)))
    assert by_name(found)["LabelNode"].start == pytest.approx(0.06)
    assert by_name(found)["ResolveNode"].start == pytest.approx(0.03)


def test_a_wait_state_is_waiting_between_two_calls():
    history = (
        History()
        .started(0)
        .stay("LabelNode", 0, 1)
        .stay("Wait", 1, 6, "Wait")
        .stay("LabelNode", 6, 7)
        .stay("TellOutcome", 7, 7.5)
        .succeeded(7.5)
    )
    run, found = measured(history)
    assert phases.waiting(found) == {"next call": pytest.approx(5)}
    assert phases.own_share(found) == pytest.approx(run.seconds - 5)


DRAIN = (
    History()
    .started(0)
    .stay("ResolveNode", 0, 0.1)
    .stay("EvictPods", 0.1, 5.6)
    .stay("DrainCache", 0.1, 12.1)
    .stay("RetireWorker", 12.1, 15.1)
    .stay("TellOutcome", 15.1, 15.3)
    .succeeded(15.3)
)


def test_the_shorter_branch_makes_a_drain_no_longer():
    looks = [request("evict-pods", "list", "pods", 0.3, 0.4), request("evict-pods", "list", "pods", 5.45, 5.5)]
    run, found = measured(DRAIN, *looks)
    assert by_name(found)["EvictPods"].beside
    assert not by_name(found)["DrainCache"].beside
    assert phases.waiting(found) == {}
    assert phases.own_share(found) == pytest.approx(run.seconds)


def test_before_the_decommission_a_drain_waits_for_alluxio_and_after_it_for_clients():
    made = [
        request("drain-cache", "list", "pods", 0.5, 0.6),
        request("drain-cache", "list", "nodes", 4.0, 4.1),
        request("drain-cache", "patch", "nodes", 4.2, 4.3),
        request("drain-cache", "list", "nodes", 6.4, 6.5),
    ]
    _, found = measured(DRAIN, *made)
    assert by_name(found)["DrainCache"].waits == {"persist": pytest.approx(3.0), "clients": pytest.approx(2.0)}


def test_a_retirement_waits_for_the_worker_and_then_for_its_volumes():
    made = [
        request("retire-worker", "watch", "pods", 12.5, 14.0),
        request("retire-worker", "watch", "persistentvolumes", 14.1, 14.4),
    ]
    _, found = measured(DRAIN, *made)
    assert by_name(found)["RetireWorker"].waits == {"worker's end": pytest.approx(1.5), "volumes' end": pytest.approx(0.3)}


def test_each_wait_is_told_in_words():
    told = {what for what in phases._WAITS.values()} | {"next call"}
    assert told == set(phases.OTHERS)
