"""What a handler of a resource type is given and gives back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...config import Config


@dataclass
class Made:
    """A resource that exists: `reference` is what Ref gives, `attributes` what GetAtt gives."""

    type: str
    reference: str
    attributes: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    logical_id: str
    stack: str
    config: Config
    client: Callable[[str], Any]
    files: dict[str, Path]
    """Local files that SAM would have uploaded, by the logical id that names them."""

    def name(self, longest: int) -> str:
        """A generated physical name: stack, logical id and a suffix, as CloudFormation makes it.

        The suffix depends on both, so that deploying again finds the same name.
        """
        digest = hashlib.sha256(f"{self.stack}/{self.logical_id}".encode()).hexdigest()
        suffix = digest[:12].upper()
        return f"{f'{self.stack}-{self.logical_id}'[: longest - 13]}-{suffix}"


Apply = Callable[[dict[str, Any], Made | None, Context], Made]
Delete = Callable[[Made, Context], None]


@dataclass(frozen=True)
class Handler:
    """`apply` makes the resource or brings the known one up to date."""

    properties: frozenset[str]
    apply: Apply
    delete: Delete


def handler(properties: str, apply: Apply, delete: Delete) -> Handler:
    """`properties` are the names of all that `apply` honours, separated by spaces."""
    return Handler(frozenset(properties.split()), apply, delete)


def present(**members: Any) -> dict[str, Any]:
    return {key: value for key, value in members.items() if value is not None}


def tags(properties: dict[str, Any]) -> list[dict[str, str]]:
    """Tags as a list, whether they were given as a list or as a map."""
    given = properties.get("Tags") or []
    if isinstance(given, dict):
        return [{"Key": key, "Value": str(value)} for key, value in given.items()]
    return [{"Key": tag["Key"], "Value": str(tag["Value"])} for tag in given]


def lowered(node: Any) -> Any:
    """PascalCase keys to camelCase, for APIs that spell members so."""
    if isinstance(node, dict):
        return {key[0].lower() + key[1:]: lowered(value) for key, value in node.items()}
    if isinstance(node, list):
        return [lowered(item) for item in node]
    return node


def number(value: Any) -> int:
    return int(float(value))


def truth(value: Any) -> bool:
    return value if isinstance(value, bool) else str(value).lower() == "true"
