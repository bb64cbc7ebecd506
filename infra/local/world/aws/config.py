"""Settings of one local AWS endpoint. Times are seconds."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path

REGION = "us-west-2"
ACCOUNT = "123456789012"

# AWS refuses heartbeat timeouts under 30 s. Tests of timeouts would then take minutes, so the local
# world can be told to accept less; nothing of the product depends on it.
AWS_MINIMUM_HEARTBEAT = 30
MINIMUM_HEARTBEAT_VARIABLE = "TIDEGATE_LOCAL_MINIMUM_HEARTBEAT"

# The sizes of the three subnets follow from a /16 network: x.y.16.0/20, x.y.32.0/20, x.y.48.0/20.
SUBNET_THIRD_OCTETS = {"a": 16, "b": 32, "c": 48}


def minimum_heartbeat() -> int:
    return int(os.environ.get(MINIMUM_HEARTBEAT_VARIABLE, AWS_MINIMUM_HEARTBEAT))


@dataclass(frozen=True)
class Pace:
    """How long the things take that are out of anybody's hands; on AWS each is tens of seconds."""

    boot: float = 1.0
    """An instance is `pending` for this long, then `running`."""
    transition: float = 0.2
    """A passing lifecycle state (Pending, Pending:Proceed, ...) is seen this long."""
    shutdown: float = 0.5
    """An ended instance is `shutting-down` for this long, then `terminated`."""


@dataclass(frozen=True)
class Config:
    world: Path
    port: int = 0
    """0 takes a free port."""
    network: str = "127.10.0.0/16"
    region: str = REGION
    account: str = ACCOUNT
    cluster: str = "tidegate"
    checkout: Path = field(default_factory=lambda: Path(__file__).resolve().parents[4])
    pace: Pace = Pace()
    minimum_heartbeat: int = field(default_factory=minimum_heartbeat)

    @property
    def logs(self) -> Path:
        return self.world / "logs"

    def subnets(self) -> dict[str, str]:
        """Zone name -> CIDR."""
        base = ipaddress.ip_network(self.network).network_address
        return {
            f"{self.region}{zone}": f"{ipaddress.ip_address(int(base) + third * 256)}/20"
            for zone, third in SUBNET_THIRD_OCTETS.items()
        }
