"""What a target receives: the event, a part of it, a constant, or a filled template. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

_PLACEHOLDER = re.compile(r"<([A-Za-z0-9_.\-]+)>")


def target_input(target: dict[str, Any], event: dict[str, Any], rule: dict[str, str]) -> str:
    """The text that a target gets. `rule` has `arn` and `name` for the predefined variables."""
    if target.get("InputTransformer"):
        transformer = target["InputTransformer"]
        variables = {
            name: select(event, path)
            for name, path in (transformer.get("InputPathsMap") or {}).items()
        }
        return fill(transformer["InputTemplate"], variables | _predefined(event, rule))
    if target.get("Input") is not None:
        return target["Input"]
    if target.get("InputPath"):
        return compact(select(event, target["InputPath"]))
    return compact(event)


def _predefined(event: dict[str, Any], rule: dict[str, str]) -> dict[str, Any]:
    return {
        "aws.events.rule-arn": rule["arn"],
        "aws.events.rule-name": rule["name"],
        "aws.events.event": {k: v for k, v in event.items() if k != "detail"},
        "aws.events.event.json": event,
        "aws.events.event.ingestion-time": event.get("time"),
    }


def select(event: Any, path: str) -> Any:
    """`$`, `$.a.b`, `$.a[0]`: the part of JSON path that EventBridge takes. Absent is None."""
    value = event
    for name, index in re.findall(r"\.([^.\[\]]+)|\[(\d+)\]", path.removeprefix("$")):
        try:
            value = value[int(index)] if index else value[name]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def fill(template: str, variables: dict[str, Any]) -> str:
    """Fills a template. Inside a JSON string a value is pasted as text; outside, as JSON."""

    def pasted(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in variables:
            return match.group(0)
        value = variables[name]
        before = template[: match.start()]
        inside_string = len(re.findall(r'(?<!\\)"', before)) % 2 == 1
        if not inside_string:
            return compact(value)
        text = value if isinstance(value, str) else compact(value)
        return json.dumps(text)[1:-1]

    stripped = template.strip()
    filled = _PLACEHOLDER.sub(pasted, template)
    if stripped.startswith(("{", "[", '"')):
        return filled
    # A bare template is text; EventBridge hands it over as a JSON string.
    return filled if _is_json(filled) else json.dumps(filled)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
