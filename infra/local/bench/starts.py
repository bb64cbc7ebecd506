"""Cold starts against those of a function that does nothing. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from .records import Invocation


@dataclass(frozen=True)
class Start:
    """Times in seconds."""

    function: str
    count: int
    median: float
    shortest: float
    answer: float
    """Median of spawn to first answer: to the same call, which is refused before any neighbour is asked."""


def starts(invocations: Iterable[Invocation]) -> dict[str, Start]:
    """By function; those without a cold start are left out."""
    inits: dict[str, list[float]] = {}
    answers: dict[str, list[float]] = {}
    for invocation in invocations:
        if invocation.init_seconds is not None:
            inits.setdefault(invocation.function, []).append(invocation.init_seconds)
            answers.setdefault(invocation.function, []).append(invocation.init_seconds + invocation.seconds)
    return {
        function: Start(function, len(found), median(found), min(found), median(answers[function]))
        for function, found in inits.items()
    }


@dataclass(frozen=True)
class Memory:
    """Bytes."""

    function: str
    peak: int
    deployed: int

    @property
    def share(self) -> float:
        return self.peak / self.deployed


def memory(invocations: Iterable[Invocation]) -> list[Memory]:
    """The highest peak of each function, by name."""
    peaks: dict[str, Memory] = {}
    for invocation in invocations:
        if invocation.peak_bytes is not None:
            before = peaks.get(invocation.function)
            if before is None or before.peak < invocation.peak_bytes:
                peaks[invocation.function] = Memory(invocation.function, invocation.peak_bytes, invocation.size_bytes)
    return [peaks[function] for function in sorted(peaks)]
