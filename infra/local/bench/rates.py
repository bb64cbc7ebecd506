"""How fast files reached the under store. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """How many files, and bytes, were persisted at a moment (seconds since any begin)."""

    at: float
    files: int
    bytes: int


@dataclass(frozen=True)
class Rate:
    files: int
    bytes: int
    seconds: float

    @property
    def files_a_second(self) -> float:
        return self.files / self.seconds

    @property
    def bytes_a_second(self) -> float:
        return self.bytes / self.seconds


class NotAllPersisted(Exception):
    """Some files were not persisted by the last sample."""


def rate(began: float, samples: Sequence[Sample], files: int) -> Rate:
    """From `began`, when it was asked for, until the first sample in which all are persisted. Raises NotAllPersisted."""
    for sample in samples:
        if sample.files >= files:
            return Rate(sample.files, sample.bytes, sample.at - began)
    last = samples[-1].files if samples else 0
    raise NotAllPersisted(f"{last} of {files} files were persisted")
