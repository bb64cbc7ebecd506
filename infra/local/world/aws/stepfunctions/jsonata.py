"""JSONata expressions as Step Functions evaluates them, with its additional functions.

https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
"""

from __future__ import annotations

import copy
import hashlib
import json
import random
import threading
import uuid
from typing import Any

from jsonata import Jsonata
from jsonata.jexception import JException
from jsonata.utils import Utils

LARGEST_EXACT_INTEGER = 2**53

HASHES = {
    "MD5": hashlib.md5,
    "SHA-1": hashlib.sha1,
    "SHA-256": hashlib.sha256,
    "SHA-384": hashlib.sha384,
    "SHA-512": hashlib.sha512,
}


class Undefined:
    """What an expression returns that finds nothing; JSON has no such value."""

    def __repr__(self) -> str:
        return "undefined"


UNDEFINED = Undefined()


class EvaluationError(Exception):
    """The expression threw: `T1006: ...`, or does not parse."""


class UnsupportedResult(Exception):
    """The value is none of JSON's: a function, a regular expression."""


def is_expression(value: Any) -> bool:
    """A string is an expression only when the braces are its very first and last characters."""
    return isinstance(value, str) and value.startswith("{%") and value.endswith("%}")


def body(text: str) -> str:
    return text[2:-2].strip()


_compiled: dict[str, Jsonata] = {}
_compiling = threading.Lock()


def compile_expression(expression: str) -> Jsonata:
    """Raises EvaluationError when the expression does not parse."""
    with _compiling:
        known = _compiled.get(expression)
        if known is None:
            try:
                known = Jsonata(expression)
            except JException as error:
                raise EvaluationError(_message(error)) from error
            if known.errors is not None:
                raise EvaluationError("; ".join(str(e) for e in known.errors))
            known.set_output_convert_nulls(False)
            known.set_validate_input(False)
            _compiled[expression] = known
        return known


def evaluate(expression: str, bindings: dict[str, Any]) -> Any:
    """The plain JSON value of an expression, or UNDEFINED.

    `bindings` are variables by name without the dollar sign.
    """
    # The engine keeps the state of an evaluation in the instance and finds "its" instance through a
    # thread-local: a shallow copy shares the parsed expression and nothing else.
    instance = copy.copy(compile_expression(expression))
    instance.environment = instance.create_frame(Jsonata.static_frame)
    for name, function in FUNCTIONS.items():
        instance.register_lambda(name, function)
    Jsonata.CURRENT.jsonata = instance
    bound = {k: Utils.NULL_VALUE if v is None else v for k, v in bindings.items()}
    try:
        value = instance.evaluate(None, bound)
    except JException as error:
        raise EvaluationError(_message(error)) from error
    except (ArithmeticError, ValueError, TypeError, RecursionError, AttributeError) as error:
        # The engine lets Python's own errors through where JSONata has a code of its own.
        raise EvaluationError(str(error) or type(error).__name__) from error
    return UNDEFINED if value is None else plain(value)


def _message(error: JException) -> str:
    return f"{error.get_error()}: {error}"


def plain(value: Any) -> Any:
    """Engine values to JSON values; whole floats become integers, as JavaScript prints them."""
    if value is Utils.NULL_VALUE or value is None:
        return None
    if isinstance(value, bool | str | int):
        return value
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            raise EvaluationError("D1001: Number out of range")
        whole = value.is_integer() and abs(value) < LARGEST_EXACT_INTEGER
        return int(value) if whole else value
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "__iter__") and hasattr(value, "__len__"):
        return [plain(item) for item in value]
    raise UnsupportedResult(type(value).__name__)


def type_name(value: Any) -> str:
    if value is None:
        return "null"
    for kind, name in ((bool, "boolean"), (str, "string"), (dict, "object"), (list, "array")):
        if isinstance(value, kind):
            return name
    return "number"


def _partition(items: Any = None, size: Any = None) -> Any:
    if items is None:
        return None
    items = list(items) if isinstance(items, list) else [items]
    if not isinstance(size, int | float) or size < 1:
        raise ValueError("$partition needs a size of at least 1")
    size = int(size)
    return [items[start : start + size] for start in range(0, len(items), size)]


def _range(first: Any = None, last: Any = None, step: Any = 1) -> Any:
    if first is None or last is None:
        return None
    if step == 0:
        raise ValueError("$range needs a step other than 0")
    result, value = [], first
    while (step > 0 and value <= last) or (step < 0 and value >= last):
        result.append(value)
        if len(result) > 1000:
            raise ValueError("$range makes at most 1000 elements")
        value += step
    return result


def _hash(data: Any = None, algorithm: Any = "SHA-256") -> Any:
    if data is None:
        return None
    if algorithm not in HASHES:
        raise ValueError(f"$hash does not know the algorithm {algorithm}")
    text = data if isinstance(data, str) else json.dumps(plain(data), separators=(",", ":"))
    return HASHES[algorithm](text.encode()).hexdigest()


def _random(seed: Any = None) -> float:
    return random.random() if seed is None else random.Random(seed).random()


def _uuid() -> str:
    return str(uuid.uuid4())


def _parse(text: Any = None) -> Any:
    if text is None:
        return None
    value = json.loads(text)
    return Utils.NULL_VALUE if value is None else value


def _no_eval(*_: Any) -> Any:
    raise ValueError("$eval is not available in Step Functions; use $parse")


FUNCTIONS = {
    "partition": _partition,
    "range": _range,
    "hash": _hash,
    "random": _random,
    "uuid": _uuid,
    "parse": _parse,
    "eval": _no_eval,
}
