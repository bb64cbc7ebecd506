"""The reader of templates: what is deployed is what runs, and nothing is left out in silence."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import requests
import yaml
from aws_support import Aws, aws, bootstrap, until  # noqa: F401

CHECKOUT = Path(__file__).resolve().parents[3]
FUNCTIONS = sorted(package.parent.name for package in CHECKOUT.glob("functions/*/Cargo.toml") if "-" in package.parent.name)
MACHINES = sorted(
    "tidegate-" + definition.name.removesuffix(".asl.json")
    for definition in CHECKOUT.glob("statemachine/*.asl.json")
)


def deploy(aws: Aws, template: Path, stack: str, **parameters) -> dict:
    request = {"template": str(template), "stackName": stack, "parameters": parameters}
    return aws.admin("POST", "deploy", request)


def refused(aws: Aws, template: Path, **parameters) -> str:
    request = {"template": str(template), "stackName": "refused", "parameters": parameters}
    answer = requests.post(f"{aws.url}/local-api/deploy", json=request, timeout=60)
    assert answer.status_code == 400, answer.text
    return answer.json()["message"]


def written(directory: Path, template: dict) -> Path:
    path = directory / "template.yaml"
    path.write_text(yaml.safe_dump({"AWSTemplateFormatVersion": "2010-09-09"} | template))
    return path


SMALL = {
    "Transform": "AWS::Serverless-2016-10-31",
    "Parameters": {
        "Groups": {"Type": "CommaDelimitedList"},
        "Word": {"Type": "String", "Default": "tide", "AllowedValues": ["tide", "ebb"]},
    },
    "Globals": {"Function": {"Runtime": "provided.al2023", "Handler": "bootstrap", "Timeout": 9}},
    "Resources": {
        "Echo": {
            "Type": "AWS::Serverless::Function",
            "Properties": {
                "CodeUri": "code/",
                "MemorySize": 192,
                "Environment": {
                    "Variables": {
                        "WORD": {"Ref": "Word"},
                        "GROUPS": {"Fn::Join": [",", {"Ref": "Groups"}]},
                    }
                },
            },
        },
        "Machine": {
            "Type": "AWS::Serverless::StateMachine",
            "Properties": {
                "DefinitionUri": "machine.asl.json",
                "DefinitionSubstitutions": {"Function": {"Fn::GetAtt": ["Echo", "Arn"]}},
                "Policies": [{"LambdaInvokePolicy": {"FunctionName": {"Ref": "Echo"}}}],
                "Events": {
                    "Told": {
                        "Type": "EventBridgeRule",
                        "Properties": {
                            "Pattern": {
                                "source": ["test"],
                                "detail": {"group": {"Ref": "Groups"}},
                            }
                        },
                    }
                },
            },
        },
    },
    "Outputs": {
        "MachineArn": {"Value": {"Ref": "Machine"}},
        "Sentence": {"Value": {"Fn::Sub": "${Word} of ${AWS::StackName} in ${AWS::Region}"}},
    },
}

MACHINE = {
    "QueryLanguage": "JSONata",
    "StartAt": "Call",
    "States": {
        "Call": {
            "Type": "Task",
            "Resource": "arn:aws:states:::lambda:invoke",
            "Arguments": {"FunctionName": "${Function}", "Payload": "{% $states.input.detail %}"},
            "Output": "{% $states.result.Payload %}",
            "End": True,
        }
    },
}

WORDS = "def handle(event, context): return [os.environ['WORD'], os.environ['GROUPS'], event]"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "bootstrap").write_text(bootstrap(WORDS))
    (tmp_path / "machine.asl.json").write_text(json.dumps(MACHINE))
    return written(tmp_path, SMALL)


def test_what_a_small_template_says_is_made_and_works_together(aws, small):
    made = deploy(aws, small, "small", Groups="one,two")
    machine = made["outputs"]["MachineArn"]
    assert made["outputs"]["Sentence"] == "tide of small in us-west-2"
    function = aws.client("lambda").get_function_configuration(
        FunctionName=made["resources"]["Echo"]["physicalId"]
    )
    assert (function["MemorySize"], function["Timeout"]) == (192, 9)
    for group in ("one", "three"):
        event = {"source": "test", "detail-type": "Told", "detail": {"group": group}}
        aws.admin("POST", "events", {"put": event})
    client = aws.client("stepfunctions")
    (run,) = until(lambda: client.list_executions(stateMachineArn=machine)["executions"])
    described = aws.ended(run["executionArn"])
    assert json.loads(described["output"]) == ["tide", "one,two", {"group": "one"}]


def test_deploying_again_changes_what_changed_and_removes_what_is_gone(aws, small):
    first = deploy(aws, small, "again", Groups="one", Word="tide")
    template = json.loads(json.dumps(SMALL))
    del template["Resources"]["Machine"]["Properties"]["Events"]
    written(small.parent, template)
    second = deploy(aws, small, "again", Groups="one", Word="ebb")
    assert second["outputs"]["MachineArn"] == first["outputs"]["MachineArn"]
    described = aws.run(second["outputs"]["MachineArn"], {"detail": 1})
    assert json.loads(described["output"])[0] == "ebb"
    rules = [r["Name"] for r in aws.client("events").list_rules()["Rules"]]
    assert not any(name.startswith("again") for name in rules)
    roles = {r["type"] for r in first["resources"].values()}
    assert "AWS::IAM::Role" in roles
    assert len(second["resources"]) < len(first["resources"])


def test_a_rebuilt_function_runs_only_after_it_is_deployed(aws, small):
    made = deploy(aws, small, "rebuilt", Groups="one")
    machine = made["outputs"]["MachineArn"]
    (small.parent / "code" / "bootstrap").write_text(
        bootstrap("def handle(event, context): return 'rebuilt'")
    )
    assert json.loads(aws.run(machine, {"detail": 1})["output"])[0] == "tide"
    deploy(aws, small, "rebuilt", Groups="one")
    assert json.loads(aws.run(machine, {"detail": 1})["output"]) == "rebuilt"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"Bucket": {"Type": "AWS::S3::Bucket"}},
            "resource types not known to this reader: AWS::S3::Bucket",
        ),
        (
            {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"Colour": "blue"}}},
            "Queue (AWS::SQS::Queue): properties not known to this reader: Colour",
        ),
        (
            {"Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Ref": "Nobody"}}}},
            "Ref Nobody: Nobody is neither a parameter nor a resource",
        ),
        (
            {
                "A": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Ref": "B"}}},
                "B": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": {"Ref": "A"}}},
            },
            "Circular dependency between resources: A -> B -> A",
        ),
    ],
)
def test_what_cannot_be_made_is_named(aws, tmp_path, change, message):
    assert message in refused(aws, written(tmp_path, {"Resources": change}))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "Parameters: [Groups] must have values"),
        ({"Groups": "a", "Colour": "blue"}, "Parameters: ['Colour'] do not exist"),
        ({"Groups": "a", "Word": "flood"}, "'Word' must be one of AllowedValues"),
    ],
)
def test_a_bad_parameter_is_refused_as_cloudformation_refuses_it(aws, small, parameters, message):
    assert message in refused(aws, small, **parameters)


def test_code_that_was_not_built_is_an_error_that_says_so(aws, small):
    shutil.rmtree(small.parent / "code")
    assert "holds no code; build it first" in refused(aws, small, Groups="a")


def test_conditions_mappings_and_loops_are_resolved(aws, tmp_path):
    template = {
        "Transform": ["AWS::LanguageExtensions"],
        "Parameters": {"Names": {"Type": "CommaDelimitedList"}, "Big": {"Type": "String"}},
        "Mappings": {"Days": {"true": {"Kept": 90}, "false": {"Kept": 7}}},
        "Conditions": {"IsBig": {"Fn::Equals": [{"Ref": "Big"}, "true"]}},
        "Resources": {
            "Fn::ForEach::Logs": [
                "Name",
                {"Ref": "Names"},
                {
                    "Log${Name}": {
                        "Type": "AWS::Logs::LogGroup",
                        "Properties": {
                            "LogGroupName": {"Fn::Sub": "/loop/${Name}"},
                            "RetentionInDays": {"Fn::FindInMap": ["Days", {"Ref": "Big"}, "Kept"]},
                        },
                    }
                },
            ],
            "Only": {"Type": "AWS::SQS::Queue", "Condition": "IsBig"},
        },
    }
    made = deploy(aws, written(tmp_path, template), "loops", Names="a,b", Big="false")
    assert set(made["resources"]) == {"Loga", "Logb"}
    groups = aws.client("logs").describe_log_groups(logGroupNamePrefix="/loop/")["logGroups"]
    assert {g["logGroupName"]: g["retentionInDays"] for g in groups} == {"/loop/a": 7, "/loop/b": 7}


@pytest.fixture(scope="module")
def product(aws, tmp_path_factory) -> dict:
    """The product's own template, with stand-ins for the compiled functions."""
    copy = tmp_path_factory.mktemp("checkout")
    (copy / "infra").mkdir()
    shutil.copy(CHECKOUT / "infra" / "template.yaml", copy / "infra")
    for name in ("functions", "statemachine"):
        (copy / name).symlink_to(CHECKOUT / name)
    for name in FUNCTIONS:
        directory = copy / "target" / "lambda" / name
        directory.mkdir(parents=True)
        (directory / "bootstrap").write_text(bootstrap(f"def handle(e, c): return {name!r}"))
    return deploy(
        aws,
        copy / "infra" / "template.yaml",
        "tidegate",
        ClusterName="tidegate",
        AutoScalingGroupNames="nvme-nodes,other-nodes",
        AlluxioMasters="127.77.0.2:19998",
        Architecture="x86_64",
    )


def test_the_products_template_is_deployed_whole(aws, product):
    types = [resource["type"] for resource in product["resources"].values()]
    assert types.count("AWS::Lambda::Function") == len(FUNCTIONS)
    assert types.count("AWS::EKS::AccessEntry") == len(FUNCTIONS) - 3
    assert types.count("AWS::StepFunctions::StateMachine") == len(MACHINES)
    machines = aws.client("stepfunctions").list_state_machines()["stateMachines"]
    assert set(MACHINES) <= {m["name"] for m in machines}


def test_the_products_functions_have_their_settings_and_rights(aws, product):
    drain = aws.client("lambda").get_function_configuration(FunctionName="tidegate-drain-cache")
    assert (drain["MemorySize"], drain["Timeout"]) == (256, 30)
    variables = drain["Environment"]["Variables"]
    assert variables["ALLUXIO_MASTERS"] == "127.77.0.2:19998"
    role = product["outputs"]["ResolveNodeRoleArn"]
    endpoint = aws.endpoint
    allows = endpoint.authorizer.role_allows
    here, elsewhere = {"aws:requestedregion": ["us-west-2"]}, {"aws:requestedregion": ["us-east-1"]}
    assert allows(role, "autoscaling:DescribeAutoScalingInstances", ("*",), here)
    assert not allows(role, "autoscaling:DescribeAutoScalingInstances", ("*",), elsewhere)
    assert not allows(role, "autoscaling:CompleteLifecycleAction", ("*",), here)
    assert endpoint.identities.trusts(role, "lambda.amazonaws.com")


def test_the_products_machines_may_touch_only_the_groups_of_the_stack(aws, product):
    machine = aws.client("stepfunctions").describe_state_machine(
        stateMachineArn=product["outputs"]["NodeDrainArn"]
    )
    arn = "arn:aws:autoscaling:us-west-2:123456789012:autoScalingGroup:u:autoScalingGroupName/"
    facts = {"aws:requestedregion": ["us-west-2"]}
    for name, allowed in (("nvme-nodes", True), ("other-nodes", True), ("foreign", False)):
        verdict = aws.endpoint.authorizer.role_allows(
            machine["roleArn"],
            "autoscaling:TerminateInstanceInAutoScalingGroup",
            (arn + name,),
            facts,
        )
        assert verdict is allowed, name


def test_the_products_rules_wait_for_its_groups_and_hooks(aws, product):
    rule = aws.client("events").describe_rule(Name="tidegate-node-launching")
    pattern = json.loads(rule["EventPattern"])
    assert pattern["detail"] == {
        "AutoScalingGroupName": ["nvme-nodes", "other-nodes"],
        "LifecycleHookName": ["tidegate-node-join"],
    }
    targets = aws.client("events").list_targets_by_rule(Rule="tidegate-node-launching")["Targets"]
    assert targets[0]["Arn"] == product["outputs"]["NodeJoinArn"]
    assert targets[0]["DeadLetterConfig"]["Arn"].endswith(":tidegate-undelivered-events")


def test_a_stack_that_is_complete_is_told_and_the_products_rule_waits_for_its_own(aws, product):
    rule = aws.client("events").describe_rule(Name="tidegate-stack-completed")
    (stack,) = json.loads(rule["EventPattern"])["detail"]["stack-id"]
    assert stack.startswith("arn:aws:cloudformation:us-west-2:123456789012:stack/tidegate/")
    machine = product["outputs"]["ClusterBootstrapArn"]
    client = aws.client("stepfunctions")
    (run,) = until(lambda: client.list_executions(stateMachineArn=machine)["executions"])
    given = json.loads(client.describe_execution(executionArn=run["executionArn"])["input"])
    assert given["source"] == "aws.cloudformation"
    assert given["detail"]["status-details"]["status"] == "CREATE_COMPLETE"


@pytest.mark.parametrize(
    ("rule", "source", "detail_type", "age"),
    [
        ("spot-interruption", "aws.ec2", "EC2 Spot Instance Interruption Warning", 120),
        ("rebalance", "aws.ec2", "EC2 Instance Rebalance Recommendation", 3600),
        ("instance-ending", "aws.ec2", "EC2 Instance State-change Notification", 3600),
        ("scheduled-change", "aws.health", "AWS Health Event", 86400),
        ("degraded-store", "aws.health", "AWS Health Event", 86400),
    ],
)
def test_what_is_told_of_any_instance_starts_a_drain(
    aws, product, rule, source, detail_type, age
):
    described = aws.client("events").describe_rule(Name=f"tidegate-{rule}")
    pattern = json.loads(described["EventPattern"])
    assert described["State"] == "ENABLED"
    assert (pattern["source"], pattern["detail-type"]) == ([source], [detail_type])
    (target,) = aws.client("events").list_targets_by_rule(Rule=f"tidegate-{rule}")["Targets"]
    assert target["Arn"] == product["outputs"]["NodeDrainArn"]
    assert target["RetryPolicy"]["MaximumEventAgeInSeconds"] == age
    dead = target["DeadLetterConfig"]["Arn"]
    assert dead.endswith(":tidegate-undelivered-events")
    assert aws.endpoint.authorizer.queue_allows(dead, "events.amazonaws.com", described["Arn"])


def test_an_undelivered_event_is_an_alarm(aws, product):
    (alarm,) = aws.client("cloudwatch").describe_alarms(
        AlarmNames=["tidegate-undelivered-events"]
    )["MetricAlarms"]
    assert alarm["Dimensions"] == [
        {"Name": "QueueName", "Value": "tidegate-undelivered-events"}
    ]
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (0.0, "GreaterThanThreshold")
    assert alarm.get("AlarmActions", []) == []


def test_the_dashboard_shows_every_alarm_and_every_metric_that_a_function_tells(aws, product):
    text = aws.client("cloudwatch").get_dashboard(DashboardName="tidegate")["DashboardBody"]
    alarm, *graphs = json.loads(text)["widgets"]
    known = aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert sorted(alarm["properties"]["alarms"]) == sorted(a["AlarmArn"] for a in known)
    shown = json.dumps(graphs)
    assert "${" not in shown
    assert "autoScalingGroup=(nvme-nodes OR other-nodes)" in shown
    sources = [path.read_text() for path in CHECKOUT.glob("functions/**/src/**/*.rs")]
    told = {name for text in sources for name in re.findall(r'\.metric\(\s*"(\w+)"', text)}
    assert {"JoinSeconds", "BytesLost", "DriftUnseen"} <= told
    assert [name for name in told if name not in shown] == []


def test_the_products_functions_reach_the_cluster_under_their_groups(aws, product):
    entries = aws.admin("GET", "eks/access-entries")
    groups = {group for entry in entries for group in entry["kubernetesGroups"]}
    # Three never go there, and two go under a policy of EKS.
    others = set(FUNCTIONS) - {
        "resolve-node",
        "take-turn",
        "judge-launch",
        "bootstrap-cluster",
        "destroy-cluster",
    }
    assert groups == {f"tidegate:{name}" for name in others}
    eks = aws.client("eks")
    for role in ("BootstrapClusterRoleArn", "DestroyClusterRoleArn"):
        (policy,) = eks.list_associated_access_policies(clusterName="tidegate", principalArn=product["outputs"][role])[
            "associatedAccessPolicies"
        ]
        assert policy["policyArn"].endswith("/AmazonEKSClusterAdminPolicy")
        assert policy["accessScope"]["type"] == "cluster"


def test_the_products_executions_are_logged(aws, product):
    described = aws.run(product["outputs"]["NodeJoinArn"], {"instanceId": "i-0123456789abcdef0"})
    logged = aws.client("logs").filter_log_events(
        logGroupName="/aws/vendedlogs/states/tidegate", limit=100
    )["events"]
    kinds = [
        entry["type"]
        for entry in map(json.loads, (event["message"] for event in logged))
        if entry["execution_arn"] == described["executionArn"]
    ]
    assert kinds[0] == "ExecutionStarted"
    assert kinds[-1] == "ExecutionFailed"
