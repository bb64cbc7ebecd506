"""IAM decisions: does a policy document allow this action on this resource under these facts?

Pure. What is decided: Effect, Action, NotAction, Resource, NotResource, Principal (resource
policies), and the Condition operators below. An operator that is not listed never matches, so an
Allow that hangs on it is refused and its author notices.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Facts = Mapping[str, Iterable[str]]
"""Condition keys in lower case -> the request's values."""


@dataclass(frozen=True)
class Request:
    action: str
    """`service:Operation`."""
    resources: tuple[str, ...] | None
    """ARNs touched; ("*",) where the action knows none; None where the world cannot tell."""
    facts: Facts = field(default_factory=dict)
    principal: str | None = None
    """For resource policies: a service name (events.amazonaws.com) or an ARN."""


def allowed(documents: Iterable[dict[str, Any]], request: Request) -> bool:
    """True when some statement allows and none denies; every resource must be allowed."""
    statements = [s for document in documents for s in _list(document.get("Statement"))]
    for resource in request.resources or (None,):
        matching = [s for s in statements if _matches(s, request, resource)]
        if any(s.get("Effect") == "Deny" for s in matching):
            return False
        if not any(s.get("Effect") == "Allow" for s in matching):
            return False
    return True


def _matches(statement: dict[str, Any], request: Request, resource: str | None) -> bool:
    return (
        _principal_matches(statement, request.principal)
        and _action_matches(statement, request.action)
        and _resource_matches(statement, resource)
        and _conditions_match(statement.get("Condition", {}), request.facts)
    )


def _principal_matches(statement: dict[str, Any], principal: str | None) -> bool:
    if principal is None:
        return True
    stated = statement.get("Principal")
    if stated == "*":
        return True
    if not isinstance(stated, dict):
        return False
    return any(value in ("*", principal) for values in stated.values() for value in _list(values))


def _action_matches(statement: dict[str, Any], action: str) -> bool:
    if "NotAction" in statement:
        return not any(like(action.lower(), p.lower()) for p in _list(statement["NotAction"]))
    return any(like(action.lower(), p.lower()) for p in _list(statement.get("Action")))


def _resource_matches(statement: dict[str, Any], resource: str | None) -> bool:
    if resource is None:
        return True
    if "NotResource" in statement:
        return not any(like(resource, p) for p in _list(statement["NotResource"]))
    if "Resource" not in statement:
        return True  # a resource policy without the element speaks of its own resource
    return any(like(resource, p) for p in _list(statement["Resource"]))


def like(value: str, pattern: str) -> bool:
    """IAM wildcards: * and ?; brackets are ordinary characters."""
    if pattern == "*":
        return True
    return re.fullmatch(fnmatch.translate(pattern.replace("[", "[[]")), value) is not None


def _equals(value: str, stated: str) -> bool:
    return value == stated


_OPERATORS = {
    "stringequals": (_equals, False),
    "stringnotequals": (_equals, True),
    "stringequalsignorecase": (lambda v, s: v.lower() == s.lower(), False),
    "stringlike": (like, False),
    "stringnotlike": (like, True),
    "arnequals": (like, False),
    "arnlike": (like, False),
    "arnnotequals": (like, True),
    "arnnotlike": (like, True),
    "bool": (lambda v, s: v.lower() == s.lower(), False),
}


def _conditions_match(conditions: dict[str, dict[str, Any]], facts: Facts) -> bool:
    return all(
        _condition_matches(operator, key, [str(v) for v in _list(stated)], facts)
        for operator, keys in conditions.items()
        for key, stated in keys.items()
    )


def _condition_matches(operator: str, key: str, stated: list[str], facts: Facts) -> bool:
    name = operator.lower()
    quantifier = None
    for prefix in ("forallvalues:", "foranyvalue:"):
        if name.startswith(prefix):
            quantifier, name = prefix, name.removeprefix(prefix)
    if_exists = name.endswith("ifexists")
    name = name.removesuffix("ifexists")
    present = key.lower() in facts
    values = list(facts.get(key.lower(), ()))
    if name == "null":
        return present != (stated[0].lower() == "true")
    if name not in _OPERATORS:
        return False
    test, negated = _OPERATORS[name]
    if not present:
        # AWS: an absent key fails a positive operator, passes a negated one and any ...IfExists.
        return if_exists or negated or quantifier == "forallvalues:"
    matched = [any(test(value, s) for s in stated) != negated for value in values]
    return any(matched) if quantifier == "foranyvalue:" else all(matched)


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
