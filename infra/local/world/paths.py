"""Where everything of a world lies."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[3]


def cache() -> Path:
    """What outlives worlds and checkouts: installed tools, builds, the locks of networks."""
    given = os.environ.get("TIDEGATE_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidegate"


@dataclass(frozen=True)
class Paths:
    """The files of the world in the directory `world`."""

    world: Path

    @property
    def logs(self) -> Path:
        return self.world / "logs"

    @property
    def pids(self) -> Path:
        return self.world / "pids"

    @property
    def endpoints(self) -> Path:
        """JSON: the address of each part. There only while the world is up."""
        return self.world / "endpoints.json"

    @property
    def progress(self) -> Path:
        """A JSON line for each step of the start."""
        return self.world / "progress.jsonl"

    @property
    def programs(self) -> Path:
        """The compiled programs of this checkout (`make build` puts them there)."""
        return CHECKOUT / "target" / "programs"


def world_directory() -> Path:
    """$TIDEGATE_WORLD, else `.world` in the checkout."""
    return Path(os.environ.get("TIDEGATE_WORLD") or CHECKOUT / ".world").resolve()
