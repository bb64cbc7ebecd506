"""The Java of the local world (the files server, the ownerless under store) as one jar, compiled once for its sources."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

_SOURCES = Path(__file__).parent / "java"


def compiled(jars: Sequence[Path], cache: Path) -> Path:
    """The jar, below ``cache``; needs javac and jar (a JDK) the first time only."""
    files = sorted(file for file in _SOURCES.rglob("*") if file.is_file())
    told = hashlib.sha256("\0".join(str(jar) for jar in jars).encode())
    for file in files:
        told.update(str(file.relative_to(_SOURCES)).encode() + b"\0" + file.read_bytes())
    directory = cache / f"alluxio-own-{told.hexdigest()[:16]}"
    target = directory / "tidegate-local.jar"
    if not target.exists():
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            classes, packed = Path(scratch) / "classes", Path(scratch) / "packed.jar"
            class_path = ":".join(str(jar) for jar in jars)
            sources = [str(file) for file in files if file.suffix == ".java"]
            command = ["javac", "-nowarn", "-proc:none", "-d", str(classes), "-cp", class_path, *sources]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"javac failed:\n{done.stderr}")
            shutil.copytree(_SOURCES / "META-INF", classes / "META-INF")
            subprocess.run(["jar", "--create", "--file", str(packed), "-C", str(classes), "."], check=True)
            os.replace(packed, target)
    return target
