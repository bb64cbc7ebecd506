"""The live timeline: one line for an event. Pure; the terminal's abilities are passed in."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import TextIO

from .events import Event, Source, Tone, short_names
from .record import Act, Claim, Listing, Record

_NODE_WIDTH = 19
_SOURCE_WIDTH = 12
_CODES = {
    Tone.QUIET: "2",
    Tone.PLAIN: "",
    Tone.WAIT: "33",
    Tone.WORK: "36",
    Tone.GOOD: "32",
    Tone.BAD: "31;1",
}


def wants_colour(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Only on a terminal, and never where NO_COLOR is set (https://no-color.org)."""
    return stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def width_of(stream: TextIO) -> int:
    """Columns of the terminal; 0 where lines need no end."""
    try:
        return os.get_terminal_size(stream.fileno()).columns if stream.isatty() else 0
    except (OSError, ValueError):
        return 0


class Style:
    """`colour`: with escape codes; `width`: where long lines are folded, 0 for never."""

    def __init__(self, colour: bool, width: int = 0):
        self._colour, self._width = colour, width

    def paint(self, text: str, codes: str) -> str:
        return f"\x1b[{codes}m{text}\x1b[0m" if self._colour and codes and text else text

    def event(self, event: Event, seconds: float, node: str) -> str:
        """`seconds` since the trigger; `node` is the short name, empty for what is about none."""
        head = f"{seconds:7.1f} s  {node or '-':<{_NODE_WIDTH}} {event.source.value:<{_SOURCE_WIDTH}} "
        told = self._folded(short_names(event.text), len(head))
        when = self.paint(head[:11], "2")
        who = head[11:]
        return when + self.paint(who, "2" if event.source is Source.STORY else "") + self.paint(told, _CODES[event.tone])

    def _folded(self, text: str, indent: int) -> str:
        room = self._width - indent
        if room < 30 or len(text) <= room:
            return text
        return f"\n{' ' * indent}".join(textwrap.wrap(text, room))

    def act(self, number: int, act: Act) -> str:
        return f"\n{self.paint(f'{number}  {act.title}', '1')}\n   {self.paint(act.trigger, '2')}"

    def heading(self, text: str) -> str:
        return f"\n{self.paint(text, '1')}"

    def listing(self, listing: Listing) -> str:
        body = textwrap.indent(listing.output.rstrip() or "(nothing)", "    ")
        return f"\n  {self.paint(listing.heading, '1')}\n{body}"

    def claim(self, claim: Claim) -> str:
        sign = self.paint("seen    ", "32") if claim.seen else self.paint("NOT SEEN", "31;1")
        return f"  {sign}  {claim.name}\n            {self.paint(self._folded(short_names(claim.evidence), 12), '2')}"

    def verdicts(self, claims: Sequence[Claim]) -> str:
        """All claims again, act by act; with what was seen only where it was not what was claimed."""
        lines, act = [], ""
        for claim in claims:
            if claim.act != act:
                act = claim.act
                lines.append(f"\n  {self.paint(act, '1')}")
            lines.append(self.claim(claim) if not claim.seen else self.claim(claim).split("\n", 1)[0])
        return "\n".join(lines)

    def summary(self, record: Record) -> str:
        good = sum(claim.seen for claim in record.claims)
        missing = len(record.claims) - good
        if missing:
            return self.paint(f"{good} of {len(record.claims)} claims were seen, {missing} were NOT", "31;1")
        return self.paint(f"all {good} claims were seen", "32;1")
