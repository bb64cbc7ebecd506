"""IAM decisions, without any service."""

from __future__ import annotations

import aws_support  # noqa: F401  (puts the package on the path)
import pytest
from world.aws.policies import Request, allowed

GROUP = "arn:aws:autoscaling:us-west-2:123456789012:autoScalingGroup:u:autoScalingGroupName/nvme"
COMPLETE = "autoscaling:CompleteLifecycleAction"


def decide(statement: dict, action: str = COMPLETE, resource: str = GROUP, **facts: str) -> bool:
    request = Request(action, (resource,), {k.replace("_", ":"): [v] for k, v in facts.items()})
    return allowed([{"Statement": [{"Effect": "Allow"} | statement]}], request)


def test_what_no_statement_allows_is_denied():
    assert not allowed([], Request(COMPLETE, (GROUP,)))
    assert not decide({"Action": "autoscaling:Describe*", "Resource": "*"})


def test_actions_match_without_regard_to_case_and_with_wildcards():
    assert decide({"Action": "AutoScaling:completelifecycleaction", "Resource": "*"})
    assert decide({"Action": ["ec2:*", "autoscaling:Complete*"], "Resource": "*"})


def test_resources_match_with_wildcards():
    pattern = "arn:aws:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/"
    assert decide({"Action": "*", "Resource": pattern + "nvme"})
    assert not decide({"Action": "*", "Resource": pattern + "other"})
    assert decide({"Action": "*", "Resource": [pattern + "other", pattern + "nv?e"]})


def test_a_deny_wins_over_every_allow():
    allow = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    deny = {"Effect": "Deny", "Action": COMPLETE, "Resource": "*"}
    assert not allowed([{"Statement": [allow, deny]}], Request(COMPLETE, (GROUP,)))


def test_every_resource_of_a_request_must_be_allowed():
    statement = {"Effect": "Allow", "Action": "events:PutEvents", "Resource": "arn:a"}
    assert not allowed([{"Statement": statement}], Request("events:PutEvents", ("arn:a", "arn:b")))


@pytest.mark.parametrize(
    ("condition", "facts", "verdict"),
    [
        (
            {"StringEquals": {"aws:RequestedRegion": "us-west-2"}},
            {"aws_requestedregion": "us-west-2"},
            True,
        ),
        (
            {"StringEquals": {"aws:RequestedRegion": "us-west-2"}},
            {"aws_requestedregion": "eu"},
            False,
        ),
        ({"StringEquals": {"aws:RequestedRegion": "us-west-2"}}, {}, False),
        ({"StringEqualsIfExists": {"aws:RequestedRegion": "us-west-2"}}, {}, True),
        ({"StringNotEquals": {"events:source": "aws"}}, {"events_source": "tidegate"}, True),
        ({"StringLike": {"events:source": ["x", "tide*"]}}, {"events_source": "tidegate"}, True),
        ({"ArnLike": {"aws:SourceArn": "arn:*:rule/a"}}, {"aws_sourcearn": "arn:x:rule/a"}, True),
        ({"Bool": {"aws:SecureTransport": "false"}}, {"aws_securetransport": "true"}, False),
        ({"Null": {"events:source": "true"}}, {}, True),
        ({"NumericLessThan": {"aws:x": "5"}}, {"aws_x": "4"}, False),
    ],
)
def test_conditions(condition, facts, verdict):
    assert decide({"Action": "*", "Resource": "*", "Condition": condition}, **facts) is verdict


def test_all_values_must_match_unless_one_is_enough():
    facts = {"events:source": ["tidegate", "other"]}
    request = Request("events:PutEvents", ("arn:a",), facts)

    def verdict(operator: str) -> bool:
        statement = {
            "Effect": "Allow",
            "Action": "*",
            "Resource": "*",
            "Condition": {operator: {"events:source": "tidegate"}},
        }
        return allowed([{"Statement": [statement]}], request)

    assert not verdict("ForAllValues:StringEquals")
    assert verdict("ForAnyValue:StringEquals")


def test_a_resource_policy_names_its_principals():
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": "arn:q",
    }
    document = [{"Statement": [statement]}]
    assert allowed(document, Request("sqs:SendMessage", ("arn:q",), {}, "events.amazonaws.com"))
    assert not allowed(document, Request("sqs:SendMessage", ("arn:q",), {}, "sns.amazonaws.com"))
