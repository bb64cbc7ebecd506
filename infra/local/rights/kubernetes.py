"""Rights in the cluster: each function's `rbac.yaml` against the API server's audit log. Pure but for `granted`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

# The group of a function's access entry, as infra/template.yaml names it.
_GROUP = "tidegate:"
_RULES = ("Role", "ClusterRole")


@dataclass(frozen=True)
class Right:
    """One verb on one resource; of a rule that names objects, on one of them."""

    function: str
    namespace: str
    """Empty for the whole cluster."""
    group: str
    resource: str
    """`nodes`, or `pods/eviction` for a subresource."""
    verb: str
    name: str
    """Empty for any."""

    def __str__(self) -> str:
        resource = f"{self.group}/{self.resource}" if self.group else self.resource
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.function}: {self.verb} {resource}{' ' + self.name if self.name else ''}{where}"


@dataclass(frozen=True)
class Use:
    """A request that the API server let pass; a `Right` without wildcards."""

    function: str
    namespace: str
    group: str
    resource: str
    verb: str
    name: str

    def needs(self, right: Right) -> bool:
        same = (self.function, self.group, self.resource, self.verb)
        return (
            same == (right.function, right.group, right.resource, right.verb)
            and right.namespace in ("", self.namespace)
            and right.name in ("", self.name)
        )


def granted(checkout: Path) -> list[Right]:
    """Every right of every function."""
    return [
        Right(path.parent.name, document["metadata"].get("namespace", ""), group, resource, verb, name)
        for path in sorted(checkout.glob("functions/*/rbac.yaml"))
        for document in yaml.safe_load_all(path.read_text())
        if document["kind"] in _RULES
        for rule in document["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames", [""])
    ]


def used(audit_log: Iterable[str]) -> set[Use]:
    """What functions asked of the API server and were allowed."""
    uses = set()
    for line in audit_log:
        event = json.loads(line)
        groups = event.get("user", {}).get("groups", [])
        function = next((group.removeprefix(_GROUP) for group in groups if group.startswith(_GROUP)), None)
        allowed = event.get("annotations", {}).get("authorization.k8s.io/decision") == "allow"
        if function is None or not allowed or "objectRef" not in event:
            continue
        about = event["objectRef"]
        resource = "/".join(part for part in (about.get("resource"), about.get("subresource")) if part)
        verbs = [event["verb"]]
        if event["verb"] == "patch" and event.get("responseStatus", {}).get("code") == 201:
            # A patch that makes what is not there (server-side apply) needs both rights.
            verbs.append("create")
        where = (about.get("namespace", ""), about.get("apiGroup", ""), resource)
        uses |= {Use(function, *where, verb, about.get("name", "")) for verb in verbs}
    return uses


def unused(rights: Iterable[Right], uses: set[Use]) -> list[Right]:
    """The rights that nothing needed."""
    return [right for right in rights if not any(use.needs(right) for use in uses)]
