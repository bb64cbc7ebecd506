"""What the tests of the local AWS share: an endpoint, clients, a tiny function, patience."""

from __future__ import annotations

import io
import json
import sys
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from world.aws.config import ACCOUNT, REGION, Config, Pace  # noqa: E402

FAST = Pace(boot=0.05, transition=0.0, shutdown=0.05)
# Waits and retry intervals of state machines pass a hundred times faster.
STRETCH = 0.01

NODE_GROUP = "nvme-nodes"
JOIN_HOOK = "tidegate-node-join"
DRAIN_HOOK = "tidegate-node-drain"


LOGS = {
    "Effect": "Allow",
    "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
    "Resource": "arn:aws:logs:us-west-2:123456789012:log-group:*",
}


class Aws:
    """An endpoint with the few things that most tests need."""

    def __init__(self, endpoint: Any):
        self.endpoint = endpoint
        self.url = endpoint.url
        self.world = endpoint.config.world
        self._clients: dict[tuple[str, str], Any] = {}

    def client(self, service: str, credentials: Any = None) -> Any:
        import boto3
        from botocore.config import Config as ClientConfig

        key = (service, credentials.access_key_id if credentials else "")
        if key not in self._clients:
            self._clients[key] = boto3.session.Session().client(
                service,
                region_name=REGION,
                endpoint_url=self.url,
                aws_access_key_id=credentials.access_key_id if credentials else "operator",
                aws_secret_access_key=credentials.secret_access_key if credentials else "local",
                aws_session_token=credentials.session_token if credentials else None,
                config=ClientConfig(retries={"total_max_attempts": 1}),
            )
        return self._clients[key]

    def admin(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        import requests

        answer = requests.request(method, f"{self.url}/local-api/{path}", json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def group(
        self, name: str | None = None, instance_type: str = "m5d.4xlarge", **more: Any
    ) -> str:
        """A group of the instance type, over the three subnets, empty unless said otherwise."""
        name = name or f"group-{uuid.uuid4().hex[:8]}"
        template = self.client("ec2").create_launch_template(
            LaunchTemplateName=f"{name}-{uuid.uuid4().hex[:6]}",
            LaunchTemplateData={"ImageId": "ami-12345678", "InstanceType": instance_type},
        )
        identifier = template["LaunchTemplate"]["LaunchTemplateId"]
        settings = {
            "MinSize": 0,
            "MaxSize": 10,
            "DesiredCapacity": 0,
            "VPCZoneIdentifier": ",".join(self.endpoint.ec2.subnets.values()),
        }
        self.client("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=name,
            LaunchTemplate={"LaunchTemplateId": identifier, "Version": "$Latest"},
            **(settings | more),
        )
        return name

    def hook(self, group: str, name: str, transition: str, **more: Any) -> None:
        self.client("autoscaling").put_lifecycle_hook(
            AutoScalingGroupName=group,
            LifecycleHookName=name,
            LifecycleTransition=f"autoscaling:EC2_INSTANCE_{transition}",
            **({"HeartbeatTimeout": 300} | more),
        )

    def desire(self, group: str, capacity: int) -> None:
        self.client("autoscaling").set_desired_capacity(
            AutoScalingGroupName=group, DesiredCapacity=capacity
        )

    def members(self, group: str) -> dict[str, str]:
        """Instance id -> lifecycle state."""
        found = self.client("autoscaling").describe_auto_scaling_groups(
            AutoScalingGroupNames=[group]
        )["AutoScalingGroups"]
        return {i["InstanceId"]: i["LifecycleState"] for g in found for i in g["Instances"]}

    def states(self, group: str) -> list[str]:
        return sorted(self.members(group).values())

    def events(self, detail_type: str | None = None) -> list[dict[str, Any]]:
        events = [line["event"] for line in written(self.world / "events.jsonl")]
        return [e for e in events if detail_type is None or e["detail-type"] == detail_type]

    def calls(self) -> list[dict[str, Any]]:
        return written(self.world / "aws-calls.jsonl")

    def role(self, service: str, *statements: dict[str, Any]) -> str:
        """A role that the service may assume, with these policy statements. Its ARN."""
        name = f"role-{uuid.uuid4().hex[:8]}"
        trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        arn = self.client("iam").create_role(
            RoleName=name,
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        )["Role"]["Arn"]
        if statements:
            self.client("iam").put_role_policy(
                RoleName=name,
                PolicyName="rights",
                PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": list(statements)}),
            )
        return arn

    def function(self, code: str, role: str | None = None, **more: Any) -> str:
        """A function whose bootstrap is a small Python program; `handle(event, context)` in it."""
        name = f"function-{uuid.uuid4().hex[:8]}"
        self.client("lambda").create_function(
            FunctionName=name,
            Runtime="provided.al2023",
            Handler="bootstrap",
            Role=role or self.role("lambda.amazonaws.com", LOGS),
            Code={"ZipFile": package(code)},
            **({"Timeout": 5, "MemorySize": 256} | more),
        )
        return name

    def machine(self, definition: dict[str, Any], *statements: dict[str, Any]) -> str:
        """A state machine whose role may do what is stated, by default everything."""
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        role = self.role("states.amazonaws.com", *(statements or (everything,)))
        return self.client("stepfunctions").create_state_machine(
            name=f"machine-{uuid.uuid4().hex[:8]}",
            definition=json.dumps({"QueryLanguage": "JSONata"} | definition),
            roleArn=role,
        )["stateMachineArn"]

    def run(self, machine: str, given: Any = None, name: str | None = None) -> dict[str, Any]:
        """Starts an execution and describes it when it has ended."""
        more = {"name": name} if name else {}
        arn = self.client("stepfunctions").start_execution(
            stateMachineArn=machine, input=json.dumps({} if given is None else given), **more
        )["executionArn"]
        return self.ended(arn)

    def ended(self, arn: str, seconds: float = 20) -> dict[str, Any]:
        client = self.client("stepfunctions")
        return until(
            lambda: (d := client.describe_execution(executionArn=arn))["status"] != "RUNNING" and d,
            seconds,
        )


def written(path: Path) -> list[Any]:
    """The lines of a file of JSON lines that is being written: the last one may be there only in part."""
    *lines, _ = path.read_text().split("\n")
    return [json.loads(line) for line in lines]


BOOTSTRAP = """#!{python}
import http.client, json, os, sys, time
{code}
host = os.environ["AWS_LAMBDA_RUNTIME_API"]
base = "/2018-06-01/runtime/invocation/"
while True:
    api = http.client.HTTPConnection(host)
    api.request("GET", base + "next")
    answer = api.getresponse()
    context = dict(answer.getheaders())
    event = json.loads(answer.read())
    where = base + context["Lambda-Runtime-Aws-Request-Id"]
    try:
        kind, result = "/response", handle(event, context)
    except Exception as error:
        kind = "/error"
        result = {{"errorType": type(error).__name__, "errorMessage": str(error)}}
    api.request("POST", where + kind, json.dumps(result))
    api.getresponse().read()
"""


def bootstrap(code: str) -> str:
    return BOOTSTRAP.format(python=sys.executable, code=code)


def package(code: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        archive.writestr(entry, bootstrap(code))
    return buffer.getvalue()


def until(look: Callable[[], Any], seconds: float = 10) -> Any:
    """What `look` returns as soon as it is true."""
    deadline = time.monotonic() + seconds
    while True:
        value = look()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {seconds} s; last seen: {value!r}"
        time.sleep(0.02)


def task(resource: str, **more: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": resource, "End": True} | more


def single(state: dict[str, Any]) -> dict[str, Any]:
    """A machine of this one state."""
    return {"StartAt": "Only", "States": {"Only": state}}


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    from world.aws.server import AwsEndpoint

    config = Config(
        world=tmp_path_factory.mktemp("world"),
        network="127.77.0.0/16",
        pace=FAST,
        minimum_heartbeat=1,
    )
    with AwsEndpoint(config, stretch=STRETCH) as endpoint:
        yield Aws(endpoint)


def output(described: dict) -> object:
    assert described["status"] == "SUCCEEDED", described
    return json.loads(described["output"])


def history(aws: Aws, described: dict) -> list[dict]:
    return aws.client("stepfunctions").get_execution_history(
        executionArn=described["executionArn"], maxResults=1000
    )["events"]


__all__ = ["ACCOUNT", "REGION", "Aws", "aws"]
