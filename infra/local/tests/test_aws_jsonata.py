"""JSONata as Step Functions evaluates it."""

from __future__ import annotations

import threading

import aws_support  # noqa: F401  (puts the package on the path)
import pytest
from world.aws.stepfunctions import jsonata
from world.aws.stepfunctions.jsonata import UNDEFINED, evaluate

STATES = {
    "states": {
        "input": {"n": 1, "none": None, "list": [1, 2, 3], "text": 'he said "no\\"'},
        "context": {"Execution": {"StartTime": "2026-01-01T00:00:00.000Z"}},
    }
}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("$states.input.n", 1),
        ("$states.input.none", None),
        ("$states.input.list[$ > 1]", [2, 3]),
        ("$states.input.list[0]", 1),
        ("[$states.input.list[$ > 2]]", [3]),
        ("$states.input.text", 'he said "no\\"'),
        ("10 / 2", 5),
        ("$merge([{'a': 1}, {'b': null}])", {"a": 1, "b": None}),
        ("{'kept': 1, 'left out': $states.input.absent}", {"kept": 1}),
        ("$exists($states.input.absent)", False),
        ("$exists($states.input.none)", True),
        ("$toMillis($states.context.Execution.StartTime)", 1767225600000),
        ("$count($states.input.list) = 3 and $states.input.n in [1, 2]", True),
        ("$states.input.absent ? 'yes' : 'no'", "no"),
        ("$map($states.input.list, function($i) { $i * 2 })", [2, 4, 6]),
    ],
)
def test_expressions_give_plain_json(expression, value):
    result = evaluate(expression, STATES)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("$partition([1..5], 2)", [[1, 2], [3, 4], [5]]),
        ("$range(0, 10, 5)", [0, 5, 10]),
        ("$range(3, 1, -1)", [3, 2, 1]),
        (
            "$hash('a', 'SHA-256')",
            "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
        ),
        ("$hash('a', 'MD5')", "0cc175b9c0f1b6a831c399e269772661"),
        ("$random(7) = $random(7)", True),
        ("$random() != $random()", True),
        ("$length($uuid())", 36),
        ("$parse('{\"a\": [1, null]}').a", [1, None]),
    ],
)
def test_the_additional_functions_of_step_functions(expression, value):
    assert evaluate(expression, STATES) == value


def test_what_finds_nothing_is_undefined():
    assert evaluate("$states.input.absent", STATES) is UNDEFINED
    assert evaluate("$nobody", {}) is UNDEFINED


def test_a_null_variable_is_null_and_not_undefined():
    assert evaluate("$v", {"v": None}) is None
    assert evaluate("$v = null", {"v": None}) is True


@pytest.mark.parametrize(
    "expression", ["$nobody()", "1 + 'x'", "1 / 0", "$eval('1')", "$error('on purpose')"]
)
def test_what_throws_is_an_evaluation_error(expression):
    with pytest.raises(jsonata.EvaluationError):
        evaluate(expression, STATES)


def test_a_function_is_no_result():
    with pytest.raises(jsonata.UnsupportedResult):
        evaluate("function($x) { $x }", STATES)


def test_what_does_not_parse_is_an_evaluation_error():
    with pytest.raises(jsonata.EvaluationError):
        jsonata.compile_expression("$states.input.(")


def test_only_whole_strings_in_braces_are_expressions():
    assert jsonata.is_expression("{% 1 %}")
    assert not jsonata.is_expression(" {% 1 %}")
    assert not jsonata.is_expression("a {% 1 %}")


def test_threads_evaluate_the_same_expression_apart_from_each_other():
    expression = "$sum($map([1..50], function($i) { $i * $states.input.n }))"
    results: dict[int, set] = {}

    def work(n: int) -> None:
        bindings = {"states": {"input": {"n": n}}}
        results[n] = {evaluate(expression, bindings) for _ in range(20)}

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: {1275 * n} for n in range(1, 9)}
