"""How calls, rates, cold starts and memory are counted."""

from __future__ import annotations

import pytest
from bench import counting
from bench.rates import NotAllPersisted, Sample, rate
from bench.records import Invocation
from bench.starts import memory, starts
from bench_support import call, cold, request

WINDOW = counting.Window(10, 20)


def test_calls_are_counted_by_who_made_them_while_the_execution_ran():
    requests = [request("label-node", "list", "nodes", at, at) for at in (9, 11, 12)]
    calls = [call("node-join", "CompleteLifecycleAction", 19), call("node-join", "CompleteLifecycleAction", 21)]
    found = counting.counted(WINDOW, requests, calls, ("label-node", "node-join", "retire-worker"))
    assert [(one.actor, one.kubernetes, one.aws) for one in found] == [("label-node", 2, 0), ("node-join", 0, 1)]


def test_a_question_that_is_asked_again_is_one_question():
    requests = [request("drain-cache", "list", "nodes", at, at, "/api/v1/nodes?labelSelector=a") for at in (11, 12, 13)]
    (found,) = counting.counted(WINDOW, requests, [], ("drain-cache",))
    assert (found.kubernetes, found.questions) == (3, 1)


def test_invocations_of_functions_are_counted_apart():
    calls = [call("node-join", "Invoke", 11, "lambda"), call("node-join", "PutEvents", 12, "events")]
    (found,) = counting.counted(WINDOW, [], calls, ("node-join",))
    assert (found.aws, found.invocations) == (1, 1)


def test_a_total_is_the_sum():
    found = counting.total([counting.Counted("a", 1, 1, 2, 0), counting.Counted("b", 3, 2, 0, 4)])
    assert found == counting.Counted("all", 4, 3, 2, 4)


def test_more_questions_in_a_larger_cluster_are_growth_but_for_one_that_is_chance():
    assert counting.grows({1: 9, 10: 9, 50: 11})
    assert not counting.grows({1: 9, 10: 10, 50: 9})
    assert not counting.grows({1: 9, 10: 9, 50: 9})
    assert not counting.grows({50: 9, 10: 7, 1: 9})


def test_only_calls_of_clients_that_have_logged_in_are_read_from_a_master():
    metrics = {
        "timers": {
            "Master.GetStatus.User:alluxio": {"count": 5},
            "Master.GetStatus.User:spark": {"count": 2},
            "Master.getConfiguration": {"count": 20},
            "Master.GetSpace.User:alluxio.UFS:x.UFS_TYPE:local": {"count": 3},
        }
    }
    assert counting.readings(metrics) == {"GetStatus": 7}


def test_between_two_readings_the_functions_own_calls_are_told():
    before = {"GetStatus": 5, "blockHeartbeat": 10}
    after = {"GetStatus": 9, "blockHeartbeat": 30, "DecommissionWorker": 1}
    assert counting.master_calls(before, after) == {"GetStatus": 4, "DecommissionWorker": 1}


def test_a_rate_is_taken_until_all_files_are_there():
    samples = [Sample(10, 0, 0), Sample(12, 50, 500), Sample(14, 100, 1000), Sample(16, 100, 1000)]
    found = rate(9, samples, 100)
    assert found.seconds == 5
    assert (found.files_a_second, found.bytes_a_second) == (20, 200)


def test_without_all_files_there_is_no_rate():
    with pytest.raises(NotAllPersisted, match="50 of 100"):
        rate(0, [Sample(1, 50, 500)], 100)


def test_a_cold_start_is_the_median_of_many_and_warm_calls_do_not_count():
    warm = Invocation("label-node", 9, 0.5, None, 0, 1, False)
    found = starts([cold("label-node", 1, 0.01, init) for init in (0.03, 0.01, 0.02)] + [warm])
    assert found["label-node"].count == 3
    assert found["label-node"].median == pytest.approx(0.02)
    assert found["label-node"].shortest == pytest.approx(0.01)
    assert found["label-node"].answer == pytest.approx(0.03)


def test_of_memory_the_highest_peak_counts():
    found = memory([Invocation("f", 1, 1, None, peak, 100, False) for peak in (10, 30, 20, None)])
    assert [(one.peak, one.share) for one in found] == [(30, 0.3)]
