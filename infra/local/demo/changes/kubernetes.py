"""Nodes, volumes and pods, as the API server's watches tell them."""

from __future__ import annotations

from typing import Any

from ..events import Event, Lane, Source, Tone

Object = dict[str, Any]

STARTUP_TAINT = "startup-taint.cluster-autoscaler.kubernetes.io/tidegate"
FAST_DISK_LABEL = "fast-disk-node"
LAYOUT_LABEL = "tidegate.dev/disk-layout"
WORKER_LABEL = "tidegate.dev/alluxio-worker"
INSTANCE_LABEL = "tidegate.dev/instance-id"
DRAIN_SINCE = "tidegate.dev/drain-since"
DECOMMISSIONED_AT = "tidegate.dev/decommissioned-at"
WORKER_ROLE = "alluxio-worker"
PROVISIONER = "local-volume-provisioner"


def instance_of(node: Object) -> str:
    """The instance id at the end of a node's provider id."""
    return str(node.get("spec", {}).get("providerID", "")).rsplit("/", 1)[-1]


def labels(item: Object) -> dict[str, str]:
    return dict(item["metadata"].get("labels") or {})


def is_open(node: Object) -> bool:
    """Without the startup taint: pods of applications may come."""
    return all(taint["key"] != STARTUP_TAINT for taint in node.get("spec", {}).get("taints") or [])


def is_ready(item: Object) -> bool:
    """Of a node or a pod."""
    conditions = item.get("status", {}).get("conditions") or []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def is_worker(pod: Object) -> bool:
    return labels(pod).get("role") == WORKER_ROLE


def node(before: Object | None, after: Object | None, at: float) -> list[Event]:
    """`before` is none for a new node, `after` for one that is deleted."""
    about = after or before
    assert about is not None
    id = instance_of(about)
    lane = Lane(id, Source.KUBERNETES)

    def event(key: str, text: str, tone: Tone = Tone.PLAIN, phase: str | None = None, mark: bool = False) -> Event:
        return Event(at, Source.KUBERNETES, f"node/{key}", text, id, tone, lane=lane, phase=phase, mark=mark)

    if after is None:
        return [event("gone", "the node object is deleted", Tone.GOOD, phase="")]
    told = []
    if before is None:
        told.append(event("registered", f"the kubelet registers {after['metadata']['name']}", Tone.WORK, "registered"))
    was: Object = before or {"metadata": {}, "spec": {"taints": [{"key": STARTUP_TAINT}]}}
    if is_ready(after) and not is_ready(was):
        told.append(event("ready", "node is Ready, closed by its startup taint", Tone.WORK, "Ready, tainted"))
    told += _labels(was, after, event)
    if is_open(after) and not is_open(was):
        told.append(event("open", "startup taint taken off: open for pods", Tone.GOOD, "open"))
    if after.get("spec", {}).get("unschedulable") and not was.get("spec", {}).get("unschedulable"):
        told.append(event("cordoned", "cordoned: no new pods", Tone.WAIT, "cordoned"))
    if _annotation(after, DECOMMISSIONED_AT) and not _annotation(was, DECOMMISSIONED_AT):
        told.append(event("decommission-noted", "noted on the node: its worker is out of service", Tone.QUIET))
    return told


def _labels(was: Object, after: Object, event: Any) -> list[Event]:
    old, new = labels(was), labels(after)
    told = []
    if FAST_DISK_LABEL in new and FAST_DISK_LABEL not in old:
        text = f"labelled {FAST_DISK_LABEL}={new[FAST_DISK_LABEL]}, {LAYOUT_LABEL}={new.get(LAYOUT_LABEL, '?')}"
        told.append(event("labelled", text, mark=True))
    if WORKER_LABEL in new and WORKER_LABEL not in old:
        told.append(event("worker-label", f"labelled {WORKER_LABEL}={new[WORKER_LABEL]}: a worker is wanted here"))
    if WORKER_LABEL in old and WORKER_LABEL not in new:
        told.append(event("worker-label-off", "label of the worker taken off: it goes, drained"))
    return told


def _annotation(node: Object, name: str) -> str:
    return (node["metadata"].get("annotations") or {}).get(name, "")


def volume(before: Object | None, after: Object | None, at: float, others: list[Object]) -> list[Event]:
    """`others` are the volumes of the same node beside this one, as they are now."""
    about = after or before
    assert about is not None
    id = labels(about).get(INSTANCE_LABEL, "")
    name, size = about["metadata"]["name"], about["spec"].get("capacity", {}).get("storage", "?")
    lane = Lane(id, Source.VOLUMES)
    if after is None:
        last = not others
        text = f"volume {name} is deleted" + (", the last of the node" if last else "")
        return [
            Event(at, Source.VOLUMES, "volume/gone", text, id, Tone.GOOD, lane=lane, phase="" if last else None),
        ]
    was, phase = (before or {}).get("status", {}).get("phase"), after.get("status", {}).get("phase")
    together = _phase_of_all([*others, after])
    if before is None:
        text = f"disk published as volume {name}, {size} of class {about['spec'].get('storageClassName', '?')}"
        return [Event(at, Source.VOLUMES, "volume/published", text, id, lane=lane, phase=together, tone=Tone.WORK)]
    if phase == was or phase not in ("Bound", "Released", "Failed"):
        return []
    claim = about["spec"].get("claimRef", {})
    words = {
        "Bound": f"volume {name} bound to {claim.get('namespace')}/{claim.get('name')}",
        "Released": f"volume {name} released: its claim is gone",
        "Failed": f"volume {name} failed",
    }
    tone = {"Bound": Tone.GOOD, "Failed": Tone.BAD}.get(phase, Tone.WAIT)
    return [Event(at, Source.VOLUMES, f"volume/{phase.lower()}", words[phase], id, tone, lane=lane, phase=together)]


def _phase_of_all(volumes: list[Object]) -> str:
    phases = {volume.get("status", {}).get("phase") or "Pending" for volume in volumes}
    for phase, word in (("Failed", "failed"), ("Released", "released")):
        if phase in phases:
            return word
    return f"{len(volumes)} bound" if phases == {"Bound"} else f"{len(volumes)} published"


def pod(before: Object | None, after: Object | None, at: float, instance: str) -> list[Event]:
    """`instance` is that of the pod's node, empty before it has one."""
    about = after or before
    assert about is not None
    metadata = about["metadata"]
    what = _what(about)
    lane = Lane(instance, Source.ALLUXIO) if is_worker(about) and instance else None
    kind = "worker-pod" if is_worker(about) else "provisioner" if _is_provisioner(about) else "pod"

    def event(key: str, text: str, tone: Tone = Tone.PLAIN, phase: str | None = None) -> Event:
        return Event(at, Source.KUBERNETES, f"{kind}/{key}", text, instance, tone, lane=lane, phase=phase)

    if after is None:
        return [event("gone", f"{what} is gone", Tone.GOOD, "")] if instance else []
    was: Object = before or {"metadata": {}, "spec": {}}
    told = []
    if about["spec"].get("nodeName") and not was["spec"].get("nodeName"):
        told.append(event("scheduled", f"{what} comes to this node", Tone.WORK, "pod starts"))
    if is_ready(about) and not is_ready(was):
        told.append(event("ready", f"{what} is ready", Tone.PLAIN))
    if metadata.get("deletionTimestamp") and not was["metadata"].get("deletionTimestamp"):
        evicted = any(c["type"] == "DisruptionTarget" for c in about.get("status", {}).get("conditions") or [])
        if evicted:
            told.append(event("evicted", f"{what} is evicted", Tone.WAIT))
        else:
            told.append(event("ending", f"{what} is told to end", Tone.WAIT, "pod ends"))
    return told


def _is_provisioner(pod: Object) -> bool:
    return str(pod["metadata"]["name"]).startswith(PROVISIONER)


def _what(pod: Object) -> str:
    name = pod["metadata"]["name"]
    if is_worker(pod):
        return f"worker pod {name}"
    return f"provisioner {name}" if _is_provisioner(pod) else f"pod {pod['metadata']['namespace']}/{name}"
