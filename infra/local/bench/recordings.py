"""The files that a world writes, from a moment on."""

from __future__ import annotations

import time
from pathlib import Path

from . import records

_AUDIT, _CALLS, _INVOCATIONS = "audit.log", "aws-calls.jsonl", "lambda-invocations.jsonl"
# The API server writes its audit log in the background.
_SETTLE_SECONDS = 1.0


class Recordings:
    """`actors`: role name to function or state machine."""

    def __init__(self, world: Path, actors: dict[str, str], stack: str):
        self._world, self._actors, self._stack = world, actors, stack
        self._from = {name: _size(world / name) for name in (_AUDIT, _CALLS, _INVOCATIONS)}

    def settle(self) -> None:
        time.sleep(_SETTLE_SECONDS)

    def requests(self) -> list[records.Request]:
        return records.requests(self._lines(_AUDIT))

    def calls(self) -> list[records.Call]:
        return records.calls(self._lines(_CALLS), self._actors)

    def invocations(self) -> list[records.Invocation]:
        return records.invocations(self._lines(_INVOCATIONS), self._stack)

    def _lines(self, name: str) -> list[str]:
        path = self._world / name
        if not path.exists():
            return []
        with path.open() as lines:
            lines.seek(self._from[name])
            return list(lines)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
