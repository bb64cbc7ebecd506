"""A small run of the demo, made up: what the tests of its pure parts look at."""

from __future__ import annotations

from typing import Any

from demo.changes.autoscaling import Instance
from demo.events import Event, Lane, Source, Tone
from demo.record import Act, Claim, FunctionUse, Listing, Record, Written

Object = dict[str, Any]

GOES, STAYS = "i-0a1b2c3d4e5f60001", "i-0a1b2c3d4e5f60002"
NODE = "ip-127-7-16-4.us-west-2.compute.internal"


def instance(lifecycle: str, state: str = "running", id: str = GOES) -> Instance:
    last = id[-1]
    return Instance(id, lifecycle, state, f"ip-127-7-16-{last}", f"127.7.16.{last}", "us-west-2a", "m5d.4xlarge")


def node(labels: Object | None = None, ready: bool = False, tainted: bool = True, **spec: Any) -> Object:
    taint = {"key": "startup-taint.cluster-autoscaler.kubernetes.io/tidegate", "effect": "NoSchedule"}
    return {
        "metadata": {"uid": "node-uid", "name": NODE, "labels": labels or {}},
        "spec": {"providerID": f"aws:///us-west-2a/{GOES}", "taints": [taint] if tainted else [], **spec},
        "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }


def volume(name: str, phase: str, size: str = "273Gi") -> Object:
    return {
        "metadata": {"uid": name, "name": name, "labels": {"tidegate.dev/instance-id": GOES}},
        "spec": {
            "capacity": {"storage": size},
            "storageClassName": "fast-disks",
            "claimRef": {"namespace": "alluxio", "name": f"claim-{name}"},
        },
        "status": {"phase": phase},
    }


def pod(name: str, *, role: str = "", ready: bool = False, ending: bool = False, evicted: bool = False) -> Object:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    conditions += [{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}] if evicted else []
    metadata: Object = {"uid": name, "name": name, "namespace": "default", "labels": {"role": role} if role else {}}
    if ending:
        metadata["deletionTimestamp"] = "2025-01-01T00:00:00Z"
    return {"metadata": metadata, "spec": {"nodeName": NODE}, "status": {"conditions": conditions}}


def phase(at: float, source: Source, name: str, id: str = GOES, tone: Tone = Tone.WORK, part: str = "") -> Event:
    return Event(at, source, f"test/{name}", f"it is {name}", id, tone, lane=Lane(id, source, part), phase=name)


def record(seen: bool = True) -> Record:
    """Two acts: a join, and the writing of one file."""
    written = Written("/demo/a.parquet", "MUST_CACHE", 8 * 2**20, "127.7.16.1", "ip-127-7-16-1", "ab" * 32, 130.0)
    written.read_back["in the end"] = "ab" * 32
    return Record(
        began=90.0,
        acts=[Act("Two nodes join", "SetDesiredCapacity", 100.0, 120.0), Act("Files", "a file", 125.0, 131.0, pictured=False)],
        events=[
            phase(101.0, Source.AUTO_SCALING, "Pending:Wait", tone=Tone.WAIT),
            phase(102.0, Source.JOIN, "LabelNode", part="abc"),
            phase(104.0, Source.JOIN, "", part="abc"),
            phase(118.0, Source.AUTO_SCALING, "InService", tone=Tone.GOOD),
            Event(130.0, Source.STORY, "story", "a file <script>alert(1)</script>", GOES),
        ],
        claims=[Claim("It joined", True, "at 18 s"), Claim("Nothing was lost", seen, "1 of 1 & so on")],
        files=[written],
        outcomes=[
            {"detail-type": "Node Drain Outcome", "instanceId": GOES, "outcome": "drained", "seconds": 12, "reason": "safe",
             "seen": {"drainCache": {"persistedBytes": 5 * 2**20, "replicatedBytes": 2**20}}},
        ],
        listings=[("in the end", [Listing("kubectl get nodes", "No resources found\n")])],
        functions=[FunctionUse("tidegate-label-node", 3, 1, 0, 12.0, 40.5, 21.0, 20480, 128)],
        names={GOES: "ip-127-7-16-1", STAYS: "ip-127-7-16-2"},
    )  # fmt: skip
