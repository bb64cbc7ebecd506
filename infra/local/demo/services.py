"""The local AWS, through the clients that a user of AWS has."""

from __future__ import annotations

from typing import Any

import botocore.exceptions
import requests
from world.groups import client

from .changes.autoscaling import Instance
from .changes.executions import Execution, subject
from .events import Source

GROUP = "nvme-nodes"
_MACHINES = {Source.JOIN: "tidegate-node-join", Source.DRAIN: "tidegate-node-drain"}
# The longest page that Step Functions has.
_HISTORY_PAGE = 1000
_SECONDS = 10


class Services:
    """All methods block for the length of an API call."""

    errors = (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError)

    def __init__(self, endpoint: str, region: str, account: str):
        self._autoscaling = client("autoscaling", endpoint, region)
        self._ec2 = client("ec2", endpoint, region)
        self._stepfunctions = client("stepfunctions", endpoint, region)
        self._prefix = f"arn:aws:states:{region}:{account}:stateMachine:"
        self._switches = f"{endpoint}/local-api/events"
        self.drift_check_arn = f"{self._prefix}tidegate-drift-check"

    def machine_arn(self, machine: Source) -> str:
        return self._prefix + _MACHINES[machine]

    def group(self) -> dict[str, Any]:
        answer = self._autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])
        return dict(answer["AutoScalingGroups"][0])

    def set_desired_capacity(self, capacity: int) -> None:
        self._autoscaling.set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=capacity, HonorCooldown=False)

    def end_instance(self, instance: str) -> None:
        """Scales in by one, as Cluster Autoscaler does: it names the victim."""
        self._autoscaling.terminate_instance_in_auto_scaling_group(
            InstanceId=instance, ShouldDecrementDesiredCapacity=True
        )

    def lose_events(self) -> None:
        """No event of the group is delivered from now on."""
        pattern = {"source": ["aws.autoscaling"], "detail": {"AutoScalingGroupName": [GROUP]}}
        requests.post(self._switches, json={"drop": True, "pattern": pattern}, timeout=_SECONDS).raise_for_status()

    def lose_no_more_events(self) -> None:
        requests.post(self._switches, json={"reset": True}, timeout=_SECONDS).raise_for_status()

    def execution(self, arn: str) -> dict[str, Any]:
        return dict(self._stepfunctions.describe_execution(executionArn=arn))

    def instances(self) -> dict[str, Instance]:
        """The group's members, and what EC2 still knows of former ones."""
        members = {
            member["InstanceId"]: member["LifecycleState"]
            for member in self._autoscaling.describe_auto_scaling_instances()["AutoScalingInstances"]
            if member["AutoScalingGroupName"] == GROUP
        }
        wanted = [{"Name": "tag:aws:autoscaling:groupName", "Values": [GROUP]}]
        found = {}
        for reservation in self._ec2.describe_instances(Filters=wanted)["Reservations"]:
            for told in reservation["Instances"]:
                id = told["InstanceId"]
                found[id] = Instance(
                    id=id,
                    lifecycle=members.get(id, ""),
                    state=told["State"]["Name"],
                    name=told.get("PrivateDnsName", "").split(".", 1)[0],
                    address=told.get("PrivateIpAddress", ""),
                    zone=told.get("Placement", {}).get("AvailabilityZone", ""),
                    type=told.get("InstanceType", ""),
                )
        return found

    def executions(self, ended: set[str]) -> list[tuple[Execution, bool]]:
        """Those of both machines that are not in `ended`, oldest first, and whether each is running."""
        found = []
        for machine in _MACHINES:
            answer = self._stepfunctions.list_executions(stateMachineArn=self.machine_arn(machine))
            for told in answer["executions"]:
                arn = told["executionArn"]
                if arn not in ended:
                    given = self._stepfunctions.describe_execution(executionArn=arn).get("input", "{}")
                    instance, by_hand = subject(given)
                    # The status is older than the history that is read next, so nothing of the end is missed.
                    running = told["status"] == "RUNNING"
                    found.append((told["startDate"], Execution(arn, machine, instance, by_hand), running))
        return [(execution, running) for _, execution, running in sorted(found, key=lambda each: each[0])]

    def history(self, arn: str) -> list[dict[str, Any]]:
        pages = self._stepfunctions.get_paginator("get_execution_history").paginate(
            executionArn=arn, maxResults=_HISTORY_PAGE
        )
        return [event for page in pages for event in page["events"]]
