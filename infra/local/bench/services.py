"""The local AWS as an operator of it calls it, and what only a local one can do."""

from __future__ import annotations

import time
from typing import Any

import requests
from world.groups import client

from .history import Execution, NotEnded, execution

STACK = "tidegate"
GROUP = "nvme-nodes"
JOIN, DRAIN = "node-join", "node-drain"
# Those of a node's life, in its order.
FUNCTIONS = (
    "resolve-node",
    "label-node",
    "provision-volumes",
    "schedule-worker",
    "cordon-node",
    "evict-pods",
    "drain-cache",
    "retire-worker",
)
# All that are deployed.
EVERY_FUNCTION = (*FUNCTIONS, "check-drift", "choose-victims", "judge-launch", "take-turn")
_LAUNCHES = {"source": ["aws.autoscaling"], "detail-type": ["EC2 Instance-launch Lifecycle Action"]}
_POLL_SECONDS = 0.25
# Several times what a join or a drain takes here; beyond that something is broken.
PATIENCE_SECONDS = 300
_HISTORY_PAGE = 1000


class NotSeen(Exception):
    """What was waited for did not come; the message says what."""


def until(what: str, look: Any, seconds: float = PATIENCE_SECONDS) -> Any:
    """The first answer of `look` that is true. Raises NotSeen."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        found = look()
        if found:
            return found
        time.sleep(_POLL_SECONDS)
    raise NotSeen(f"{what}: not within {seconds} s")


class Services:
    def __init__(self, endpoints: dict[str, Any]):
        self._endpoint, self._region = endpoints["aws"], endpoints["region"]
        self._machines = f"arn:aws:states:{self._region}:{endpoints['account']}:stateMachine:{STACK}-"
        self._autoscaling = self._client("autoscaling")
        self._lambda = self._client("lambda")
        self._states = self._client("stepfunctions")

    def _client(self, service: str) -> Any:
        return client(service, self._endpoint, self._region)

    def actors(self) -> dict[str, str]:
        """Role name to the function or state machine that acts in it."""
        found = {}
        for function in FUNCTIONS:
            role = self._lambda.get_function_configuration(FunctionName=f"{STACK}-{function}")["Role"]
            found[role.rsplit("/", 1)[-1]] = function
        for machine in (JOIN, DRAIN):
            role = self._states.describe_state_machine(stateMachineArn=self._machines + machine)["roleArn"]
            found[role.rsplit("/", 1)[-1]] = machine
        return found

    def names(self) -> list[str]:
        """Full names of the stack's functions."""
        return [f"{STACK}-{function}" for function in EVERY_FUNCTION]

    # The group

    def members(self) -> dict[str, str]:
        """Lifecycle state by instance id."""
        answer = self._autoscaling.describe_auto_scaling_instances()["AutoScalingInstances"]
        return {member["InstanceId"]: member["LifecycleState"] for member in answer}

    def launch(self) -> str:
        """One more instance; its id."""
        before = set(self.members())
        answer = self._autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])
        desired = answer["AutoScalingGroups"][0]["DesiredCapacity"]
        self._autoscaling.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=desired + 1, HonorCooldown=False)
        return str(until("a launched instance", lambda: next(iter(set(self.members()) - before), None)))

    def end(self, instance: str) -> None:
        """Scales in by one, as Cluster Autoscaler does: it names the victim."""
        self._autoscaling.terminate_instance_in_auto_scaling_group(
            InstanceId=instance, ShouldDecrementDesiredCapacity=True
        )

    # Executions

    def executions(self, machine: str) -> set[str]:
        answer = self._states.list_executions(stateMachineArn=self._machines + machine)
        return {told["executionArn"] for told in answer["executions"]}

    def ended(self, machine: str, before: set[str]) -> Execution:
        """The first execution that was not there before, once it has succeeded. Raises NotSeen."""
        arn = until(f"an execution of {machine}", lambda: next(iter(self.executions(machine) - before), None))
        until(f"the end of {arn}", lambda: self._states.describe_execution(executionArn=arn)["status"] != "RUNNING")
        found = self.history(arn)
        if found.status != "SUCCEEDED":
            told = self._states.describe_execution(executionArn=arn)
            raise NotSeen(f"success of {arn}: {found.status}: {told.get('error')}: {told.get('cause')}")
        return found

    def history(self, arn: str) -> Execution:
        pages = self._states.get_paginator("get_execution_history").paginate(executionArn=arn, maxResults=_HISTORY_PAGE)
        try:
            return execution([event for page in pages for event in page["events"]])
        except NotEnded as error:
            raise NotSeen(f"the end of {arn}: {error}") from error

    # Functions

    def deploy(self, name: str, code: bytes, like: str) -> None:
        """A function of our own, with the role, memory and timeout of a function of the stack."""
        told = self._lambda.get_function_configuration(FunctionName=f"{STACK}-{like}")
        self._lambda.create_function(
            FunctionName=name,
            Role=told["Role"],
            Runtime=told["Runtime"],
            Handler=told["Handler"],
            MemorySize=told["MemorySize"],
            Timeout=told["Timeout"],
            Environment={"Variables": told["Environment"]["Variables"]},
            Code={"ZipFile": code},
        )

    def make_cold(self, name: str, mark: str) -> None:
        """The next invocation starts a process: another configuration never meets one of the last."""
        told = self._lambda.get_function_configuration(FunctionName=name)
        variables = told.get("Environment", {}).get("Variables", {}) | {"COLD_START": mark}
        self._lambda.update_function_configuration(FunctionName=name, Environment={"Variables": variables})

    def invoke(self, name: str, payload: bytes) -> bytes:
        """The answer, or the error."""
        return bytes(self._lambda.invoke(FunctionName=name, Payload=payload)["Payload"].read())

    # Only here

    def hold_launches(self) -> None:
        """The events of launches are kept back until `release`."""
        self._local("events", {"hold": True, "pattern": _LAUNCHES})

    def release(self) -> None:
        self._local("events", {"reset": True})

    def _local(self, path: str, body: dict[str, Any]) -> None:
        requests.post(f"{self._endpoint}/local-api/{path}", json=body, timeout=30).raise_for_status()
