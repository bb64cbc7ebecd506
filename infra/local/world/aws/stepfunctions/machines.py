"""A state machine as it was created or last updated."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Machine:
    arn: str
    name: str
    definition_text: str
    definition: dict[str, Any]
    role_arn: str
    created_at: dt.datetime
    updated_at: dt.datetime
    logging: dict[str, Any] = field(default_factory=lambda: {"level": "OFF"})
    tracing: dict[str, Any] = field(default_factory=lambda: {"enabled": False})
    tags: dict[str, str] = field(default_factory=dict)
    revision: str = field(default_factory=lambda: str(uuid.uuid4()))
