"""The second part: what no event tells. Things go wrong behind Tidegate's back, and the drift check sets them right."""

from __future__ import annotations

import json
import time
from typing import Any

from . import claims, listings
from .changes import kubernetes
from .events import Event, Source, Tone
from .record import Listing
from .seen import NotSeen
from .telling import JOIN_SECONDS, MOMENT_SECONDS, Telling

_WORKER_LABEL = "tidegate.dev/alluxio-worker"
_ORPHAN = "local-pv-of-a-node-that-is-gone"
# A repair a check, as the group is small; each of the three things that are wrong, and one that finds nothing.
_MOST_CHECKS = 6
_CHECK_SECONDS = 90


class Repairs(Telling):
    """`run` raises NotSeen where it cannot go on."""

    async def run(self) -> None:
        both = await self._scale_out("Two nodes join again")
        leaving, staying = both
        await self._break(leaving, staying)
        await self._check_until_consistent(leaving, staying)

    async def _break(self, leaving: str, staying: str) -> None:
        short = self._seen.short
        act = self._begin(
            "Three things go wrong that nobody tells",
            f"the group scales in and the event is lost; the worker of {short(staying)} is taken away; a volume is left over",
        )
        self._services.lose_events()
        self._services.end_instance(leaving)
        await self._seen.until(
            f"{leaving} waits at its terminate hook",
            MOMENT_SECONDS,
            lambda: self._seen.when("lifecycle/Terminating:Wait", leaving, act.began) is not None,
        )
        self._tell(f"the event of {short(leaving)} is lost: no execution knows that it waits", leaving, Tone.BAD)
        await self._label(staying, _WORKER_LABEL, None)
        await self._seen.until(
            f"the worker of {short(staying)} is gone", MOMENT_SECONDS, lambda: not self._worker_pods(staying)
        )
        self._tell(f"somebody took the label off {short(staying)} that runs its worker", staying, Tone.BAD)
        await self._api.create("/api/v1/persistentvolumes", _orphan())
        await self._seen.until("the volume is seen", MOMENT_SECONDS, lambda: bool(self._orphans()))
        self._tell(f"volume {_ORPHAN} is there, of an instance that nobody knows", tone=Tone.BAD)
        self._end(act)

    async def _check_until_consistent(self, leaving: str, staying: str) -> None:
        arn = self._services.drift_check_arn
        command = ("aws", "stepfunctions", "start-execution", "--state-machine-arn", arn, "--input", "{}")
        act = self._begin("The drift check sets them right", f"$ {' '.join(command[:3])} --input '{{}}', as its schedule does")
        kinds: set[str] = set()
        outcome = ""
        for number in range(1, _MOST_CHECKS + 1):
            report = await self._check(command)
            outcome = report["outcome"]
            findings = report.get("findings", [])
            self._show(number, report)
            if outcome == "consistent":
                break
            kinds |= {finding["kind"] for finding in findings}
            repaired = [id for id in (leaving, staying) if any(_begun(finding, id) for finding in findings)]
            await self._seen.until(
                "what the check has started is at its end",
                JOIN_SECONDS,
                lambda repaired=repaired: self._all_ended(repaired, act.began),
            )
        await self._seen.until("the node that leaves is gone", MOMENT_SECONDS, lambda: self._seen.node_of(leaving) is None)
        await self._seen.until("the volume is gone", MOMENT_SECONDS, lambda: not self._orphans())
        await self._seen.until("the worker is back", MOMENT_SECONDS, lambda: self._seen.worker_of(staying) is not None)
        self._end(act)
        self._services.lose_no_more_events()
        self._claim(*claims.set_right(self._seen, leaving, staying, act.began, kinds))
        self._claim(claims.consistent(outcome))

    async def _check(self, command: tuple[str, ...]) -> dict[str, Any]:
        shown = await listings.run(command, self._environment)
        try:
            arn = json.loads(shown.output)["executionArn"]
        except (ValueError, KeyError):
            raise NotSeen(f"start-execution was not accepted: {shown.output.strip()}") from None
        ends = time.monotonic() + _CHECK_SECONDS
        while time.monotonic() < ends:
            told = self._services.execution(arn)
            if told["status"] == "SUCCEEDED":
                return dict(json.loads(told["output"]))
            if told["status"] != "RUNNING":
                raise NotSeen(f"the drift check ended as {told['status']}: {told.get('cause', '')}")
            await self._pass_time(0.5)
        raise NotSeen(f"the drift check was not at its end within {_CHECK_SECONDS} s")

    def _show(self, number: int, report: dict[str, Any]) -> None:
        for finding in report.get("findings", []):
            text = f"check {number} found {finding['kind']}: {finding['subject']}: {finding['done']}"
            self._seen.add(Event(time.time(), Source.CHECK, f"found/{finding['kind']}", text, tone=Tone.WORK))
        good = report["outcome"] == "consistent"
        text = f"check {number}: {report['outcome']}: {report['reason']}"
        self._seen.add(
            Event(time.time(), Source.CHECK, f"check/{report['outcome']}", text, tone=Tone.GOOD if good else Tone.PLAIN)
        )
        listing = Listing(f"the table of check {number}", report.get("table", ""), typed=False)
        self._record.listings.append((f"in drift check {number}", [listing]))
        print(self._style.listing(listing), flush=True)

    async def _label(self, instance: str, label: str, value: str | None) -> None:
        node = self._seen.node_of(instance)
        if node is None:
            raise NotSeen(f"{instance} is no node")
        await self._api.patch(f"/api/v1/nodes/{node['metadata']['name']}", {"metadata": {"labels": {label: value}}})

    def _worker_pods(self, instance: str) -> list[str]:
        node = self._seen.node_of(instance)
        name = node["metadata"]["name"] if node else ""
        return [
            pod["metadata"]["name"]
            for pod in self._seen.pods.values()
            if pod["metadata"]["namespace"] == "alluxio" and pod["spec"].get("nodeName") == name and kubernetes.is_ready(pod)
        ]

    def _orphans(self) -> list[str]:
        return [name for volume in self._seen.volumes.values() if (name := volume["metadata"]["name"]) == _ORPHAN]


def _begun(finding: dict[str, Any], instance: str) -> bool:
    return instance in finding["subject"] and str(finding["done"]).startswith("started ")


def _orphan() -> dict[str, Any]:
    host = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["ip-10-255-255-254.us-west-2.compute.internal"]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": _ORPHAN, "labels": {"tidegate.dev/instance-id": "i-00000000000000bad"}},
        "spec": {
            "capacity": {"storage": "273Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": "fast-disks",
            "local": {"path": "/mnt/fast-disks/gone"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [host]}]}},
        },
    }
