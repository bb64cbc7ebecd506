"""Rights on AWS: the policies of the template's roles against the calls that the local AWS noted. Pure but for `granted`.

Left out are the managed policies of the stack, by which the services themselves write logs and traces and make network
interfaces: nothing of ours calls that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

# A role's physical name: the stack, its logical id, what makes it unique.
_ROLE = re.compile(r":assumed-role/[a-z0-9-]+?-(\w+Role)-\w+/")
# The name of the operation is that of the action, but for this one.
_ACTIONS = {"lambda:Invoke": "lambda:InvokeFunction"}


@dataclass(frozen=True)
class Right:
    """An action that a statement allows."""

    role: str
    """The role's logical id in the template."""
    statement: str
    action: str

    def __str__(self) -> str:
        return f"{self.role}: {self.action} ({self.statement})"


def granted(checkout: Path) -> list[Right]:
    """Every action of every policy that stands in a role of the template, or beside a function."""
    template = checkout / "infra" / "template.yaml"
    rights = []
    for logical_id, resource in yaml_parse(template.read_text())["Resources"].items():
        if resource["Type"] == "AWS::IAM::Role":
            for policy in resource["Properties"].get("Policies", []):
                document = _included(policy["PolicyDocument"], template.parent)
                rights += [
                    Right(logical_id, statement.get("Sid", policy["PolicyName"]), action)
                    for statement in document["Statement"]
                    for action in _list(statement["Action"])
                ]
    return rights


def _included(document: dict[str, Any], folder: Path) -> dict[str, Any]:
    include = document.get("Fn::Transform")
    if include is None:
        return document
    return json.loads((folder / include["Parameters"]["Location"]).read_text())


def _list(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]


def used(calls: Iterable[str]) -> set[tuple[str, str]]:
    """Role and action of every call that was allowed."""
    found = set()
    for line in calls:
        call = json.loads(line)
        role = _ROLE.search(call["principal"])
        if role and call["status"] != 403:
            action = f"{call['service']}:{call['action']}"
            found.add((role.group(1), _ACTIONS.get(action, action)))
    return found


def unused(rights: Iterable[Right], uses: set[tuple[str, str]]) -> list[Right]:
    """The rights that nothing needed."""
    return [right for right in rights if (right.role, right.action) not in uses]
