"""Resolves intrinsic functions. A resource that a value refers to is asked for when it is met."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

from .errors import TemplateError

_PLACEHOLDER = re.compile(r"\$\{(!?)([^}]*)\}")


class NoValue:
    """AWS::NoValue: the property that has it is left out."""


NO_VALUE = NoValue()


class Resolver:
    def __init__(
        self,
        values: dict[str, Any],
        mappings: dict[str, Any],
        conditions: dict[str, Any],
        reference: Callable[[str], Any],
        attribute: Callable[[str, str], Any],
    ):
        """`values` are parameters and pseudo parameters; `reference` and `attribute` answer Ref and
        GetAtt of a resource."""
        self._values = values
        self._mappings = mappings
        self._conditions = conditions
        self._reference = reference
        self._attribute = attribute
        self._decided: dict[str, bool] = {}

    def resolve(self, node: Any) -> Any:
        if isinstance(node, list):
            items = (self.resolve(item) for item in node)
            return [item for item in items if item is not NO_VALUE]
        if not isinstance(node, dict):
            return node
        if len(node) == 1:
            ((name, argument),) = node.items()
            if name == "Ref":
                return self.ref(argument)
            if name == "Condition" and isinstance(argument, str) and argument in self._conditions:
                return self.condition(argument)
            if name.startswith("Fn::"):
                return self._call(name.removeprefix("Fn::"), argument)
        resolved = {key: self.resolve(value) for key, value in node.items()}
        return {key: value for key, value in resolved.items() if value is not NO_VALUE}

    def ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        return self._values[name] if name in self._values else self._reference(name)

    def condition(self, name: str) -> bool:
        if name not in self._conditions:
            raise TemplateError(f"the condition {name} is not defined")
        if name not in self._decided:
            self._decided[name] = _truth(self.resolve(self._conditions[name]))
        return self._decided[name]

    def _call(self, name: str, argument: Any) -> Any:
        if name == "If":
            condition, yes, no = argument
            return self.resolve(yes if self.condition(condition) else no)
        if name == "Sub":
            return self._sub(argument)
        if name == "GetAtt":
            parts = argument.split(".", 1) if isinstance(argument, str) else argument
            return self._attribute(parts[0], str(self.resolve(parts[1])))
        function = getattr(self, f"_fn_{name.lower()}", None)
        if function is None:
            raise TemplateError(f"the function Fn::{name} is not known to this reader")
        return function(self.resolve(argument))

    def _sub(self, argument: Any) -> str:
        template, own = (argument, {}) if isinstance(argument, str) else argument
        own = {key: self.resolve(value) for key, value in own.items()}

        def replaced(match: re.Match[str]) -> str:
            literal, name = match.group(1), match.group(2).strip()
            if literal:
                return f"${{{name}}}"
            if name in own:
                return str(own[name])
            value = self._attribute(*name.split(".", 1)) if "." in name else self.ref(name)
            if isinstance(value, list):
                raise TemplateError(f"Fn::Sub of the list {name}; join it first")
            return str(value)

        return _PLACEHOLDER.sub(replaced, template)

    def _fn_join(self, argument: Any) -> str:
        delimiter, items = argument
        return delimiter.join(str(item) for item in items)

    def _fn_split(self, argument: Any) -> list[str]:
        delimiter, text = argument
        return text.split(delimiter)

    def _fn_select(self, argument: Any) -> Any:
        index, items = argument
        return items[int(index)]

    def _fn_findinmap(self, argument: Any) -> Any:
        name, first, second = argument[:3]
        try:
            return self._mappings[name][first][second]
        except KeyError as error:
            raise TemplateError(f"Fn::FindInMap finds nothing at {argument}") from error

    def _fn_base64(self, argument: Any) -> str:
        return base64.b64encode(argument.encode()).decode()

    def _fn_equals(self, argument: Any) -> bool:
        return _plain(argument[0]) == _plain(argument[1])

    def _fn_not(self, argument: Any) -> bool:
        return not _truth(argument[0])

    def _fn_and(self, argument: Any) -> bool:
        return all(_truth(item) for item in argument)

    def _fn_or(self, argument: Any) -> bool:
        return any(_truth(item) for item in argument)

    def _fn_tojsonstring(self, argument: Any) -> str:
        return json.dumps(argument, separators=(",", ":"))

    def _fn_length(self, argument: Any) -> int:
        return len(argument)


def _plain(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _truth(value: Any) -> bool:
    return value if isinstance(value, bool) else str(value).lower() == "true"
