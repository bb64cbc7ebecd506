"""metrics-server is a real process here: its own program, with the options of its manifest and where it is."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from . import pod_spec, service_account
from .api import Object

# What the published image runs as.
USER = pod_spec.ImageUser(65534)


def is_image(image: str) -> bool:
    return re.search(r"(^|/)metrics-server/metrics-server([:@]|$)", image) is not None


def command(program: Path, container: Object, mounts: Mapping[str, Path], address: str, kubeconfig: Path) -> list[str]:
    """Without a network and a file system of its own it is told the address of its pod, and where its token is."""
    options = [pod_spec.map_paths(option, mounts) for option in container.get("args", [])]
    options.append(f"--bind-address={address}")
    options += [f"--{who}kubeconfig={kubeconfig}" for who in ("", "authentication-", "authorization-")]
    return [str(program), *options]


def kubeconfig(server: str, mounts: Mapping[str, Path]) -> str:
    """What client-go makes of the files of :data:`service_account.DIRECTORY` inside of a pod."""
    files = mounts[service_account.DIRECTORY]
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "own", "cluster": {"server": server, "certificate-authority": str(files / "ca.crt")}}],
        "users": [{"name": "own", "user": {"tokenFile": str(files / "token")}}],
        "contexts": [{"name": "own", "context": {"cluster": "own", "user": "own"}}],
        "current-context": "own",
    }
    return json.dumps(document)
