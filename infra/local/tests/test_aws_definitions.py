"""Definitions that CreateStateMachine refuses, and what it says."""

from __future__ import annotations

import copy
import json
from typing import Any

import aws_support  # noqa: F401  (puts the package on the path)
import pytest
from world.aws.stepfunctions import definition, resources
from world.aws.stepfunctions.definition import InvalidDefinition

GOOD: dict[str, Any] = {
    "QueryLanguage": "JSONata",
    "StartAt": "Call",
    "States": {
        "Call": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:autoscaling:completeLifecycleAction",
            "Arguments": {
                "AutoScalingGroupName": "{% $states.input.group %}",
                "LifecycleHookName": "h",
                "LifecycleActionResult": "CONTINUE",
            },
            "Assign": {"result": "{% $states.result %}"},
            "Retry": [{"ErrorEquals": ["States.Timeout"], "MaxAttempts": 2}],
            "Catch": [
                {
                    "ErrorEquals": ["States.ALL"],
                    "Next": "End",
                    "Output": "{% $states.errorOutput %}",
                }
            ],
            "Next": "End",
        },
        "End": {"Type": "Succeed"},
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    machine = copy.deepcopy(GOOD)
    *parents, last = path.split("/")
    node: Any = machine
    for part in parents:
        node = node[int(part)] if isinstance(node, list) else node[part]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return machine


def findings(machine: Any) -> str:
    with pytest.raises(InvalidDefinition) as raised:
        definition.load(machine if isinstance(machine, str) else json.dumps(machine))
    return str(raised.value)


def test_a_good_definition_loads():
    assert definition.load(json.dumps(GOOD)) == GOOD


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("StartAt", "Nowhere", "Missing 'Next' target: Nowhere at /StartAt"),
        ("States/Call/Next", "Nowhere", "Missing 'Next' target: Nowhere at /States/Call/Next"),
        ("States/Call/Catch/0/Next", "Nowhere", "at /States/Call/Catch[0]/Next"),
        ("States/Call/Next", None, "exactly one of Next and End is required at /States/Call"),
        ("States/Call/Type", "Work", "Type must be one of"),
        ("States/Call/ResultPath", "$.x", "Field 'ResultPath' is not supported"),
        ("States/Call/Retry/0/ErrorEquals", [], "These fields are required: [ErrorEquals]"),
        (
            "States/Call/Catch/0/ErrorEquals",
            ["States.ALL", "Other"],
            "States.ALL must appear alone and last",
        ),
        (
            "States/Call/Resource",
            "arn:aws:states:::aws-sdk:autoscaling:completeTheAction",
            "is not recognized",
        ),
        (
            "States/Call/Resource",
            "arn:aws:states:::dynamodb:getItem",
            "the integration dynamodb:getItem is not played",
        ),
        (
            "States/Call/Arguments/autoScalingGroupName",
            "x",
            "The field 'autoScalingGroupName' is not supported by Step Functions",
        ),
        ("States/Call/Assign/result", "{% $states.( %}", "Invalid JSONata expression"),
        (
            "States/Call/Arguments/LifecycleHookName",
            "{% $states.result.x %}",
            "$states.result is not available in this field",
        ),
        (
            "States/Call/Catch/0/Output",
            "{% $states.result %}",
            "$states.result is not available in this field",
        ),
        ("States/Call/Assign/states", 1, "'states' is no name for a variable"),
        ("States/Call/TimeoutSeconds", 0, "TimeoutSeconds must be a positive integer"),
        ("QueryLanguage", None, 'only "QueryLanguage": "JSONata" is played'),
    ],
)
def test_what_is_wrong_is_said_with_its_place(path, value, message):
    assert message in findings(changed(path, value))


def test_what_is_no_json_is_refused():
    assert "INVALID_JSON_DESCRIPTION" in findings("{")


def test_a_branch_may_not_assign_a_variable_of_the_outer_scope():
    inner = {"StartAt": "B", "States": {"B": {"Type": "Pass", "Assign": {"x": 1}, "End": True}}}
    machine = {
        "QueryLanguage": "JSONata",
        "StartAt": "A",
        "States": {
            "A": {"Type": "Pass", "Assign": {"x": 0}, "Next": "P"},
            "P": {"Type": "Parallel", "Branches": [inner], "End": True},
        },
    }
    assert "the variable 'x' belongs to an outer scope" in findings(machine)


@pytest.mark.parametrize(
    ("service", "name"),
    [
        ("autoscaling", "AutoScaling"),
        ("ec2", "Ec2"),
        ("eks", "Eks"),
        ("events", "EventBridge"),
        ("stepfunctions", "Sfn"),
        ("dynamodb", "DynamoDb"),
        ("cloudwatch", "CloudWatch"),
    ],
)
def test_services_are_named_as_the_java_sdk_names_them(service, name):
    assert resources.java_service_name(service) == name


def test_faults_become_exceptions_as_in_the_java_sdk():
    assert resources.java_exception_name("ResourceContentionFault") == "ResourceContentionException"
    assert resources.java_exception_name("ResourceNotFound") == "ResourceNotFoundException"
