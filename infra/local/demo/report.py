"""The report: one HTML file that needs nothing else. Pure: from the record of a run to text."""

from __future__ import annotations

import datetime as dt
import itertools
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup

from .events import Event, short_names
from .picture import picture
from .record import Act, Record, Written

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Tile:
    """A number at the top of the report."""

    value: str
    unit: str
    label: str


def render(record: Record) -> str:
    """The whole page."""
    # What a program printed is text, never markup.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    environment.filters |= {
        "short_sum": lambda text: str(text)[:12],
        "mib": lambda count: f"{count / 2**20:.0f} MiB",
        "short_names": short_names,
    }
    return environment.get_template("report.html.j2").render(
        style=Markup((_HERE / "report.css").read_text()),
        when=dt.datetime.fromtimestamp(record.began, dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        record=record,
        claims_by_act=[(act, list(made)) for act, made in itertools.groupby(record.claims, lambda claim: claim.act)],
        good=sum(claim.seen for claim in record.claims),
        tiles=tiles(record),
        acts=[(act, _picture(record, act), _lines(record, act)) for act in record.acts],
        outcomes=[{**outcome, "node": _node(record, outcome.get("instanceId", ""))} for outcome in record.outcomes],
        files=[(file, _checks(file)) for file in record.files],
    )


def tiles(record: Record) -> list[Tile]:
    """How long each pictured act took, and what became of the files."""
    found = [
        Tile(f"{act.ended - act.began:.0f}", "s", _SHORT_TITLES[number] if number < len(_SHORT_TITLES) else act.title)
        for number, act in enumerate(act for act in record.acts if act.pictured)
        if act.ended is not None
    ]
    persisted = sum(_fact(outcome, "persistedBytes") for outcome in record.outcomes)
    copied = sum(_fact(outcome, "replicatedBytes") for outcome in record.outcomes)
    found.append(Tile(f"{persisted / 2**20:.0f}", "MiB", "persisted by drains"))
    found.append(Tile(f"{copied / 2**20:.0f}", "MiB", "copied to another worker"))
    intact = sum(all(same for _, same in _checks(file)) for file in record.files)
    found.append(Tile(f"{intact}/{len(record.files)}", "", "files intact"))
    return found


_SHORT_TITLES = ("two nodes join", "one node drained", "the last by hand")


def _fact(outcome: dict, name: str) -> int:
    seen = outcome.get("seen")
    drain = seen.get("drainCache") if isinstance(seen, dict) else None
    return int(drain.get(name, 0)) if isinstance(drain, dict) else 0


def _picture(record: Record, act: Act) -> Markup:
    return Markup(picture(act, record.events, record.names)) if act.pictured else Markup()


def _lines(record: Record, act: Act) -> list[tuple[float, str, Event]]:
    return [
        (event.at - act.began, _node(record, event.instance), event) for event in record.events_of(act) if event.told
    ]


def _node(record: Record, instance: str) -> str:
    return record.names.get(instance, instance)


def _checks(file: Written) -> list[tuple[str, bool]]:
    """When a file was read back, and whether its checksum was the same."""
    return [(when, found == file.sha256) for when, found in file.read_back.items()]
