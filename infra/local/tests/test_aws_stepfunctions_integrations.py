"""What an execution calls: AWS by its SDK, functions, the bus, and the rights that its role gives."""

from __future__ import annotations

from aws_support import Aws, aws, history, output, single, task, until  # noqa: F401


def test_an_aws_sdk_error_is_named_as_aws_names_it(aws):
    complete = task(
        "arn:aws:states:::aws-sdk:autoscaling:completeLifecycleAction",
        Arguments={
            "AutoScalingGroupName": "nobody",
            "LifecycleHookName": "h",
            "LifecycleActionResult": "CONTINUE",
            "InstanceId": "i-0123456789abcdef0",
        },
    )
    described = aws.run(aws.machine(single(complete)))
    assert described["error"] == "AutoScaling.AutoScalingException"
    assert "(Service: AutoScaling, Status Code: 400, Request ID: " in described["cause"]
    details = history(aws, described)[-2]["taskFailedEventDetails"]
    assert details["resource"] == "completeLifecycleAction"
    assert details["resourceType"] == "aws-sdk:autoscaling"


def test_a_modelled_aws_sdk_error_has_its_own_name(aws):
    describe = task("arn:aws:states:::aws-sdk:eks:describeCluster", Arguments={"Name": "nobody"})
    described = aws.run(aws.machine(single(describe)))
    assert described["error"] == "Eks.ResourceNotFoundException"


def test_aws_sdk_parameters_and_results_are_in_pascal_case(aws):
    describe = task(
        "arn:aws:states:::aws-sdk:eks:describeCluster",
        Arguments={"Name": "tidegate"},
        Output="{% $states.result.Cluster.Name %}",
    )
    assert output(aws.run(aws.machine(single(describe)))) == "tidegate"


def test_a_machine_may_only_do_what_its_role_allows(aws):
    describe = task("arn:aws:states:::aws-sdk:eks:describeCluster", Arguments={"Name": "tidegate"})
    other = {"Effect": "Allow", "Action": "eks:ListClusters", "Resource": "*"}
    described = aws.run(aws.machine(single(describe), other))
    assert described["error"] == "Eks.AccessDeniedException"
    assert "is not authorized to perform: eks:DescribeCluster" in described["cause"]


def test_a_machine_may_only_invoke_the_functions_of_its_role(aws):
    name = aws.function("def handle(event, context): return 1")
    invoke = task("arn:aws:states:::lambda:invoke", Arguments={"FunctionName": name, "Payload": {}})
    other = {
        "Effect": "Allow",
        "Action": "lambda:InvokeFunction",
        "Resource": "arn:aws:lambda:us-west-2:123456789012:function:another",
    }
    described = aws.run(aws.machine(single(invoke), other))
    assert described["error"] == "Lambda.AWSLambdaException"
    assert "is not authorized to perform: lambda:InvokeFunction" in described["cause"]


def test_put_events_from_a_machine_reaches_the_bus(aws):
    put = task(
        "arn:aws:states:::aws-sdk:eventbridge:putEvents",
        Arguments={
            "Entries": [
                {"Source": "tidegate", "DetailType": "Told", "Detail": {"a": "{% 1 + 1 %}"}}
            ]
        },
    )
    aws.run(aws.machine(single(put)))
    (event,) = until(lambda: aws.events("Told"))
    assert event["detail"] == {"a": 2}
