"""Events in: from the services, from PutEvents. Every event is written to `events.jsonl`."""

from __future__ import annotations

import datetime as dt
import json
import logging
import queue
import threading
import uuid
from pathlib import Path
from typing import Any

from moto.events.models import events_backends

from ..config import Config
from ..errors import ApiError, NotPlayed
from ..wire import Call
from .delivery import Delivery
from .faults import KINDS, Faults

log = logging.getLogger(__name__)

MOST_ENTRIES = 10
# Matching and delivering are short; a few threads keep one slow target from holding up the others.
WORKERS = 4


class EventBus:
    def __init__(self, config: Config, delivery: Delivery, record: Path):
        self._config = config
        self._delivery = delivery
        self.faults = Faults()
        record.parent.mkdir(parents=True, exist_ok=True)
        self._record = record.open("a", buffering=1)
        self._queue: queue.Queue[tuple[str, dict[str, Any]] | None] = queue.Queue()
        self._workers = [
            threading.Thread(target=self._work, name=f"events-{n}", daemon=True)
            for n in range(WORKERS)
        ]
        for worker in self._workers:
            worker.start()

    @property
    def backend(self) -> Any:
        return events_backends[self._config.account][self._config.region]

    def stop(self) -> None:
        for _ in self._workers:
            self._queue.put(None)
        for worker in self._workers:
            worker.join(timeout=5)
        self._record.close()

    def emit(
        self, source: str, detail_type: str, resources: list[str], detail: dict[str, Any]
    ) -> None:
        """An event of an AWS service on the default bus."""
        self._ingest("default", self._event(source, detail_type, resources, detail))

    def _event(
        self,
        source: str,
        detail_type: str,
        resources: list[str],
        detail: Any,
        time: dt.datetime | None = None,
    ) -> dict[str, Any]:
        moment = time or dt.datetime.now(dt.UTC)
        return {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": detail_type,
            "source": source,
            "account": self._config.account,
            "time": moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": self._config.region,
            "resources": resources,
            "detail": detail,
        }

    def _ingest(self, bus: str, event: dict[str, Any]) -> None:
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        if not self._record.closed:
            self._record.write(json.dumps({"time": now, "bus": bus, "event": event}) + "\n")
        for delivered in self.faults.apply(event):
            self._queue.put((bus, delivered))

    def _work(self) -> None:
        while True:
            item = self._queue.get()
            if item is None:
                return
            bus, event = item
            try:
                self._deliver(bus, event)
            except Exception:
                log.exception("event %s could not be delivered", event["id"])

    def _deliver(self, bus: str, event: dict[str, Any]) -> None:
        known = self.backend.event_buses.get(bus)
        for rule in list(known.rules.values()) if known else []:
            # moto lets a rule without a pattern (a schedule) match all, and ignores DISABLED.
            if rule.state != "ENABLED" or not rule.event_pattern.dump():
                continue
            if rule.event_pattern.matches_event(event):
                for target in list(rule.targets):
                    self._delivery.deliver(rule.arn, rule.name, target, event)

    def schedule_fired(self, rule: Any) -> None:
        event = self._event("aws.events", "Scheduled Event", [rule.arn], {})
        for target in list(rule.targets):
            self._delivery.deliver(rule.arn, rule.name, target, event)

    def handle(self, call: Call) -> dict[str, Any] | None:
        """PutEvents is played here; rules, targets and buses are moto's."""
        if call.operation == "PutEvents":
            return self._put_events(call.params["Entries"])
        if call.operation in ("StartReplay", "CreateArchive", "PutPartnerEvents"):
            raise NotPlayed("events", call.operation)
        return None

    def _put_events(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        if not 0 < len(entries) <= MOST_ENTRIES:
            raise ApiError(
                "ValidationException",
                "1 validation error detected: Value '[PutEventsRequestEntry]' at 'entries' failed "
                f"to satisfy constraint: Member must have length between 1 and {MOST_ENTRIES}",
                400,
            )
        results = [self._put_event(entry) for entry in entries]
        return {
            "FailedEntryCount": sum("ErrorCode" in result for result in results),
            "Entries": results,
        }

    def _put_event(self, entry: dict[str, Any]) -> dict[str, str]:
        for field in ("Source", "DetailType", "Detail"):
            if not entry.get(field):
                return _refused(
                    "InvalidArgument",
                    f"Parameter {field} is not valid. Reason: {field} is a required argument.",
                )
        if entry["Source"].startswith("aws."):
            return _refused("NotAuthorizedForSourceException", "Not authorized for the source.")
        try:
            detail = json.loads(entry["Detail"])
        except ValueError:
            return _refused("MalformedDetail", "Detail is malformed.")
        if not isinstance(detail, dict):
            return _refused("MalformedDetail", "Detail is malformed.")
        bus = (entry.get("EventBusName") or "default").split("/")[-1]
        if bus not in self.backend.event_buses:
            # AWS accepts the entry and drops the event.
            return {"EventId": str(uuid.uuid4())}
        event = self._event(
            entry["Source"],
            entry["DetailType"],
            entry.get("Resources") or [],
            detail,
            entry.get("Time"),
        )
        self._ingest(bus, event)
        return {"EventId": event["id"]}

    def admin(self, request: dict[str, Any]) -> dict[str, Any]:
        """POST /local-api/events; see README for the members of a request."""
        if request.get("reset"):
            self._redeliver(self.faults.reset())
        if request.get("release"):
            self._redeliver(self.faults.release())
        for kind in KINDS:
            if request.get(kind):
                self.faults.add(kind, request.get("pattern"), request.get("count"))
        if "put" in request:
            given = request["put"]
            event = self._event(
                given["source"],
                given["detail-type"],
                given.get("resources", []),
                given.get("detail", {}),
            )
            self._ingest("default", event)
        return self.faults.view()

    def _redeliver(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            self._queue.put(("default", event))


def _refused(code: str, message: str) -> dict[str, str]:
    return {"ErrorCode": code, "ErrorMessage": message}
