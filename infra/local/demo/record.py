"""What a run leaves behind: the plain data from which the terminal's summary, the exit status and the report are made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .events import Event


@dataclass(frozen=True)
class Claim:
    """One thing that the demo says of Tidegate, whether it was seen, and what was seen."""

    name: str
    seen: bool
    evidence: str
    act: str = "The whole run"
    """The title of the act that it is about."""


@dataclass
class Act:
    """A part of the story. Seconds are counted from `began`, the moment of its trigger (since the epoch)."""

    title: str
    trigger: str
    began: float
    ended: float | None = None
    pictured: bool = True


@dataclass
class Written:
    """A file of the demo. `persistable`: Alluxio's masters do not refuse to persist its path."""

    path: str
    write_type: str
    bytes: int
    host: str
    """The only worker that got it."""
    node: str
    sha256: str
    written_at: float
    persistable: bool = True
    read_back: dict[str, str] = field(default_factory=dict)
    """After which act, and how: the SHA-256 that was read, or why nothing was."""
    under_store: str = ""
    """How its file in the under store looked at the end: `same`, `differs`, `absent`."""


@dataclass(frozen=True)
class Listing:
    """The output of a command, or, not `typed`, a table of our own."""

    title: str
    output: str
    typed: bool = True

    @property
    def heading(self) -> str:
        return f"$ {self.title}" if self.typed else f"# {self.title}"


@dataclass(frozen=True)
class FunctionUse:
    """All calls of one function; times in milliseconds, memory in kB."""

    function: str
    calls: int
    cold_starts: int
    failed: int
    median_millis: float
    longest_millis: float
    init_millis: float | None
    """The longest cold start."""
    peak_kb: int
    size_mb: int


@dataclass
class Record:
    """The whole run."""

    began: float
    acts: list[Act] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    files: list[Written] = field(default_factory=list)
    outcomes: list[dict[str, Any]] = field(default_factory=list)
    """Details of the outcome events on the bus, with their `detail-type`."""
    listings: list[tuple[str, list[Listing]]] = field(default_factory=list)
    """When they were taken, and what they showed."""
    functions: list[FunctionUse] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    """Instance id to the short name of its node."""

    @property
    def all_seen(self) -> bool:
        return bool(self.claims) and all(claim.seen for claim in self.claims)

    def events_of(self, act: Act) -> list[Event]:
        """In the order of their moments."""
        after = [other.began for other in self.acts if other.began > act.began]
        end = min(after, default=float("inf"))
        return sorted((e for e in self.events if act.began <= e.at < end), key=lambda event: event.at)
