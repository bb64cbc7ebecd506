"""What all tests of the local world share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

LOCAL = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(LOCAL))
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def tools() -> Path:
    """The directory of the pinned tools: $TIDEGATE_TOOLS, or what setup/install.sh installs."""
    given = os.environ.get("TIDEGATE_TOOLS")
    if given:
        return Path(given)
    done = subprocess.run([LOCAL / "setup" / "install.sh"], stdout=subprocess.PIPE, text=True, check=True)
    return Path(done.stdout.strip())


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an AWS endpoint of its own process."""
    world = tmp_path_factory.mktemp("aws")
    command = [sys.executable, "-m", "world.aws", "--world", str(world)]
    with (world / "stderr.log").open("w") as errors:
        process = subprocess.Popen(
            command, cwd=LOCAL, env=os.environ | {"PYTHONPATH": str(LOCAL)}, stdout=subprocess.PIPE, stderr=errors, text=True
        )
    try:
        line = process.stdout.readline() if process.stdout else ""
        assert line, f"the AWS endpoint did not start: {(world / 'stderr.log').read_text()}"
        yield json.loads(line)["endpoint"]
    finally:
        process.terminate()
        process.wait(20)
