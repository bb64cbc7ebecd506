"""Starts each function, and one that does nothing, again and again."""

from __future__ import annotations

import io
import os
import subprocess
import zipfile
from pathlib import Path
from typing import Any

from world.paths import CHECKOUT

from .recordings import Recordings
from .services import EVERY_FUNCTION, Services, until
from .starts import starts

HELLO = "hello-world"
# Odd, so that the median is one of them. The first ones read the binaries from the disk and are not counted.
ROUNDS = 11
_WARM_UPS = 2
_CRATE = Path(__file__).parent / HELLO
# Refused before any neighbour is asked.
_NOTHING = b"{}"
# What everybody uses for zips, and what cargo-lambda's are.
_DEFLATE_LEVEL = 6


def build_hello_world() -> Path:
    """Its release binary. Raises CalledProcessError."""
    target = CHECKOUT / "target" / HELLO
    command = ["cargo", "build", "--release", "--locked", "--quiet", "--manifest-path", str(_CRATE / "Cargo.toml")]
    subprocess.run(command, check=True, env=os.environ | {"CARGO_TARGET_DIR": str(target)})
    return target / "release" / HELLO


def bootstrap(function: str) -> Path:
    """The binary of a function, where `make build` puts it."""
    return CHECKOUT / "target" / "lambda" / function / "bootstrap"


def zipped(binary: Path) -> bytes:
    """A deployment package."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=_DEFLATE_LEVEL) as archive:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(entry, binary.read_bytes())
    return packed.getvalue()


def sizes(hello: Path) -> dict[str, dict[str, int]]:
    """Bytes of each deployment package, and of the binary in it."""
    binaries = {function: bootstrap(function) for function in EVERY_FUNCTION} | {HELLO: hello}
    return {name: {"zip": len(zipped(binary)), "binary": binary.stat().st_size} for name, binary in binaries.items()}


def measure(services: Services, recordings: Recordings, hello: Path) -> dict[str, Any]:
    """Round by round, so that what else the machine does meets all of them."""
    services.deploy(HELLO, zipped(hello), like=EVERY_FUNCTION[0])
    names = [*services.names(), HELLO]
    before = len(recordings.invocations())
    for number in range(_WARM_UPS + ROUNDS):
        for name in names:
            services.make_cold(name, str(number))
            services.invoke(name, _NOTHING)
    wanted = len(names) * ROUNDS
    until("the records", lambda: len(recordings.invocations()) >= before + len(names) * _WARM_UPS + wanted, 30)
    found = starts(recordings.invocations()[-wanted:])
    hello_start = found[HELLO]
    return {
        function: {
            "count": start.count,
            "medianSeconds": start.median,
            "shortestSeconds": start.shortest,
            "ratio": start.median / hello_start.median,
            "shortestRatio": start.shortest / hello_start.shortest,
            "firstAnswerSeconds": start.answer,
            "firstAnswerRatio": start.answer / hello_start.answer,
        }
        for function, start in found.items()
    }
