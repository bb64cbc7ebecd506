"""The machine that absolute numbers are of."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any


def description() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cores": len(os.sched_getaffinity(0)), "memoryBytes": memory, "processor": _processor(), "system": platform.machine()}


def load() -> float:
    """Processes that wanted a core at once, mean of the last minute."""
    return os.getloadavg()[0]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return "unknown"
