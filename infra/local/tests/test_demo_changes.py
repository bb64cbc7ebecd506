"""What the demo's observers make of what they see."""

from __future__ import annotations

import json

from demo.changes import alluxio, autoscaling, bus, executions, kubernetes
from demo.events import Source, Tone
from demo_support import GOES, instance, node, pod, volume


def keys(events: list) -> list[str]:
    return [event.key for event in events]


def test_an_instance_is_told_at_each_change_of_its_lifecycle_and_at_none_without():
    waiting = {GOES: instance("Pending:Wait")}
    assert keys(autoscaling.instances({}, waiting, 1.0)) == ["lifecycle/Pending:Wait", "ec2/running"]
    assert autoscaling.instances(waiting, waiting, 2.0) == []


def test_an_instance_that_left_its_group_and_ended_is_told_once():
    ended = {GOES: instance("", "terminated")}
    told = autoscaling.instances({GOES: instance("Terminating:Proceed", "shutting-down")}, ended, 1.0)
    assert keys(told) == ["lifecycle/gone", "ec2/terminated"]
    assert told[0].phase == ""
    assert autoscaling.instances(ended, {}, 2.0) == []


def test_a_node_that_opens_is_told_in_the_order_ready_labelled_open():
    new = kubernetes.node(None, node(), 1.0)
    assert keys(new) == ["node/registered"]
    ready = node({"fast-disk-node": "pv-nvme", "tidegate.dev/disk-layout": "2x300g"}, ready=True)
    told = kubernetes.node(node(), ready, 2.0)
    assert keys(told) == ["node/ready", "node/labelled"]
    assert "tidegate.dev/disk-layout=2x300g" in told[1].text
    opened = kubernetes.node(ready, node(ready["metadata"]["labels"], ready=True, tainted=False), 3.0)
    assert [(event.key, event.phase) for event in opened] == [("node/open", "open")]
    assert all(event.instance == GOES for event in [*new, *told, *opened])


def test_a_cordon_the_worker_label_and_the_end_of_a_node_are_told():
    before = node({"tidegate.dev/alluxio-worker": "2x300g"}, ready=True, tainted=False)
    after = node({}, ready=True, tainted=False, unschedulable=True)
    assert keys(kubernetes.node(before, after, 1.0)) == ["node/worker-label-off", "node/cordoned"]
    assert keys(kubernetes.node(after, None, 2.0)) == ["node/gone"]


def test_the_lane_of_volumes_says_how_many_there_are_and_ends_with_the_last():
    first, second = volume("local-pv-1", "Available"), volume("local-pv-2", "Available")
    assert kubernetes.volume(None, second, 1.0, [first])[0].phase == "2 published"
    bound = kubernetes.volume(first, volume("local-pv-1", "Bound"), 2.0, [volume("local-pv-2", "Bound")])
    assert [(event.key, event.phase) for event in bound] == [("volume/bound", "2 bound")]
    assert kubernetes.volume(first, None, 3.0, [second])[0].phase is None
    assert kubernetes.volume(second, None, 4.0, [])[0].phase == ""


def test_an_evicted_pod_is_told_from_one_that_is_merely_deleted():
    running = pod("report-builder-x", ready=True)
    evicted = kubernetes.pod(running, pod("report-builder-x", ready=True, ending=True, evicted=True), 1.0, GOES)
    deleted = kubernetes.pod(running, pod("report-builder-x", ready=True, ending=True), 1.0, GOES)
    assert (keys(evicted), keys(deleted)) == (["pod/evicted"], ["pod/ending"])


def test_a_worker_pod_opens_and_closes_the_lane_of_its_worker():
    coming = kubernetes.pod(None, pod("alluxio-worker-x", role="alluxio-worker"), 1.0, GOES)
    assert [(event.key, event.phase) for event in coming] == [("worker-pod/scheduled", "pod starts")]
    gone = kubernetes.pod(pod("alluxio-worker-x", role="alluxio-worker"), None, 2.0, GOES)
    assert [(event.key, event.phase) for event in gone] == [("worker-pod/gone", "")]
    assert coming[0].lane == gone[0].lane and coming[0].lane.source is Source.ALLUXIO


def worker(state: str) -> alluxio.Worker:
    return alluxio.Worker("127.7.16.1", state, 500 * 2**30, 0)


def test_a_decommissioned_worker_that_falls_silent_is_no_trouble_but_a_live_one_is():
    hosts = {"127.7.16.1": GOES}
    lost = {"127.7.16.1": worker("LOST")}
    calm = alluxio.workers({"127.7.16.1": worker("DECOMMISSIONED")}, lost, 1.0, hosts)
    alarm = alluxio.workers({"127.7.16.1": worker("LIVE")}, lost, 1.0, hosts)
    assert (calm[0].tone, alarm[0].tone) == (Tone.QUIET, Tone.BAD)
    assert calm[0].instance == GOES


def test_a_file_is_told_when_it_is_persisted_and_when_another_worker_has_a_copy():
    before = alluxio.File("/demo/a", 2**20, False, "NOT_PERSISTED", ("127.7.16.1",))
    after = alluxio.File("/demo/a", 2**20, True, "PERSISTED", ("127.7.16.1", "127.7.16.2"))
    names = {"127.7.16.2": "ip-127-7-16-2"}
    told = alluxio.file(before, after, 1.0, {"127.7.16.1": GOES}, names)
    assert keys(told) == ["file/persisted/demo/a", "file/copied/demo/a"]
    assert told[1].text.endswith("on ip-127-7-16-2")
    assert alluxio.file(None, after, 1.0, {}, names) == []


EXECUTION = executions.Execution("arn:aws:states:us-west-2:1:execution:tidegate-node-drain:0123abcd-9", Source.DRAIN, GOES, False)


def raw(number: int, previous: int, kind: str, **details: object) -> dict:
    return {"id": number, "previousEventId": previous, "type": kind, "timestamp": float(number), **details}


def entered(number: int, previous: int, name: str, kind: str = "Task") -> dict:
    return raw(number, previous, f"{kind}StateEntered", stateEnteredEventDetails={"name": name})


def exited(number: int, previous: int, name: str, **output: object) -> dict:
    details = {"name": name, "output": json.dumps(output)}
    return raw(number, previous, "TaskStateExited", stateExitedEventDetails=details)


def told_of(*history: dict) -> list:
    return [event for _, event in executions.history(EXECUTION, history)]


def test_a_function_is_a_phase_from_its_state_s_entry_to_its_outcome():
    told = told_of(
        raw(1, 0, "ExecutionStarted"), entered(2, 1, "RetireWorker"),
        exited(5, 2, "RetireWorker", outcome="retired", reason="worker is gone"),
    )  # fmt: skip
    assert [(event.key, event.phase) for event in told[1:]] == [
        ("entered/RetireWorker", "RetireWorker"),
        ("outcome/RetireWorker/retired", ""),
    ]
    assert told[2].text == "RetireWorker: retired, worker is gone"


def test_the_same_wait_is_told_once_however_often_it_is_looked_at():
    look = {"outcome": "waiting", "reason": "2 pods are left"}
    told = told_of(exited(1, 0, "EvictPods", **look), exited(2, 1, "EvictPods", **look), exited(3, 2, "EvictPods", outcome="evicted"))
    assert [event.told for event in told] == [True, False, True]


def test_a_state_that_is_entered_again_begins_only_once():
    told = told_of(entered(1, 0, "EvictPods"), entered(2, 1, "RecordHeartbeatForPods"), entered(3, 2, "EvictPods"))
    assert [(event.text, event.told) for event in told] == [
        ("EvictPods begins", True), ("RecordHeartbeatForPods begins", False), ("EvictPods begins", False),
    ]  # fmt: skip


def test_branches_that_run_at_once_have_lanes_of_their_own():
    told = told_of(
        raw(1, 0, "ParallelStateStarted"), entered(2, 1, "EvictPods"), entered(3, 1, "DrainCache"),
        exited(4, 3, "DrainCache", outcome="drained"), exited(5, 2, "EvictPods", outcome="evicted"),
    )  # fmt: skip
    lanes = {event.key: event.lane for event in told}
    assert lanes["entered/EvictPods"] == lanes["outcome/EvictPods/evicted"]
    assert lanes["entered/DrainCache"] == lanes["outcome/DrainCache/drained"]
    assert lanes["entered/EvictPods"] != lanes["entered/DrainCache"]


def test_a_failed_call_is_told_with_its_message_and_so_is_the_next_try():
    cause = json.dumps({"errorType": "AlluxioUnavailable", "errorMessage": "connection refused"})
    told = told_of(
        entered(1, 0, "DrainCache"), raw(2, 1, "TaskScheduled"),
        raw(3, 2, "TaskFailed", taskFailedEventDetails={"error": "AlluxioUnavailable", "cause": cause}),
        raw(4, 3, "TaskScheduled"),
    )  # fmt: skip
    assert [event.text for event in told[1:]] == [
        "DrainCache failed: AlluxioUnavailable, connection refused",
        "DrainCache is tried again",
    ]


def test_a_hook_is_completed_when_the_call_has_succeeded_and_not_when_it_was_refused():
    done = told_of(entered(1, 0, "CompleteHook"), exited(2, 1, "CompleteHook"))
    refused = told_of(
        entered(1, 0, "CompleteHook"), raw(2, 1, "TaskFailed", taskFailedEventDetails={"error": "AutoScaling.AutoScalingException"}),
        exited(3, 2, "CompleteHook"),
    )  # fmt: skip
    assert "hook/completed" in keys(done)
    assert "hook/completed" not in keys(refused)


def test_a_longer_history_tells_the_same_of_its_beginning():
    beginning = [raw(1, 0, "ExecutionStarted"), entered(2, 1, "ResolveNode")]
    longer = [*beginning, exited(3, 2, "ResolveNode", outcome="resolved")]
    assert executions.history(EXECUTION, longer)[:2] == executions.history(EXECUTION, beginning)


def test_the_subject_of_an_execution_is_in_its_event_or_in_what_a_person_typed():
    assert executions.subject(json.dumps({"detail": {"EC2InstanceId": GOES}})) == (GOES, False)
    assert executions.subject(json.dumps({"instanceId": GOES})) == (GOES, True)
    assert executions.subject("[]") == ("", True)


def test_an_outcome_on_the_bus_is_told_and_foreign_events_are_not():
    def line(source: str, detail: dict) -> str:
        event = {"source": source, "detail-type": "Node Drain Outcome", "detail": detail}
        return json.dumps({"time": "2025-01-01T00:00:01+00:00", "bus": "default", "event": event})

    ours = line("tidegate", {"outcome": "drained", "seconds": 12, "reason": "all is safe", "instanceId": GOES})
    told = bus.event(ours)
    assert told is not None and (told.key, told.instance) == ("outcome-event/drained", GOES)
    assert bus.outcome(ours)["seconds"] == 12
    assert bus.event(line("aws.states", {})) is None and bus.outcome(line("aws.states", {})) is None
