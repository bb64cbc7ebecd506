"""An act as an inline SVG: a lane for each part of each node, its phases as bars, what matters most as signs. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from .events import Event, Lane, Source, Span, spans
from .record import Act

# In units of the view box, which is as wide as the report's column: about a pixel each.
WIDTH = 1000.0
_LEFT = 150.0
_RIGHT = 14.0
_AXIS = 26.0
_HEAD = 26.0
_ROW = 24.0
_BAR = 17.0
_GAP = 10.0
# Of the bars' font, 11 units high.
_CHARACTER = 6.15
_SMALLEST = 3.0
_ORDER = (Source.AUTO_SCALING, Source.JOIN, Source.KUBERNETES, Source.VOLUMES, Source.ALLUXIO, Source.DRAIN)


@dataclass(frozen=True)
class _Scale:
    begin: float
    seconds: float

    def x(self, at: float) -> float:
        share = (min(max(at, self.begin), self.begin + self.seconds) - self.begin) / self.seconds
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)


@dataclass(frozen=True)
class _Row:
    label: str
    title: str
    spans: tuple[Span, ...]
    marks: tuple[Event, ...]


def picture(act: Act, events: Sequence[Event], names: Mapping[str, str]) -> str:
    """`events` are those of the whole run; `names` maps instance ids to short names of their nodes."""
    end = act.ended if act.ended is not None else max([act.began, *(event.at for event in events)])
    scale = _Scale(act.began, max(end - act.began, 1.0))
    groups = _groups(act.began, end, events)
    height = _AXIS + sum(_HEAD + _ROW * len(rows) + _GAP for _, rows in groups) + 4
    parts = [
        f'<svg class="picture" viewBox="0 0 {WIDTH:.0f} {height:.0f}" role="img" aria-label="{escape(act.title)}">',
    ]
    bands, lanes = [], []
    top = _AXIS
    for instance, rows in groups:
        room = _HEAD + _ROW * len(rows)
        bands.append(f'<rect class="band" x="0" y="{top:.0f}" width="{WIDTH:.0f}" height="{room + 4:.0f}" rx="8"/>')
        lanes += _group(names.get(instance, instance), instance, rows, top, scale, end)
        top += room + _GAP
    parts += [*bands, *_axis(scale, height), *lanes]
    return "\n".join([*parts, "</svg>"])


def step(seconds: float) -> float:
    """The distance of the axis' ticks: round, and six to twelve of them."""
    for distance in (0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600):
        if seconds / distance <= 12:
            return float(distance)
    return seconds / 12


def _groups(begin: float, end: float, events: Sequence[Event]) -> list[tuple[str, list[_Row]]]:
    """Nodes in the order in which something happened to them; who was only there shows its worker."""
    visible = [s for s in spans(list(events)) if s.lane.instance and s.begin < end and (s.end is None or s.end > begin)]
    marks = [event for event in events if event.mark and begin <= event.at <= end and event.instance]
    first: dict[str, float] = {}
    for span in visible:
        if span.begin >= begin:
            first.setdefault(span.lane.instance, span.begin)
    told = sorted({span.lane.instance for span in visible}, key=lambda id: (first.get(id, end), id))
    groups = []
    for instance in told:
        own = [span for span in visible if span.lane.instance == instance]
        began = {span.lane: span.begin for span in reversed(own)}
        # An execution's name says nothing of its place; the lanes of its branches stay below its own.
        of_execution = {lane.part.split("/")[0]: at for lane, at in began.items() if "/" not in lane.part}
        lanes = sorted(began, key=lambda lane: (_rank(lane), of_execution.get(lane.part.split("/")[0], 0.0), lane.part))
        if instance not in first:
            lanes = [lane for lane in lanes if lane.source is Source.ALLUXIO]
        rows = [_row(lane, own, [mark for mark in marks if mark.instance == instance]) for lane in lanes]
        if rows:
            groups.append((instance, rows))
    return groups


def _rank(lane: Lane) -> int:
    return _ORDER.index(lane.source) if lane.source in _ORDER else len(_ORDER)


def _row(lane: Lane, own: list[Span], marks: list[Event]) -> _Row:
    # What happened to a file is a sign in the lane of the worker that held it.
    here = [m for m in marks if m.lane == lane or (m.source is Source.FILES and lane.source is Source.ALLUXIO)]
    second = "/" in lane.part
    label = "" if second else lane.source.value
    return _Row(label, f"{lane.source.value} {lane.part}".strip(), tuple(s for s in own if s.lane == lane), tuple(here))


def _axis(scale: _Scale, height: float) -> list[str]:
    parts = []
    distance = step(scale.seconds)
    for number in range(int(scale.seconds / distance) + 1):
        x = scale.x(scale.begin + number * distance)
        seconds = number * distance
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_AXIS - 6:.0f}" y2="{height:.0f}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="14">{seconds:g}{" s" if number == 0 else ""}</text>')
    return parts


def _group(name: str, instance: str, rows: list[_Row], top: float, scale: _Scale, end: float) -> list[str]:
    parts = [
        f'<text class="node" x="12" y="{top + 18:.0f}">{escape(name)}'
        + (f' <tspan class="id">{escape(instance)}</tspan>' if name != instance else "")
        + "</text>",
    ]
    for number, row in enumerate(rows):
        y = top + _HEAD + number * _ROW
        parts.append(f'<text class="lane" x="12" y="{y + 13:.0f}"><title>{escape(row.title)}</title>{escape(row.label)}</text>')
        parts += [_bar(span, y, scale, end) for span in row.spans]
        parts += [_mark(mark, y, scale) for mark in row.marks]
    return parts


def _bar(span: Span, y: float, scale: _Scale, end: float) -> str:
    left, right = scale.x(span.begin), scale.x(span.end if span.end is not None else end)
    width = max(right - left, _SMALLEST)
    # What began before the act, or goes on after it, has no duration that this picture could show.
    from_before, goes_on = span.begin < scale.begin, span.end is None or span.end > end
    duration = "" if from_before or goes_on or span.end is None else f" {span.end - span.begin:.1f} s"
    label = next((text for text in (span.phase + duration, span.phase) if len(text) * _CHARACTER + 10 <= width), "")
    since = f"{span.begin - scale.begin:.1f} s" if not from_before else "before"
    until = f"{span.end - scale.begin:.1f} s" if span.end is not None and not goes_on else "later"
    title = f"{span.phase}: {since} to {until}{f' ({duration.strip()})' if duration else ''}\n{span.text}"
    text = f'<text class="inside" x="{left + 6:.1f}" y="{y + 12:.1f}">{escape(label)}</text>' if label else ""
    return (
        f'<g class="bar {span.tone.value}"><title>{escape(title)}</title>'
        f'<rect x="{left:.1f}" y="{y:.1f}" width="{width:.1f}" height="{_BAR:.0f}" rx="3"/>{text}</g>'
    )


def _mark(event: Event, y: float, scale: _Scale) -> str:
    x, middle = scale.x(event.at), y + _BAR / 2
    diamond = f"M{x:.1f} {middle - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z"
    title = f"{event.at - scale.begin:.1f} s: {event.text}"
    return f'<path class="mark" d="{diamond}"><title>{escape(title)}</title></path>'
