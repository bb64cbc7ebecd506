"""Executions: every kind of state, errors and who handles them, waiting and stopping."""

from __future__ import annotations

import json
import time
import uuid

import pytest
from aws_support import Aws, aws, history, output, single, task, until  # noqa: F401
from botocore.exceptions import ClientError
from world.aws.stepfunctions import history as history_module

PASS = {"Type": "Pass", "End": True}


def chain(*states: dict) -> dict:
    """A machine of states S0, S1, ... one after the other."""
    names = [f"S{n}" for n in range(len(states))]
    following = [{"Next": name} for name in names[1:]] + [{"End": True}]
    return {
        "StartAt": "S0",
        "States": {
            name: {k: v for k, v in state.items() if k != "End"}
            | (follow if state["Type"] not in ("Choice", "Fail", "Succeed") else {})
            for name, state, follow in zip(names, states, following, strict=True)
        },
    }


def test_assign_and_output_both_see_the_variables_from_before(aws):
    machine = aws.machine(
        chain(
            {"Type": "Pass", "Assign": {"x": 1}},
            {"Type": "Pass", "Assign": {"x": 2}, "Output": "{% $x %}"},
            {"Type": "Pass", "Output": {"before": "{% $states.input %}", "now": "{% $x %}"}},
        )
    )
    assert output(aws.run(machine)) == {"before": 1, "now": 2}


def test_the_context_knows_execution_state_and_machine(aws):
    fields = {
        "id": "{% $states.context.Execution.Id %}",
        "name": "{% $states.context.Execution.Name %}",
        "start": "{% $toMillis($states.context.Execution.StartTime) %}",
        "input": "{% $states.context.Execution.Input.a %}",
        "state": "{% $states.context.State.Name %}",
        "entered": "{% $toMillis($states.context.State.EnteredTime) %}",
        "count": "{% $states.context.State.RetryCount %}",
        "machine": "{% $states.context.StateMachine.Id %}",
    }
    machine = aws.machine(single(PASS | {"Output": fields}))
    name = f"run-{uuid.uuid4()}"
    described = aws.run(machine, {"a": 5}, name)
    result = output(described)
    assert result["id"] == described["executionArn"]
    assert (result["name"], result["input"], result["state"]) == (name, 5, "Only")
    assert (result["count"], result["machine"]) == (0, machine)
    assert result["start"] <= result["entered"] <= time.time() * 1000


def test_choice_takes_the_first_true_condition_and_its_own_assign(aws):
    states = {
        "Look": {
            "Type": "Choice",
            "Choices": [
                {"Condition": "{% $states.input.n > 10 %}", "Next": "Many"},
                {
                    "Condition": "{% $states.input.n > 1 %}",
                    "Next": "Some",
                    "Assign": {"seen": "{% $states.input.n %}"},
                },
            ],
            "Default": "None",
        },
        "Many": PASS | {"Output": "many"},
        "Some": PASS | {"Output": "{% 'some: ' & $string($seen) %}"},
        "None": PASS | {"Output": "none"},
    }
    machine = aws.machine({"StartAt": "Look", "States": states})
    assert output(aws.run(machine, {"n": 11})) == "many"
    assert output(aws.run(machine, {"n": 2})) == "some: 2"
    assert output(aws.run(machine, {"n": 0})) == "none"


def test_a_condition_that_is_no_boolean_fails_the_execution(aws):
    choice = {"Type": "Choice", "Choices": [{"Condition": "{% $states.input.n %}", "Next": "Only"}]}
    described = aws.run(aws.machine(single(choice)), {"n": "text"})
    assert described["error"] == "States.QueryEvaluationError"
    assert "Expected 'boolean', but was 'string'" in described["cause"]


def test_no_choice_and_no_default_fails_by_name(aws):
    choice = {"Type": "Choice", "Choices": [{"Condition": "{% false %}", "Next": "Only"}]}
    assert aws.run(aws.machine(single(choice)))["error"] == "States.NoChoiceMatched"


def test_an_undefined_value_is_a_query_evaluation_error_that_names_the_field(aws):
    described = aws.run(aws.machine(single(PASS | {"Output": {"a": "{% $states.input.b %}"}})))
    assert described["status"] == "FAILED"
    assert described["error"] == "States.QueryEvaluationError"
    assert described["cause"] == (
        "An error occurred while executing the state 'Only' (entered at the event id #2). The "
        "JSONata expression '$states.input.b' specified for the field 'Output/a' returned nothing "
        "(undefined)."
    )


def test_fail_ends_with_its_error_and_cause(aws):
    fail = {"Type": "Fail", "Error": "Gone", "Cause": "{% 'no ' & $states.input.what %}"}
    described = aws.run(aws.machine(single(fail)), {"what": "tide"})
    assert (described["status"], described["error"], described["cause"]) == (
        "FAILED",
        "Gone",
        "no tide",
    )


def test_wait_takes_an_expression(aws):
    wait = {"Type": "Wait", "Seconds": "{% $states.input.s %}", "End": True}
    began = time.monotonic()
    assert output(aws.run(aws.machine(single(wait)), {"s": 20})) == {"s": 20}
    assert 0.2 <= time.monotonic() - began < 2


def test_parallel_gives_the_results_in_order_and_its_branches_read_outer_variables(aws):
    branch = {"StartAt": "B", "States": {"B": PASS | {"Output": "{% [$n, $states.input] %}"}}}
    slow = {
        "StartAt": "W",
        "States": {
            "W": {"Type": "Wait", "Seconds": 10, "Next": "B"},
            "B": PASS | {"Assign": {"inner": 1}, "Output": "slow"},
        },
    }
    machine = aws.machine(
        chain(
            {"Type": "Pass", "Assign": {"n": 3}},
            {"Type": "Parallel", "Branches": [slow, branch], "Arguments": "given"},
        )
    )
    assert output(aws.run(machine)) == ["slow", [3, "given"]]


def test_a_failing_branch_stops_the_others_and_can_be_caught(aws):
    stuck = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 90000, "End": True}}}
    broken = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "Leak", "Cause": "here"}}}
    catch = [{"ErrorEquals": ["Leak"], "Next": "After", "Output": "{% $states.errorOutput %}"}]
    parallel = {"Type": "Parallel", "Branches": [stuck, broken], "Catch": catch, "End": True}
    machine = aws.machine({"StartAt": "P", "States": {"P": parallel, "After": PASS}})
    began = time.monotonic()
    assert output(aws.run(machine)) == {"Error": "Leak", "Cause": "here"}
    assert time.monotonic() - began < 5


def test_map_runs_each_item_with_its_index(aws):
    inner = {"StartAt": "I", "States": {"I": PASS | {"Output": "{% $states.input %}"}}}
    mapped = {
        "Type": "Map",
        "Items": "{% $states.input.items %}",
        "ItemSelector": {
            "at": "{% $states.context.Map.Item.Index %}",
            "what": "{% $states.context.Map.Item.Value %}",
        },
        "MaxConcurrency": 2,
        "ItemProcessor": inner,
        "End": True,
    }
    result = output(aws.run(aws.machine(single(mapped)), {"items": ["a", "b", "c"]}))
    assert result == [{"at": n, "what": what} for n, what in enumerate("abc")]


def test_a_function_is_called_and_its_payload_comes_back(aws):
    name = aws.function("def handle(event, context): return {'twice': event['n'] * 2}")
    invoke = task(
        "arn:aws:states:::lambda:invoke",
        Arguments={"FunctionName": name, "Payload": {"n": "{% $states.input.n %}"}},
        Output="{% $states.result.Payload %}",
    )
    assert output(aws.run(aws.machine(single(invoke)), {"n": 4})) == {"twice": 8}


def test_a_function_by_its_arn_gives_the_payload_itself(aws):
    name = aws.function("def handle(event, context): return event['n'] + 1")
    arn = aws.client("lambda").get_function(FunctionName=name)["Configuration"]["FunctionArn"]
    described = aws.run(aws.machine(single(task(arn))), {"n": 1})
    assert output(described) == 2
    kinds = [event["type"] for event in history(aws, described)]
    assert "LambdaFunctionSucceeded" in kinds


BROKEN = """
class KubernetesUnavailable(Exception): pass
def handle(event, context): raise KubernetesUnavailable("no route")
"""


def test_an_error_of_a_function_is_named_by_its_type_and_caused_by_its_payload(aws):
    name = aws.function(BROKEN)
    invoke = task("arn:aws:states:::lambda:invoke", Arguments={"FunctionName": name, "Payload": {}})
    described = aws.run(aws.machine(single(invoke)))
    assert described["error"] == "KubernetesUnavailable"
    assert json.loads(described["cause"]) == {
        "errorType": "KubernetesUnavailable",
        "errorMessage": "no route",
    }


def test_retry_counts_and_then_catch_sees_the_error(aws):
    name = aws.function(BROKEN)
    invoke = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": name, "Payload": "{% $states.context.State.RetryCount %}"},
        "Retry": [{"ErrorEquals": ["KubernetesUnavailable"], "MaxAttempts": 2}],
        "Catch": [
            {
                "ErrorEquals": ["States.ALL"],
                "Next": "After",
                "Assign": {"why": "{% $states.errorOutput.Error %}"},
                "Output": "{% $states.input %}",
            }
        ],
        "End": True,
    }
    after = PASS | {"Output": "{% [$why, $states.input.kept] %}"}
    machine = aws.machine({"StartAt": "Call", "States": {"Call": invoke, "After": after}})
    described = aws.run(machine, {"kept": "input"})
    assert output(described) == ["KubernetesUnavailable", "input"]
    scheduled = [e for e in history(aws, described) if e["type"] == "TaskScheduled"]
    payloads = [
        json.loads(e["taskScheduledEventDetails"]["parameters"])["Payload"] for e in scheduled
    ]
    assert payloads == [0, 1, 2]


def test_a_failing_output_of_a_task_can_be_caught(aws):
    name = aws.function("def handle(event, context): return {}")
    invoke = task(
        "arn:aws:states:::lambda:invoke",
        Arguments={"FunctionName": name, "Payload": {}},
        Output="{% $states.result.Payload.absent %}",
        Catch=[{"ErrorEquals": ["States.QueryEvaluationError"], "Next": "After"}],
    )
    machine = aws.machine({"StartAt": "Call", "States": {"Call": invoke, "After": PASS}})
    assert output(aws.run(machine))["Error"] == "States.QueryEvaluationError"


def test_a_task_that_takes_too_long_is_a_states_timeout(aws):
    name = aws.function("def handle(event, context): time.sleep(3)")
    invoke = task(
        "arn:aws:states:::lambda:invoke",
        Arguments={"FunctionName": name, "Payload": {}},
        TimeoutSeconds=1,
        Catch=[{"ErrorEquals": ["States.TaskFailed"], "Next": "After"}],
    )
    machine = aws.machine({"StartAt": "Call", "States": {"Call": invoke, "After": PASS}})
    described = aws.run(machine)
    assert described["error"] == "States.Timeout"
    assert "TaskTimedOut" in [event["type"] for event in history(aws, described)]


def test_the_machines_own_timeout_ends_the_execution(aws):
    machine = aws.machine(
        single({"Type": "Wait", "Seconds": 90000, "End": True}) | {"TimeoutSeconds": 30}
    )
    described = aws.run(machine)
    assert described["status"] == "TIMED_OUT"
    assert history(aws, described)[-1]["type"] == "ExecutionTimedOut"


def test_a_child_execution_is_waited_for(aws):
    child = aws.machine(single(PASS | {"Output": {"from": "child"}}))
    start = task(
        "arn:aws:states:::states:startExecution.sync:2",
        Arguments={"StateMachineArn": child, "Input": {"a": 1}},
        Output="{% $states.result.Output %}",
    )
    assert output(aws.run(aws.machine(single(start)))) == {"from": "child"}


def test_states_all_does_not_catch_what_is_terminal(aws):
    too_much = PASS | {"Output": "{% $pad('', 300000, 'x') %}"}
    branch = {"StartAt": "Big", "States": {"Big": too_much}}
    parallel = {
        "Type": "Parallel",
        "Branches": [branch],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "After"}],
        "End": True,
    }
    machine = aws.machine({"StartAt": "P", "States": {"P": parallel, "After": PASS}})
    assert aws.run(machine)["error"] == "States.DataLimitExceeded"


def test_stop_ends_a_waiting_execution_at_once(aws):
    machine = aws.machine(single({"Type": "Wait", "Seconds": 90000, "End": True}))
    client = aws.client("stepfunctions")
    arn = client.start_execution(stateMachineArn=machine)["executionArn"]
    client.stop_execution(executionArn=arn, error="Enough", cause="the test is over")
    described = aws.ended(arn, 2)
    assert (described["status"], described["error"]) == ("ABORTED", "Enough")
    assert history(aws, described)[-1]["type"] == "ExecutionAborted"


def test_the_history_tells_states_tasks_and_assignments_in_order(aws):
    name = aws.function("def handle(event, context): return {'a': 1}")
    invoke = task(
        "arn:aws:states:::lambda:invoke",
        Arguments={"FunctionName": name, "Payload": {}},
        Assign={"seen": "{% $states.result.Payload.a %}"},
        Output="{% $states.result.Payload %}",
    )
    events = history(aws, aws.run(aws.machine(single(invoke)), {"in": 1}))
    assert [event["type"] for event in events] == [
        "ExecutionStarted",
        "TaskStateEntered",
        "TaskScheduled",
        "TaskStarted",
        "TaskSucceeded",
        "TaskStateExited",
        "ExecutionSucceeded",
    ]
    assert [event["previousEventId"] for event in events] == [0, 1, 2, 3, 4, 5, 6]
    assert events[1]["stateEnteredEventDetails"] == {
        "name": "Only",
        "input": '{"in":1}',
        "inputDetails": {"truncated": False},
    }
    exited = events[5]["stateExitedEventDetails"]
    assert (exited["output"], exited["assignedVariables"]) == ('{"a":1}', {"seen": "1"})


def test_the_same_name_and_input_while_running_is_the_same_execution(aws):
    machine = aws.machine(single({"Type": "Wait", "Seconds": 90000, "End": True}))
    client = aws.client("stepfunctions")
    first = client.start_execution(stateMachineArn=machine, name="once", input='{"a":1}')
    again = client.start_execution(stateMachineArn=machine, name="once", input='{"a":1}')
    assert (again["executionArn"], again["startDate"]) == (
        first["executionArn"],
        first["startDate"],
    )
    with pytest.raises(ClientError) as raised:
        client.start_execution(stateMachineArn=machine, name="once", input='{"a":2}')
    assert raised.value.response["Error"]["Code"] == "ExecutionAlreadyExists"
    client.stop_execution(executionArn=first["executionArn"])
    with pytest.raises(ClientError) as raised:
        client.start_execution(stateMachineArn=machine, name="once", input='{"a":1}')
    assert raised.value.response["Error"]["Code"] == "ExecutionAlreadyExists"


def test_executions_without_a_name_do_not_collide(aws):
    machine = aws.machine(single(PASS))
    client = aws.client("stepfunctions")
    arns = {client.start_execution(stateMachineArn=machine)["executionArn"] for _ in range(5)}
    assert len(arns) == 5
    for arn in arns:
        aws.ended(arn)
    listed = client.list_executions(stateMachineArn=machine, statusFilter="SUCCEEDED")
    assert {execution["executionArn"] for execution in listed["executions"]} == arns
    running = client.list_executions(stateMachineArn=machine, statusFilter="RUNNING")
    assert running["executions"] == []


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"input": "not json"}, "InvalidExecutionInput"),
        ({"name": "no spaces"}, "InvalidName"),
        ({"stateMachineArn": "arn:aws:states:us-west-2:123456789012:stateMachine:nobody"}, None),
    ],
)
def test_a_bad_start_is_refused_by_name(aws, given, code):
    machine = aws.machine(single(PASS))
    with pytest.raises(ClientError) as raised:
        aws.client("stepfunctions").start_execution(**({"stateMachineArn": machine} | given))
    assert raised.value.response["Error"]["Code"] == (code or "StateMachineDoesNotExist")


def test_sixty_executions_wait_at_once_and_cost_nothing_notable(aws):
    branch = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 100, "End": True}}}
    machine = aws.machine(single({"Type": "Parallel", "Branches": [branch, branch], "End": True}))
    client = aws.client("stepfunctions")
    began = time.monotonic()
    used = time.process_time()
    arns = [client.start_execution(stateMachineArn=machine)["executionArn"] for _ in range(60)]
    for arn in arns:
        assert aws.ended(arn)["status"] == "SUCCEEDED"
    assert time.monotonic() - began < 10
    assert time.process_time() - used < 5


def test_an_updated_definition_is_for_executions_that_start_later(aws):
    wait = {"Type": "Wait", "Seconds": 90000, "Next": "After"}
    before = {"StartAt": "W", "States": {"W": wait, "After": PASS}}
    machine = aws.machine(before)
    client = aws.client("stepfunctions")
    running = client.start_execution(stateMachineArn=machine)["executionArn"]
    after = {"QueryLanguage": "JSONata"} | single(PASS | {"Output": "new"})
    client.update_state_machine(stateMachineArn=machine, definition=json.dumps(after))
    assert output(aws.run(machine)) == "new"
    shown = client.describe_state_machine_for_execution(executionArn=running)
    assert '"After"' in shown["definition"]
    client.stop_execution(executionArn=running)


def test_an_execution_with_too_long_a_history_fails(aws, monkeypatch):
    monkeypatch.setattr(history_module, "MOST_EVENTS", 50)
    again = {"Type": "Pass", "Next": "Other"}
    machine = aws.machine(
        {"StartAt": "One", "States": {"One": again, "Other": again | {"Next": "One"}}}
    )
    described = aws.run(machine)
    assert described["error"] == "States.Runtime"
    assert "maximum number of history events" in described["cause"]
    assert len(history(aws, described)) == 50


def test_the_end_of_an_execution_is_told_on_the_bus(aws):
    described = aws.run(aws.machine(single(PASS)))
    until(
        lambda: (
            [
                e["detail"]["status"]
                for e in aws.events("Step Functions Execution Status Change")
                if e["resources"] == [described["executionArn"]]
            ]
            == ["RUNNING", "SUCCEEDED"]
        )
    )
