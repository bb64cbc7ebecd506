"""What a pod's spec says about its containers' environment and paths, resolved as the kubelet does. No I/O."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Object = dict[str, Any]

# (kind, name) -> data, as text; None if there is no such object. kind is configmaps or secrets.
Lookup = Callable[[str, str], Mapping[str, str] | None]


class ConfigError(Exception):
    """The container cannot be created as specified; kubelet's reason is CreateContainerConfigError."""


@dataclass(frozen=True)
class Addresses:
    """What the downward API says beside the pod's own metadata."""

    host: str
    pod: str


def references(container: Object) -> set[tuple[str, str]]:
    """(kind, name) of each ConfigMap and Secret that the container's environment names."""
    found = set()
    for source in container.get("envFrom", []):
        for field, kind in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
            if field in source:
                found.add((kind, source[field]["name"]))
    for variable in container.get("env", []):
        source = variable.get("valueFrom", {})
        for field, kind in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
            if field in source:
                found.add((kind, source[field]["name"]))
    return found


def environment(container: Object, pod: Object, addresses: Addresses, lookup: Lookup) -> dict[str, str]:
    """The container's variables: ``envFrom`` first, ``env`` over it, ``$(NAME)`` expanded in ``env`` values only."""
    result: dict[str, str] = {}
    for source in container.get("envFrom", []):
        field, kind = ("configMapRef", "configmaps") if "configMapRef" in source else ("secretRef", "secrets")
        reference = source[field]
        data = lookup(kind, reference["name"])
        if data is None and not reference.get("optional"):
            raise ConfigError(f'{kind[:-1]} "{reference["name"]}" not found')
        for key, value in (data or {}).items():
            result[source.get("prefix", "") + key] = value
    for variable in container.get("env", []):
        value = _value(variable, container, pod, addresses, lookup)
        if value is not None:
            result[variable["name"]] = expand(value, result) if "value" in variable else value
    return result


def _value(variable: Object, container: Object, pod: Object, addresses: Addresses, lookup: Lookup) -> str | None:
    if "valueFrom" not in variable:
        return variable.get("value", "")
    source = variable["valueFrom"]
    if "fieldRef" in source:
        return field(pod, source["fieldRef"]["fieldPath"], addresses)
    if "resourceFieldRef" in source:
        name = source["resourceFieldRef"]["resource"]
        kind, _, resource = name.partition(".")
        return str(container.get("resources", {}).get(kind, {}).get(resource, "0"))
    key_field, kind = ("configMapKeyRef", "configmaps") if "configMapKeyRef" in source else ("secretKeyRef", "secrets")
    reference = source[key_field]
    data = lookup(kind, reference["name"])
    if data is not None and reference["key"] in data:
        return data[reference["key"]]
    if reference.get("optional"):
        return None
    if data is None:
        raise ConfigError(f'{kind[:-1]} "{reference["name"]}" not found')
    raise ConfigError(f"couldn't find key {reference['key']} in {kind[:-1]} {reference['name']}")


def field(pod: Object, path: str, addresses: Addresses) -> str:
    """A downward API field; raises ConfigError for one that the kubelet would refuse."""
    metadata, spec = pod["metadata"], pod["spec"]
    simple = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata["namespace"],
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", "default"),
        "status.hostIP": addresses.host,
        "status.hostIPs": addresses.host,
        "status.podIP": addresses.pod,
        "status.podIPs": addresses.pod,
    }
    if path in simple:
        return simple[path]
    match = re.fullmatch(r"metadata\.(labels|annotations)\['([^']+)'\]", path)
    if match:
        return metadata.get(match[1], {}).get(match[2], "")
    raise ConfigError(f"unsupported fieldPath: {path}")


def expand(value: str, variables: Mapping[str, str]) -> str:
    """Kubernetes' own references: ``$(NAME)`` if NAME is known, else left as it is; ``$$`` is a dollar.

    https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#environment-variables
    """

    def replaced(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return variables.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)", replaced, value)


def shell_expand(value: str, variables: Mapping[str, str]) -> str:
    """``${NAME}`` and ``$NAME`` as a shell that sources ``export X="value"`` does; an unknown name is empty."""
    return re.sub(
        r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$([A-Za-z_][A-Za-z0-9_]*)",
        lambda match: variables.get(match[1] or match[2], ""),
        value,
    )


def map_paths(text: str, mounts: Mapping[str, Path]) -> str:
    """``text`` with each container path that lies in a mount replaced by where it is on this machine.

    Whole path components only, and the deepest mount wins: ``/mnt/tier-1`` is not part of ``/mnt/tier-10``.
    """
    for path in sorted(mounts, key=len, reverse=True):
        pattern = rf"(?<![\w./-]){re.escape(path.rstrip('/'))}(?=[/,:;\s]|$)"
        text = re.sub(pattern, lambda _, target=mounts[path]: str(target), text)
    return text


def mount_paths(container: Object, volumes: Mapping[str, Path]) -> dict[str, Path]:
    """Container path -> path on this machine. Mounts of volumes that are not played are left out."""
    return {
        mount["mountPath"]: volumes[mount["name"]] / mount.get("subPath", "")
        for mount in container.get("volumeMounts", [])
        if mount["name"] in volumes
    }


@dataclass(frozen=True)
class ImageUser:
    """Whom an image says that its process runs as; the group has the user's number."""

    uid: int
    supplementary_groups: frozenset[int] = frozenset()


def user(container: Object, pod: Object, image_uid: int) -> tuple[int, int, set[int]]:
    """uid, gid and supplementary groups of a container's process; the image's own where the spec says nothing."""
    own, shared = container.get("securityContext", {}), pod["spec"].get("securityContext", {})
    uid = own.get("runAsUser", shared.get("runAsUser", image_uid))
    gid = own.get("runAsGroup", shared.get("runAsGroup", image_uid if uid == image_uid else 0))
    groups = set(shared.get("supplementalGroups", []))
    if "fsGroup" in shared:
        groups.add(shared["fsGroup"])
    return uid, gid, groups
