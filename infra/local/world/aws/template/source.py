"""A template file to plain CloudFormation: includes, loops, parameters, then SAM's translation."""

from __future__ import annotations

import copy
import json
import logging
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

from .errors import TemplateError

# The translator warns of usage metrics that nobody publishes.
logging.getLogger("samtranslator.metrics").setLevel(logging.ERROR)

LANGUAGE_EXTENSIONS = "AWS::LanguageExtensions"
SERVERLESS = "AWS::Serverless-2016-10-31"
_LISTS = {"CommaDelimitedList", "List<String>", "List<Number>"}
# Local files that `sam package` would upload go through the translation under this bucket.
UPLOADED = "uploaded"


@dataclass
class Source:
    """Plain CloudFormation, the values of its parameters, and the local files it refers to."""

    template: dict[str, Any]
    parameters: dict[str, Any]
    files: dict[str, Path] = field(default_factory=dict)
    """Key in the bucket `uploaded` -> path."""


class _ManagedPolicies:
    """SAM asks for the ARNs of managed policies that a template names."""

    def load(self) -> dict[str, str]:
        return {}


def read(path: Path, given: dict[str, Any], region: str) -> Source:
    """Raises TemplateError."""
    try:
        template = yaml_parse(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise TemplateError(f"{path}: {error}") from error
    template = _include(template, path.parent)
    parameters = parameter_values(template.get("Parameters", {}), given)
    transforms = template.get("Transform", [])
    transforms = [transforms] if isinstance(transforms, str) else list(transforms)
    for name in transforms:
        if name not in (LANGUAGE_EXTENSIONS, SERVERLESS):
            raise TemplateError(f"the transform {name} is not known to this reader")
    if LANGUAGE_EXTENSIONS in transforms:
        template = _loops(template, parameters)
    source = Source(template, parameters)
    if SERVERLESS in transforms:
        _collect_files(source, path.parent)
        source.template = _translate(source, region)
    return source


def parameter_values(declared: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Each parameter's value: lists for list types, text for all others."""
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise TemplateError(f"Parameters: {unknown} do not exist in the template")
    values = {}
    for name, declaration in declared.items():
        value = given.get(name, declaration.get("Default"))
        if value is None:
            raise TemplateError(f"Parameters: [{name}] must have values")
        values[name] = _checked(name, declaration, value)
    return values


def _checked(name: str, declaration: dict[str, Any], value: Any) -> Any:
    kind = declaration["Type"]
    if kind.startswith("AWS::SSM::"):
        raise TemplateError(f"the type {kind} of parameter {name} is not known to this reader")
    is_list = kind in _LISTS or kind.startswith("List<")
    items = value if isinstance(value, list) else str(value).split(",") if is_list else [value]
    texts = ["true" if i is True else "false" if i is False else str(i).strip() for i in items]
    texts = [] if texts == [""] and is_list else texts
    for text in texts:
        allowed = [str(item) for item in declaration.get("AllowedValues", [])]
        if allowed and text not in allowed:
            raise TemplateError(f"Parameter '{name}' must be one of AllowedValues {allowed}")
        pattern = declaration.get("AllowedPattern")
        if pattern and not re.fullmatch(pattern, text):
            raise TemplateError(f"Parameter '{name}' must match pattern {pattern}: {text!r}")
        if kind == "Number":
            number = float(text)
            if not declaration.get("MinValue", number) <= number:
                raise TemplateError(f"Parameter '{name}' is below its MinValue")
            if not number <= declaration.get("MaxValue", number):
                raise TemplateError(f"Parameter '{name}' is above its MaxValue")
    return texts if is_list else texts[0]


def _include(node: Any, directory: Path) -> Any:
    """AWS::Include of a local file, as `aws cloudformation package` resolves it."""
    if isinstance(node, list):
        return [_include(item, directory) for item in node]
    if not isinstance(node, dict):
        return node
    call = node.get("Fn::Transform")
    if isinstance(call, dict) and call.get("Name") == "AWS::Include":
        location = call.get("Parameters", {}).get("Location")
        path = directory / str(location)
        try:
            included = yaml_parse(path.read_text())
        except (OSError, yaml.YAMLError) as error:
            raise TemplateError(f"AWS::Include {location}: {error}") from error
        rest = {k: _include(v, directory) for k, v in node.items() if k != "Fn::Transform"}
        included = _include(included, path.parent)
        if rest and not isinstance(included, dict):
            raise TemplateError(f"AWS::Include {location}: an object is wanted beside other keys")
        return rest | included if rest else included
    return {key: _include(value, directory) for key, value in node.items()}


def _loops(node: Any, parameters: dict[str, Any]) -> Any:
    """Fn::ForEach over literal lists and list parameters (AWS::LanguageExtensions)."""
    if isinstance(node, list):
        return [_loops(item, parameters) for item in node]
    if not isinstance(node, dict):
        return node
    result: dict[str, Any] = {}
    for key, value in node.items():
        if not key.startswith("Fn::ForEach::"):
            result[key] = _loops(value, parameters)
            continue
        identifier, collection, body = value
        if isinstance(collection, dict) and "Ref" in collection:
            collection = parameters[collection["Ref"]]
        for item in collection:
            result |= _loops(_substituted(body, identifier, str(item)), parameters)
    return result


def _substituted(node: Any, identifier: str, item: str) -> Any:
    if isinstance(node, dict):
        if node == {"Ref": identifier}:
            return item
        return {
            _text(key, identifier, item): _substituted(value, identifier, item)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_substituted(value, identifier, item) for value in node]
    return _text(node, identifier, item) if isinstance(node, str) else node


def _text(text: str, identifier: str, item: str) -> str:
    alphanumeric = re.sub(r"[^A-Za-z0-9]", "", item)
    return text.replace(f"${{{identifier}}}", item).replace(f"&{{{identifier}}}", alphanumeric)


def _collect_files(source: Source, directory: Path) -> None:
    """Local CodeUri and DefinitionUri become uploads, which is what the translator wants to see."""
    shared = source.template.get("Globals", {}).get("Function", {}).pop("CodeUri", None)
    for name, resource in source.template.get("Resources", {}).items():
        properties = resource.setdefault("Properties", {})
        field_name = {
            "AWS::Serverless::Function": "CodeUri",
            "AWS::Serverless::StateMachine": "DefinitionUri",
        }.get(resource.get("Type"))
        if field_name is None:
            continue
        local = properties.get(field_name)
        if local is None and field_name == "CodeUri" and "InlineCode" not in properties:
            local = shared
        if isinstance(local, str) and not local.startswith("s3://"):
            source.files[name] = (directory / local).resolve()
            properties[field_name] = {"Bucket": UPLOADED, "Key": name}


def _translate(source: Source, region: str) -> dict[str, Any]:
    # The translator asks boto for the region when it writes ARNs.
    os.environ.setdefault("AWS_DEFAULT_REGION", region)
    template = json.loads(json.dumps(copy.deepcopy(source.template), default=str))
    values = {
        name: ",".join(value) if isinstance(value, list) else value
        for name, value in source.parameters.items()
    }
    try:
        return transform(template, values, _ManagedPolicies())
    except InvalidDocumentException as error:
        causes = "; ".join(str(cause.message) for cause in error.causes) or error.message
        raise TemplateError(causes) from error
