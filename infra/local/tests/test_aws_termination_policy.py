"""A group whose termination policy is a Lambda function."""

from __future__ import annotations

import pytest
from autoscaling_play import Play
from aws_support import Aws, aws, until  # noqa: F401
from botocore.exceptions import ClientError
from world.aws.autoscaling import decisions
from world.aws.autoscaling.model import State

AUTO_SCALING = (
    "arn:aws:iam::123456789012:role/aws-service-role/autoscaling.amazonaws.com/"
    "AWSServiceRoleForAutoScaling"
)
FUNCTION = "arn:aws:lambda:us-west-2:123456789012:function:choose"


@pytest.fixture
def asking() -> Play:
    """Four instances in service, two of them in zone a, whose group asks a function."""
    play = Play(termination_policies=[FUNCTION, "Default"])
    for count in range(1, 5):
        play.scale(count)
        play.boot()
        play.now += decisions.ASK_AGAIN
    return play


def test_a_function_is_asked_what_has_to_go_where_and_who_may(asking):
    asking.members[1].protected = True
    asking.scale(3)
    (ask,) = asking.asked
    assert ask.function == FUNCTION
    first, _, _, last = asking.members
    assert ask.question == {
        "AutoScalingGroupARN": asking.group.arn,
        "AutoScalingGroupName": "nvme-nodes",
        "CapacityToTerminate": [
            {
                "AvailabilityZone": "us-west-2a",
                "Capacity": 1,
                "InstanceMarketOption": "on-demand",
            }
        ],
        "Instances": [
            {
                "AvailabilityZone": "us-west-2a",
                "InstanceId": member.id,
                "InstanceType": "m5d.4xlarge",
                "InstanceMarketOption": "on-demand",
            }
            for member in (first, last)
        ],
        "Cause": "SCALE_IN",
        "HasMoreInstances": False,
    }
    assert asking.states() == [State.IN_SERVICE] * 4


def test_whom_the_function_names_goes(asking):
    asking.scale(3)
    last = asking.members[-1]
    asking.answer(last)
    assert asking.ended == [last.id]
    assert "the desired capacity from 4 to 3" in last.activity.cause


def test_of_what_a_function_names_no_more_go_than_have_to(asking):
    asking.scale(3)
    first, second, _, last = asking.members
    asking.answer(last, second, first)
    assert asking.ended == [first.id]


def test_a_function_that_does_not_answer_keeps_everybody_and_is_asked_again(asking):
    asking.scale(3)
    ask = asking.asked.pop()
    asking.settle(decisions.answered(asking.group, ask, None, asking.moment()))
    assert (asking.ended, asking.asked) == ([], [])
    assert decisions.next_due(asking.group) == asking.now + decisions.ASK_AGAIN
    asking.pass_time(decisions.ASK_AGAIN.total_seconds())
    asking.answer(asking.members[0])
    assert len(asking.ended) == 1


def test_a_function_that_names_too_few_is_asked_for_the_rest(asking):
    asking.scale(2)
    asking.answer(asking.members[0])
    assert len(asking.ended) == 1
    asking.pass_time(decisions.ASK_AGAIN.total_seconds())
    (ask,) = asking.asked
    assert [wanted["Capacity"] for wanted in ask.question["CapacityToTerminate"]] == [1]


def test_nobody_goes_once_the_capacity_is_wanted_again(asking):
    asking.scale(3)
    asking.scale(4)
    asking.answer(asking.members[0])
    assert asking.ended == []
    assert decisions.next_due(asking.group) is None


def choosing(aws: Aws, source: str, permitted: str | None = AUTO_SCALING) -> str:
    """A group of two in one zone that asks this function; the group's name."""
    name = aws.function(source)
    functions = aws.client("lambda")
    if permitted:
        functions.add_permission(
            FunctionName=name,
            StatementId="auto-scaling",
            Action="lambda:InvokeFunction",
            Principal=permitted,
        )
    arn = functions.get_function_configuration(FunctionName=name)["FunctionArn"]
    subnet = next(iter(aws.endpoint.ec2.subnets.values()))
    group = aws.group(TerminationPolicies=[arn, "Default"], VPCZoneIdentifier=subnet)
    aws.desire(group, 2)
    until(lambda: aws.states(group) == ["InService", "InService"])
    return group


def test_a_group_calls_its_function_and_ends_whom_it_names(aws):
    group = choosing(
        aws,
        "def handle(e, c): return {'InstanceIDs': [max(i['InstanceId'] for i in e['Instances'])]}",
    )
    last = max(aws.members(group))
    aws.desire(group, 1)
    until(lambda: len(aws.members(group)) == 1)
    assert last not in aws.members(group)


def test_a_function_without_a_permission_for_auto_scaling_is_not_called(aws):
    group = choosing(aws, "def handle(e, c): return {'InstanceIDs': []}", permitted=None)
    aws.desire(group, 0)
    engine = aws.endpoint.engine
    until(lambda: engine.groups[group].ask_again_at is not None)
    assert aws.states(group) == ["InService", "InService"]


def test_a_function_must_be_the_first_policy_and_no_other_policy_is_played(aws):
    for policies in (["Default", FUNCTION], ["OldestInstance"], [FUNCTION + ":$LATEST"]):
        with pytest.raises(ClientError):
            aws.group(TerminationPolicies=policies)
