"""How the benchmark reads what a world has written."""

from __future__ import annotations

import json

import pytest
from bench.history import NotEnded, execution
from bench.records import calls, invocations, requests
from bench_support import History, audit_line

OURS = ["tidegate:label-node", "system:authenticated"]


def test_a_watch_is_one_request_from_its_begin_to_its_end():
    lines = [
        audit_line("w", "ResponseStarted", 10, 10.01, OURS, verb="watch"),
        audit_line("l", "ResponseComplete", 9, 9.5, OURS),
        audit_line("w", "ResponseComplete", 10, 14, OURS, verb="watch"),
    ]
    listed, watched = requests(lines)
    assert (listed.verb, watched.verb) == ("list", "watch")
    assert (watched.began, watched.ended) == (10, 14)


def test_requests_of_others_are_not_counted():
    assert requests([audit_line("k", "ResponseComplete", 1, 2, ["system:nodes"])]) == []


def test_a_line_that_is_being_written_is_left_for_later():
    whole = audit_line("l", "ResponseComplete", 1, 2, OURS)
    assert len(requests([whole, whole[:40]])) == 1


def test_a_subresource_is_another_resource():
    line = audit_line("e", "ResponseComplete", 1, 2, OURS, verb="create", ref={"resource": "pods", "subresource": "eviction"})
    assert requests([line])[0].resource == "pods/eviction"


def test_a_watch_that_goes_on_asks_what_was_asked_before():
    first = audit_line("a", "ResponseComplete", 1, 2, OURS, verb="watch", uri="/api/v1/pods?watch=true&resourceVersion=7&timeoutSeconds=20")
    later = audit_line("b", "ResponseComplete", 3, 4, OURS, verb="watch", uri="/api/v1/pods?watch=true&resourceVersion=9&timeoutSeconds=15")
    assert len({request.question for request in requests([first, later])}) == 1


def test_a_further_page_of_a_list_is_another_question():
    first = audit_line("a", "ResponseComplete", 1, 2, OURS, uri="/api/v1/nodes?limit=500")
    second = audit_line("b", "ResponseComplete", 3, 4, OURS, uri="/api/v1/nodes?limit=500&continue=abc")
    assert len({request.question for request in requests([first, second])}) == 2


def aws_line(role: str, service: str, action: str) -> str:
    return json.dumps(
        {
            "time": "2026-01-01T00:00:01.500+00:00",
            "service": service,
            "action": action,
            "principal": f"arn:aws:sts::123456789012:assumed-role/{role}/session",
            "status": 200,
            "source": "lambda",
        }
    )


def test_aws_calls_are_those_of_our_roles():
    lines = [aws_line("LabelRole", "eks", "DescribeCluster"), aws_line("SomebodysRole", "ec2", "DescribeInstances")]
    found = calls(lines, {"LabelRole": "label-node"})
    assert [(call.actor, call.action) for call in found] == [("label-node", "DescribeCluster")]


def test_redeeming_a_token_is_a_call_of_the_cluster():
    assert calls([aws_line("LabelRole", "sts", "GetCallerIdentity")], {"LabelRole": "label-node"}) == []


def test_only_a_cold_start_has_a_time_of_its_own():
    line = {
        "time": "2026-01-01T00:00:02.000+00:00",
        "function": "tidegate-label-node",
        "durationMillis": 500.0,
        "initMillis": 40.0,
        "peakMemoryKb": 1024,
        "memorySizeMb": 128,
        "outcome": "success",
    }
    started, warm = invocations([json.dumps(line), json.dumps(line | {"initMillis": None})], "tidegate")
    assert started.function == "label-node"
    assert started.init_seconds == pytest.approx(0.04)
    assert started.ended - started.began == pytest.approx(0.5)
    assert started.peak_bytes == 1024 * 1024
    assert warm.init_seconds is None


def test_a_state_that_is_entered_again_is_another_stay():
    history = History().started(0).stay("Wait", 1, 3, "Wait").stay("Wait", 5, 8, "Wait").succeeded(9)
    found = execution(history.events)
    assert [stay.seconds for stay in found.stays("Wait")] == [2, 3]
    assert (found.seconds, found.status) == (9, "SUCCEEDED")


def test_an_execution_that_runs_has_no_length_yet():
    with pytest.raises(NotEnded):
        execution(History().started(0).stay("LabelNode", 1, 2).events)
