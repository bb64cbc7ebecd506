"""What the demo claims, and what makes a claim false."""

from __future__ import annotations

import hashlib
from pathlib import Path

from demo import claims
from demo.changes.alluxio import File, Worker
from demo.changes.autoscaling import Instance
from demo.events import Event, Source
from demo.record import Claim, FunctionUse, Written
from demo.seen import Seen
from demo_support import GOES, STAYS, instance, node, volume

HOST, OTHER = "127.7.16.1", "127.7.16.2"
LABELS = {"fast-disk-node": "pv-nvme", "tidegate.dev/disk-layout": "2x300g", "tidegate.dev/instance-id": GOES}


def seen(*moments: tuple[str, float]) -> Seen:
    """With these events about GOES, which is in service with a node, two volumes and a worker."""
    known = Seen(lambda event: None)
    known.instances = {GOES: instance("InService")}
    known.known = {GOES: instance("InService"), STAYS: instance("InService", id=STAYS)}
    known.nodes = {"node-uid": node(LABELS, ready=True, tainted=False)}
    known.volumes = {name: volume(name, "Bound") for name in ("local-pv-1", "local-pv-2")}
    known.workers = {HOST: Worker(HOST, "LIVE", 492 * 2**30, 0)}
    known.events = [Event(at, Source.KUBERNETES, key, key, GOES) for key, at in moments]
    return known


def named(made: list[Claim], part: str) -> Claim:
    [found] = [claim for claim in made if part in claim.name]
    return found


JOINED = (("lifecycle/Pending:Wait", 1), ("worker-pod/ready", 8), ("node/open", 9), ("hook/completed", 10), ("lifecycle/InService", 11))


def test_a_join_is_seen_with_its_order_its_disks_and_its_worker():
    known = seen(*JOINED)
    known.outcomes = [{"instanceId": GOES, "outcome": "joined", "seconds": 10, "reason": "ready"}]
    made = claims.joined(known, [GOES], 0)
    assert [claim.name for claim in made if not claim.seen] == []
    assert "worker 8.0 s, open 9.0 s, hook 10.0 s" in named(made, "then hook").evidence


def test_a_hook_that_is_completed_before_the_node_is_open_is_not_what_was_claimed():
    moments = dict(JOINED) | {"hook/completed": 8.5}
    assert not named(claims.joined(seen(*moments.items()), [GOES], 0), "then hook").seen


def test_a_worker_on_one_of_two_disks_does_not_count():
    known = seen()
    known.workers = {HOST: Worker(HOST, "LIVE", 246 * 2**30, 0)}
    assert not named(claims.joined(known, [GOES], 0), "Alluxio worker").seen


def test_a_disk_that_is_not_bound_does_not_count():
    known = seen()
    known.volumes["local-pv-2"] = volume("local-pv-2", "Available")
    claim = named(claims.joined(known, [GOES], 0), "NVMe disk")
    assert not claim.seen and "1 of 2 disks bound" in claim.evidence


def test_claims_about_no_instance_are_not_seen():
    assert not any(claim.seen for claim in claims.joined(seen(), [], 0))


DRAINED = (
    ("node/cordoned", 1), ("worker/decommissioned", 5), ("worker-pod/ending", 8), ("worker-pod/gone", 9), ("volume/gone", 9.5),
    ("hook/completed", 10), ("lifecycle/gone", 11), ("ec2/terminated", 12), ("node/gone", 13),
)  # fmt: skip


def after_drain(*moments: tuple[str, float]) -> Seen:
    known = seen(*moments)
    known.nodes, known.volumes = {}, {}
    known.events.append(Event(2, Source.KUBERNETES, "pod/evicted", "pod default/report-builder-x is evicted", GOES))
    known.outcomes = [{"instanceId": GOES, "outcome": "drained", "seconds": 10, "reason": "safe"}]
    return known


def test_a_drain_is_seen_with_eviction_decommission_and_nothing_left():
    made = claims.drained(after_drain(*DRAINED), GOES, 0, ["default/report-builder-x"])
    assert [claim.name for claim in made if not claim.seen] == []


def test_a_pod_that_was_not_evicted_is_told():
    made = claims.drained(after_drain(*DRAINED), GOES, 0, ["default/report-builder-y"])
    assert not named(made, "evicted").seen


def test_a_worker_that_goes_before_its_decommission_is_not_what_was_claimed():
    moments = dict(DRAINED) | {"worker/decommissioned": 8.5}
    assert not named(claims.drained(after_drain(*moments.items()), GOES, 0, []), "Decommissioned").seen


def test_a_volume_that_is_left_is_told():
    known = after_drain(*DRAINED)
    known.volumes = {"local-pv-1": volume("local-pv-1", "Released")}
    assert "1 left" in named(claims.drained(known, GOES, 0, []), "volumes").evidence
    assert not named(claims.drained(known, GOES, 0, []), "volumes").seen


def test_events_before_the_trigger_do_not_count():
    made = claims.drained(after_drain(*DRAINED), GOES, 100, ["default/report-builder-x"])
    assert {claim.seen for claim in made if "told on the bus" not in claim.name} == {False}


def file(content: bytes, path: str = "/demo/a", persistable: bool = True, write_type: str = "MUST_CACHE") -> Written:
    digest = hashlib.sha256(content).hexdigest()
    return Written(path, write_type, len(content), HOST, "ip-127-7-16-1", digest, 0.0, persistable)


def test_what_the_under_store_has_is_compared_byte_for_byte(tmp_path: Path):
    (tmp_path / "demo").mkdir()
    assert claims.under_store_says(file(b"x"), tmp_path) == "absent"
    (tmp_path / "demo" / "a").write_bytes(b"y")
    assert claims.under_store_says(file(b"x"), tmp_path) == "differs"
    assert not claims.saved(seen(), [file(b"x")], OTHER, tmp_path)[0].seen
    (tmp_path / "demo" / "a").write_bytes(b"x")
    assert claims.under_store_says(file(b"x"), tmp_path) == "same"
    assert claims.saved(seen(), [file(b"x")], OTHER, tmp_path)[0].seen


def test_what_is_never_persisted_must_be_on_another_worker_and_nowhere_else(tmp_path: Path):
    temporary = file(b"x", "/demo/_temporary/t", persistable=False)
    known = seen()
    known.files = {temporary.path: File(temporary.path, 1, False, "NOT_PERSISTED", (OTHER,))}
    assert claims.saved(known, [temporary], OTHER, tmp_path)[1].seen
    known.files = {temporary.path: File(temporary.path, 1, False, "NOT_PERSISTED", (HOST,))}
    assert not claims.saved(known, [temporary], OTHER, tmp_path)[1].seen


def test_files_are_alone_on_the_node_only_if_nothing_else_has_them():
    files = [file(b"x"), file(b"y", "/demo/b", write_type="ASYNC_THROUGH")]
    known = seen()
    known.files = {each.path: File(each.path, 1, False, "TO_BE_PERSISTED", (HOST,)) for each in files}
    assert [claim.seen for claim in claims.written(known, files, GOES, "default/p", 20.0)] == [True, True, True]
    known.files["/demo/b"] = File("/demo/b", 1, True, "PERSISTED", (HOST,))
    assert [claim.seen for claim in claims.written(known, files, GOES, "", 20.0)] == [False, False, False]


def test_one_file_that_reads_back_differently_makes_the_claim_false_and_is_named():
    good, bad = file(b"x"), file(b"y", "/demo/b")
    good.read_back["then"], bad.read_back["then"] = good.sha256, "timeout"
    claim = claims.read_back([good, bad], "then")
    assert not claim.seen and claim.evidence == "1 of 2 checksums are equal; not: /demo/b"
    assert claims.read_back([good], "then").seen
    assert not claims.read_back([good], "never").seen


def test_a_replacement_in_the_group_is_noticed():
    assert claims.group_has(seen(), [GOES], 1).seen
    assert not claims.group_has(seen(), [], 0).seen
    assert not claims.group_has(seen(), [GOES], 2).seen


def test_a_function_over_its_memory_is_noticed_and_no_call_proves_nothing():
    def use(peak_kb: int) -> FunctionUse:
        return FunctionUse("f", 1, 1, 0, 1.0, 1.0, 1.0, peak_kb, 128)

    assert claims.within_memory([use(128 * 1024)]).seen
    assert not claims.within_memory([use(128 * 1024 + 1)]).seen
    assert not claims.within_memory([]).seen


def test_something_that_is_left_in_the_end_is_noticed():
    known = seen()
    assert not claims.nothing_left(known).seen
    known.nodes, known.volumes, known.workers = {}, {}, {HOST: Worker(HOST, "LOST", 0, 0)}
    assert claims.nothing_left(known).seen


def test_a_node_is_called_by_its_name_after_ec2_has_forgotten_it():
    known = seen()
    known.remember({GOES: Instance(GOES, "", "terminated")})
    assert known.short(GOES) == "ip-127-7-16-1" and known.known[GOES].address == HOST


THREE = ["drain-stalled", "node-incomplete", "volume-orphaned"]


def after_a_check() -> Seen:
    """STAYS has left by a repair, GOES has its worker back by another."""
    known = seen()
    started = "execution drift-jo started by the drift check"
    known.events = [
        Event(1, Source.DRAIN, "execution/started", started, STAYS),
        Event(9, Source.AUTO_SCALING, "lifecycle/gone", "gone", STAYS),
        Event(2, Source.JOIN, "execution/started", started, GOES),
    ]
    return known


def test_what_went_wrong_is_set_right_by_executions_of_the_drift_check():
    made = claims.set_right(after_a_check(), STAYS, GOES, 0, THREE)
    assert [claim.name for claim in made if not claim.seen] == []


def test_each_thing_that_stays_wrong_makes_its_own_claim_false():
    known = after_a_check()
    known.workers = {}
    known.volumes["orphan"] = volume("local-pv-of-a-node-that-is-gone", "Available")
    known.events.pop(1)
    made = claims.set_right(known, STAYS, GOES, 0, THREE[:2])
    assert [claim.seen for claim in made] == [False] * 4


def test_a_node_that_came_back_by_its_own_event_is_no_work_of_the_drift_check():
    known = after_a_check()
    known.events[2] = Event(2, Source.JOIN, "execution/started", "execution 1234 started by its event", GOES)
    assert not named(claims.set_right(known, STAYS, GOES, 0, THREE), "join of").seen
