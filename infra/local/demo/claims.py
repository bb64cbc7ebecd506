"""What the demo says of Tidegate, each compared with what was seen. Pure: claims from what is known at the moment."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from .changes import kubernetes
from .changes.alluxio import gibibytes, mebibytes
from .record import Claim, FunctionUse, Written
from .seen import Seen

_GIBIBYTE = 2**30


def joined(seen: Seen, instances: Sequence[str], since: float) -> list[Claim]:
    """Of a scale-out by these instances, triggered at `since`."""
    each = _Each(seen, instances)
    return [
        each.claim(
            "Each new instance was stopped at its launch hook",
            lambda id: _moment(seen, "lifecycle/Pending:Wait", id, since, "Pending:Wait"),
        ),
        each.claim("Each node was labelled with what its disks are", lambda id: _labelled(seen, id)),
        each.claim("Each NVMe disk became a volume of its node, and is bound", lambda id: _volumes(seen, id)),
        each.claim("An Alluxio worker serves on these disks, with what they can hold", lambda id: _worker(seen, id)),
        each.claim(
            "Worker ready, then node opened for pods, then hook completed, then in service",
            lambda id: _order(
                seen, id, since,
                ("worker-pod/ready", "worker"), ("node/open", "open"), ("hook/completed", "hook"),
                ("lifecycle/InService", "InService"),
            ),  # fmt: skip
        ),
        each.claim("Its execution told the outcome on the bus: joined", lambda id: _outcome(seen, id, "joined")),
    ]


def written(seen: Seen, files: Sequence[Written], victim: str, pod: str, now: float) -> list[Claim]:
    """Before the scale-in: what only the node holds that will go. `pod` is the application's, on that node."""
    node = seen.short(victim)
    only = []
    for file in files:
        status = seen.files.get(file.path)
        if status and file.host == seen.known[victim].address and status.hosts == (file.host,) and not status.persisted:
            only.append(f"{file.path} ({file.write_type}, {mebibytes(file.bytes)})")
    alone = [file for file in files if file.node == node and file.write_type != "CACHE_THROUGH"]
    lazy = next(file for file in files if file.write_type == "ASYNC_THROUGH")
    status = seen.files.get(lazy.path)
    waited = now - lazy.written_at
    return [
        Claim(
            f"{_count(len(alone), 'file')} exist nowhere but on {node}, which will go",
            len(only) == len(alone),
            "; ".join(only) or "none",
        ),
        Claim(
            "Nobody persists the ASYNC_THROUGH file by itself",
            bool(status and not status.persisted),
            f"{waited:.0f} s after it was written it is {status.state if status else 'gone'}",
        ),
        Claim(f"An application's pod runs on {node}", bool(pod), pod or "none"),
    ]


def drained(seen: Seen, victim: str, since: float, pods: Sequence[str]) -> list[Claim]:
    """Of the end of `victim`, triggered at `since`. `pods` are the names of the application's pods there."""
    node = seen.short(victim)

    def at(key: str) -> str:
        moment = seen.when(key, victim, since)
        return "never" if moment is None else f"{moment - since:.1f} s"

    evicted = [event.text for event in seen.all_of("pod/evicted", victim, since)]
    kept = [pod for pod in pods if not any(pod in text for text in evicted)]
    gone = len(seen.all_of("volume/gone", victim, since))
    left = len(seen.volumes_of(victim))
    return [
        Claim(
            f"{node} was cordoned, and the application's pod evicted",
            seen.when("node/cordoned", victim, since) is not None and bool(evicted) and not kept,
            f"cordoned at {at('node/cordoned')}; " + ("; ".join(evicted) or "no eviction seen"),
        ),
        _claim_order(
            seen, victim, since, "Decommissioned, then its worker ended, and only then the hook was completed",
            ("worker/decommissioned", "decommissioned"), ("worker-pod/ending", "worker ending"),
            ("worker-pod/gone", "worker gone"), ("hook/completed", "hook"),
        ),
        Claim(
            f"The volumes of {node} are gone",
            gone > 0 and left == 0,
            f"{gone} deleted, the last at {at('volume/gone') if gone == 1 else _last(seen, 'volume/gone', victim, since)}; {left} left",
        ),
        Claim(
            f"The instance of {node} ended, and its node with it",
            seen.when("ec2/terminated", victim, since) is not None and seen.node_of(victim) is None,
            f"left its group at {at('lifecycle/gone')}, terminated at {at('ec2/terminated')}, node deleted at {at('node/gone')}",
        ),
        Claim("The outcome was told on the bus: drained", *_outcome(seen, victim, "drained")),
    ]  # fmt: skip


def saved(seen: Seen, files: Sequence[Written], stayer: str, under_store: Path) -> list[Claim]:
    """Of the files of a node that has gone while `stayer`, a host, has stayed."""
    persistable = [file for file in files if file.persistable]
    refused = [file for file in files if not file.persistable]
    claims = [
        Claim(
            "Every file of that node that may be persisted is in the under store, byte for byte",
            all(under_store_says(file, under_store) == "same" for file in persistable),
            "; ".join(f"{file.path}: {under_store_says(file, under_store)}" for file in persistable),
        )
    ]
    for file in refused:
        status = seen.files.get(file.path)
        hosts = status.hosts if status else ()
        claims.append(
            Claim(
                "What Alluxio never persists (_temporary) was copied to another worker, and not persisted",
                stayer in hosts and under_store_says(file, under_store) == "absent",
                f"{file.path}: on {', '.join(seen.host_names().get(host, host) for host in hosts) or 'no worker'}, "
                f"in the under store {under_store_says(file, under_store)}",
            )
        )
    return claims


def read_back(files: Iterable[Written], when: str) -> Claim:
    """`when` is the key of `Written.read_back`."""
    told = {file.path: file.read_back[when] == file.sha256 for file in files if when in file.read_back}
    wrong = [path for path, same in told.items() if not same]
    return Claim(
        f"Every file reads back as it was written, {when}",
        bool(told) and not wrong,
        f"{len(told) - len(wrong)} of {len(told)} checksums are equal" + (f"; not: {', '.join(wrong)}" if wrong else ""),
    )


def by_hand(seen: Seen, victim: str, since: float) -> list[Claim]:
    """Of a drain that a person started."""
    ended = seen.when("instance/ended-by-us", victim, since)
    return [
        Claim(
            "Started by hand, the drain ended the instance itself, after it was drained",
            ended is not None,
            "never" if ended is None else f"TerminateInstanceInAutoScalingGroup at {ended - since:.1f} s",
        )
    ]


def group_has(seen: Seen, members: Sequence[str], desired: int) -> Claim:
    """`desired` is what the group says now."""
    there = sorted(id for id, instance in seen.instances.items() if instance.lifecycle)
    return Claim(
        f"Nothing replaces what was drained: the group has {_count(len(members), 'instance')} and wants no more",
        there == sorted(members) and desired == len(members),
        f"{_count(len(there), 'member')}, desired capacity {desired}",
    )


def nothing_left(seen: Seen) -> Claim:
    live = [worker.host for worker in seen.workers.values() if worker.state == "LIVE"]
    return Claim(
        "Of the nodes nothing is left: no node, no volume, no worker in service",
        not seen.nodes and not seen.volumes and not live,
        f"{len(seen.nodes)} nodes, {len(seen.volumes)} volumes, {len(live)} workers",
    )


def set_right(seen: Seen, leaving: str, staying: str, since: float, kinds: Iterable[str]) -> list[Claim]:
    """Of what went wrong behind Tidegate's back, and of the kinds that drift checks since then have found."""
    wanted = ("drain-stalled", "node-incomplete", "volume-orphaned")
    found = sorted(kinds)
    drained_at = seen.when("lifecycle/gone", leaving, since)
    back = seen.worker_of(staying)
    orphans = [name for v in seen.volumes.values() if "gone" in (name := v["metadata"]["name"])]
    by_check = {event.instance for event in seen.all_of("execution/started", since=since - 1) if "drift check" in event.text}
    return [
        Claim("The drift check found all three", set(wanted) <= set(found), ", ".join(found) or "nothing"),
        Claim(
            f"It started the drain of {seen.short(leaving)} that no event had started, and the instance is gone",
            leaving in by_check and drained_at is not None,
            "not gone" if drained_at is None else f"gone after {drained_at - since:.1f} s",
        ),
        Claim(
            f"It started a join of {seen.short(staying)}, and its worker serves again",
            staying in by_check and back is not None,
            f"capacity {gibibytes(back.capacity_bytes)}" if back else "no worker in service",
        ),
        Claim("The volume that was left over is deleted", not orphans, ", ".join(orphans) or "none is left"),
    ]


def consistent(outcome: str) -> Claim:
    """Of the outcome of the last check."""
    return Claim("The last drift check finds nothing that differs", outcome == "consistent", outcome)


def within_memory(uses: Sequence[FunctionUse]) -> Claim:
    """A function that needs more than it has is ended by Lambda."""
    fullest = max(uses, key=lambda use: use.peak_kb / use.size_mb, default=None)
    return Claim(
        "Every function kept within its memory",
        fullest is not None and fullest.peak_kb <= fullest.size_mb * 1024,
        "no calls" if fullest is None
        else f"the fullest is {fullest.function}: {fullest.peak_kb / 1024:.1f} of {fullest.size_mb} MB",
    )  # fmt: skip


def under_store_says(file: Written, under_store: Path) -> str:
    """`same`, `differs` or `absent`: how the file in the under store compares with what was written."""
    found = under_store_checksum(file, under_store)
    return "absent" if not found else "same" if found == file.sha256 else "differs"


def under_store_checksum(file: Written, under_store: Path) -> str:
    """The SHA-256 of the file in the under store, empty where there is none."""
    stored = under_store / file.path.lstrip("/")
    if not stored.is_file():
        return ""
    with stored.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


# evidence of single instances: whether it is so, and in what words

_Evidence = tuple[bool, str]


class _Each:
    def __init__(self, seen: Seen, instances: Sequence[str]):
        self._seen, self._instances = seen, instances

    def claim(self, name: str, evidence: Callable[[str], _Evidence]) -> Claim:
        found = [(self._seen.short(id), *evidence(id)) for id in self._instances]
        good = bool(found) and all(true for _, true, _ in found)
        return Claim(name, good, "; ".join(f"{node}: {text}" for node, _, text in found) or "no instance")


def _moment(seen: Seen, key: str, id: str, since: float, words: str) -> _Evidence:
    at = seen.when(key, id, since)
    return at is not None, f"{words} never seen" if at is None else f"{words} at {at - since:.1f} s"


def _order(seen: Seen, id: str, since: float, *steps: tuple[str, str]) -> _Evidence:
    moments = [(words, seen.when(key, id, since)) for key, words in steps]
    known = [moment for _, moment in moments if moment is not None]
    text = ", ".join(f"{words} {'never' if at is None else f'{at - since:.1f} s'}" for words, at in moments)
    return len(known) == len(moments) and known == sorted(known), text


def _claim_order(seen: Seen, id: str, since: float, name: str, *steps: tuple[str, str]) -> Claim:
    return Claim(name, *_order(seen, id, since, *steps))


def _last(seen: Seen, key: str, id: str, since: float) -> str:
    moments = [event.at for event in seen.all_of(key, id, since)]
    return f"{max(moments) - since:.1f} s" if moments else "never"


def _labelled(seen: Seen, id: str) -> _Evidence:
    node = seen.node_of(id)
    labels = kubernetes.labels(node) if node else {}
    wanted = (kubernetes.FAST_DISK_LABEL, kubernetes.LAYOUT_LABEL, kubernetes.INSTANCE_LABEL)
    text = ", ".join(f"{label}={labels[label]}" for label in wanted if label in labels)
    return labels.get(kubernetes.INSTANCE_LABEL) == id and all(label in labels for label in wanted), text or "no labels"


def _disks(seen: Seen, id: str) -> int:
    """From the layout that the function found out, such as 2x300g."""
    node = seen.node_of(id)
    found = re.match(r"(\d+)x", kubernetes.labels(node).get(kubernetes.LAYOUT_LABEL, "")) if node else None
    return int(found[1]) if found else 0


def _volumes(seen: Seen, id: str) -> _Evidence:
    volumes = seen.volumes_of(id)
    bound = [volume for volume in volumes if volume.get("status", {}).get("phase") == "Bound"]
    sizes = " + ".join(volume["spec"]["capacity"]["storage"] for volume in volumes)
    disks = _disks(seen, id)
    return len(bound) == disks > 0, f"{len(bound)} of {disks} disks bound ({sizes})"


def _worker(seen: Seen, id: str) -> _Evidence:
    worker = seen.worker_of(id)
    if worker is None:
        return False, "no worker in service"
    sizes = [_bytes(volume["spec"]["capacity"]["storage"]) for volume in seen.volumes_of(id)]
    # More than all disks but one can hold, and not more than there is: so every disk is a tier.
    enough = bool(sizes) and sum(sizes) - min(sizes) < worker.capacity_bytes <= sum(sizes)
    return enough, f"{gibibytes(worker.capacity_bytes)} on volumes of {gibibytes(sum(sizes))}"


def _bytes(quantity: str) -> int:
    """Of a volume's capacity; the provisioner says Ki, Mi or Gi, or plain bytes."""
    units = {"Ki": 2**10, "Mi": 2**20, "Gi": _GIBIBYTE, "Ti": 2**40}
    return int(quantity[:-2]) * units[quantity[-2:]] if quantity[-2:] in units else int(quantity)


def _outcome(seen: Seen, id: str, wanted: str) -> _Evidence:
    told = [outcome for outcome in seen.outcomes if outcome.get("instanceId") == id]
    found = [outcome for outcome in told if outcome.get("outcome") == wanted]
    words = "; ".join(f"{o.get('outcome')} after {o.get('seconds')} s ({o.get('reason')})" for o in found or told)
    return bool(found), words or "no outcome event"
