#!/usr/bin/env python3
"""Deploys the two stacks of an environment, and takes them away again.

    infra/deploy.py cluster ENVIRONMENT [PARAMETER=VALUE ...]
    infra/deploy.py functions ENVIRONMENT [PARAMETER=VALUE ...]
    infra/deploy.py destroy ENVIRONMENT --confirm CLUSTER [--accept-data-loss]

ENVIRONMENT is one of samples/samconfig.toml, such as prod or dev; `cluster` reads samples/cluster/ENVIRONMENT.json too. The
cluster's stack is named like the functions' with "-cluster" after it. `functions` needs no such stack where samconfig.toml
names the Auto Scaling groups, subnets and security groups of a cluster that is there already.

`destroy` has cluster-destroy say what would be lost, save every cache, and take away what is in the cluster and the
cluster's own stack; then it deletes the functions' stack, and proves that nothing is left. A cluster without a stack of ours
stays.
Settings of your own need not be kept in this checkout: TIDEGATE_SAMPLES names another directory with samconfig.toml and
cluster/. Needs the AWS CLI and the SAM CLI.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
SAMPLES = Path(os.environ.get("TIDEGATE_SAMPLES", CHECKOUT / "samples"))
# What a cluster's stack tells of itself, as parameters of the functions' stack.
FROM_CLUSTER = ("AutoScalingGroupNames", "SubnetIds", "SecurityGroupIds")
# What it tells beside them, where Alluxio has a bucket.
IF_TOLD = ("AlluxioRoleArn", "RootUfs")
# Between two looks at an execution.
PAUSE_SECONDS = float(os.environ.get("TIDEGATE_PAUSE_SECONDS", "5"))


class Refused(Exception):
    """What stands in the way, in one sentence."""


class Environment:
    """One environment of samconfig.toml."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.config = SAMPLES / "samconfig.toml"
        known = tomllib.loads(self.config.read_text())
        if not isinstance(known.get(name), dict):
            names = ", ".join(key for key, value in known.items() if isinstance(value, dict))
            raise Refused(f"ENVIRONMENT {name!r} is none of {self.config}: expected one of {names}")
        settings = known[name]["global"]["parameters"] | known[name]["deploy"]["parameters"]
        self.stack: str = settings["stack_name"]
        self.region: str = settings["region"]
        self.parameters = assignments(settings.get("parameter_overrides", []))
        if "ClusterName" not in self.parameters:
            raise Refused(f"parameter_overrides of {name} in {self.config} has no ClusterName")
        self.cluster: str = self.parameters["ClusterName"]
        self.cluster_stack = f"{self.stack}-cluster"

    def aws(self, *arguments: str) -> Any:
        # Version 1 of the CLI heeds this variable for every service but SQS.
        endpoint = os.environ.get("AWS_ENDPOINT_URL")
        where = ["--endpoint-url", endpoint] if endpoint else []
        command = ["aws", *arguments, "--region", self.region, *where, "--output", "json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Refused(f"aws {' '.join(arguments[:2])}: {done.stderr.strip()}")
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def look_up(self, stack: str) -> dict[str, Any] | None:
        """A stack's description; none where there is no such stack."""
        try:
            return self.aws("cloudformation", "describe-stacks", "--stack-name", stack)["Stacks"][0]
        except Refused as refused:
            if "does not exist" in str(refused):
                return None
            raise


def assignments(given: list[str]) -> dict[str, str]:
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (equals and name.isalnum()):
            raise Refused(f"{text!r} sets no parameter: expected NAME=VALUE")
        found[name] = value
    return found


def outputs(stack: dict[str, Any]) -> dict[str, str]:
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def run(*command: str) -> None:
    # Its questions, its progress and its errors are for whoever called.
    code = subprocess.run(command, cwd=CHECKOUT / "infra", check=False).returncode
    if code:
        raise Refused(f"{' '.join(command[:3])} ended with {code}")


def deploy_cluster(environment: Environment, given: dict[str, str]) -> None:
    path = SAMPLES / "cluster" / f"{environment.name}.json"
    if not path.exists():
        raise Refused(f"there is no {path} with the parameters of infra/cluster.yaml")
    parameters = json.loads(path.read_text())["Parameters"] | given
    if parameters.get("ClusterName") != environment.cluster:
        raise Refused(
            f"ClusterName is {parameters.get('ClusterName')!r} in {path} and {environment.cluster!r} for {environment.name} in "
            f"{environment.config}: expected one name"
        )
    running = environment.look_up(environment.cluster_stack)
    if running and "NodesDesired" not in given:
        # Cluster Autoscaler has changed it since; the sample's would end instances.
        group = environment.aws(
            "eks", "describe-nodegroup", "--cluster-name", environment.cluster, "--nodegroup-name", outputs(running)["NodeGroupName"]
        )
        parameters["NodesDesired"] = str(group["nodegroup"]["scalingConfig"]["desiredSize"])
    run(
        *("aws", "cloudformation", "deploy", "--region", environment.region),
        *("--template-file", str(CHECKOUT / "infra" / "cluster.yaml"), "--stack-name", environment.cluster_stack),
        *("--capabilities", "CAPABILITY_IAM", "--no-fail-on-empty-changeset"),
        *("--tags", f"tidegate-cluster={environment.cluster}"),
        *("--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items())),
    )


def deploy_functions(environment: Environment, given: dict[str, str]) -> None:
    parameters = environment.parameters | given
    missing = [name for name in FROM_CLUSTER if name not in parameters]
    if missing:
        stack = environment.look_up(environment.cluster_stack)
        if stack is None:
            raise Refused(
                f"{', '.join(missing)} stand neither in {environment.config} nor on the command line, and there is no stack "
                f"{environment.cluster_stack} to take them from"
            )
        told = outputs(stack)
        if told["ClusterName"] != parameters["ClusterName"]:
            raise Refused(
                f"the stack {environment.cluster_stack} has made the cluster {told['ClusterName']!r}: expected ClusterName "
                f"{parameters['ClusterName']!r}"
            )
        own = {"ClusterStackName": environment.cluster_stack}
        parameters = own | {name: told[name] for name in (*missing, *IF_TOLD) if name in told} | parameters
        if "AutoScalingGroupNames" in missing:
            parameters["AutoScalingGroupNames"] = ",".join(groups_of(environment, told["NodeGroupName"]))
            if told.get("DiskLayout") == "pv-raid":
                parameters.setdefault("ArrayGroupNames", parameters["AutoScalingGroupNames"])
    if parameters.get("MasterReplicas", "0") != "0" and not parameters.get("RootUfs"):
        raise Refused(
            f"RootUfs is empty, and {parameters['MasterReplicas']} Alluxio masters are asked for, which need a place to keep the "
            "files in: expected one such as s3://BUCKET/PREFIX, or a cluster's stack with an AlluxioBucket"
        )
    run(
        *("sam", "deploy", "--config-file", str(environment.config.resolve()), "--config-env", environment.name),
        *("--template-file", "template.yaml"),
        *("--parameter-overrides", *(f"{name}={value}" for name, value in parameters.items())),
    )


def groups_of(environment: Environment, node_group: str) -> list[str]:
    """The Auto Scaling groups of a managed node group: EKS names them, and tells CloudFormation nothing of it."""
    found = environment.aws("eks", "describe-nodegroup", "--cluster-name", environment.cluster, "--nodegroup-name", node_group)
    return [group["name"] for group in found["nodegroup"]["resources"]["autoScalingGroups"]]


def destroy(environment: Environment, confirm: str, accept_data_loss: bool) -> None:
    if confirm != environment.cluster:
        raise Refused(
            f"--confirm is {confirm!r}: expected {environment.cluster!r}, the name of the cluster that goes with all that is in it"
        )
    functions, cluster = environment.look_up(environment.stack), environment.look_up(environment.cluster_stack)
    if functions is None and cluster is None:
        raise Refused(f"there is neither a stack {environment.stack} nor {environment.cluster_stack} in {environment.region}")
    if functions is not None:
        empty(environment, functions, accept_data_loss)
        run("sam", "delete", "--no-prompts", "--stack-name", environment.stack, "--region", environment.region)
    elif not accept_data_loss:
        # Nobody is there to save them.
        expect_no_instances(environment, outputs(cluster)["NodeGroupName"])
    if environment.look_up(environment.cluster_stack) is not None:
        environment.aws("cloudformation", "delete-stack", "--stack-name", environment.cluster_stack)
        print(f"the stack {environment.cluster_stack} is being deleted, which takes about a quarter of an hour", flush=True)
        environment.aws("cloudformation", "wait", "stack-delete-complete", "--stack-name", environment.cluster_stack)
    expect_nothing_left(environment)


def empty(environment: Environment, functions: dict[str, Any], accept_data_loss: bool) -> None:
    """Has cluster-destroy do what it does; ends when it has."""
    machine = outputs(functions).get("ClusterDestroyArn")
    if machine is None:
        if not accept_data_loss:
            raise Refused(
                f"the stack {environment.stack} has no cluster-destroy that would save what only caches hold: make deploy first, or "
                "give the caches up by --accept-data-loss"
            )
        # Nobody would answer them any more: each launch and each end of an instance would wait for its whole time.
        remove_hooks(environment, {each["ParameterKey"]: each["ParameterValue"] for each in functions["Parameters"]})
        return
    plan = execute(environment, machine, {"cluster": environment.cluster, "plan": True})
    show(plan)
    given = {"cluster": environment.cluster, "confirm": environment.cluster}
    execute(environment, machine, given | ({"acceptDataLoss": True} if accept_data_loss else {}))


def show(output: dict[str, Any]) -> None:
    plan = output.get("plan") or {}
    print(f"plan: {output['reason']}", flush=True)
    for title, lines in {"not saved": "lostFiles", "in the way": "hinders", "would": "would"}.items():
        for line in plan.get(lines, []):
            print(f"  {title}: {line}", flush=True)


def execute(environment: Environment, machine: str, given: dict[str, Any]) -> dict[str, Any]:
    """The output of an execution; says what its function says, each time that it is something else."""
    started = environment.aws("stepfunctions", "start-execution", "--state-machine-arn", machine, "--input", json.dumps(given))
    arn = started["executionArn"]
    print(f"{arn.rsplit(':', 2)[-2]} has begun: {arn}", flush=True)
    said = ""
    while True:
        found = environment.aws("stepfunctions", "describe-execution", "--execution-arn", arn)
        if found["status"] == "SUCCEEDED":
            return json.loads(found["output"])
        if found["status"] != "RUNNING":
            raise Refused(f"{arn} has ended as {found.get('error', found['status'])}: {found.get('cause', 'no cause was told')}")
        now = last_reason(environment, arn)
        if now and now != said:
            print(now, flush=True)
            said = now
        time.sleep(PAUSE_SECONDS)


def last_reason(environment: Environment, arn: str) -> str:
    """What the function said last, or the state that the execution is in."""
    newest = ("--reverse-order", "--max-items", "20", "--execution-arn", arn)
    for event in environment.aws("stepfunctions", "get-execution-history", *newest)["events"]:
        details = event.get("stateExitedEventDetails") or event.get("stateEnteredEventDetails") or {}
        if event["type"].endswith("Exited") and details.get("name") == "DestroyCluster":
            return str(json.loads(details["output"]).get("reason", ""))
        if details.get("name") == "WaitForStack":
            return f"the stack {environment.cluster_stack} is being deleted"
    return ""


def expect_nothing_left(environment: Environment) -> None:
    left = [stack for stack in (environment.stack, environment.cluster_stack) if environment.look_up(stack) is not None]
    prefixes = (f"/aws/lambda/{environment.stack}", f"/aws/vendedlogs/states/{environment.stack}")
    for prefix in prefixes:
        groups = environment.aws("logs", "describe-log-groups", "--log-group-name-prefix", prefix)["logGroups"]
        # Another environment's may begin alike.
        left += [group["logGroupName"] for group in groups if group["logGroupName"] == prefix]
    if left:
        raise Refused(f"left in {environment.region}: {', '.join(left)}")
    print(f"nothing is left of {environment.cluster}", flush=True)


def expect_no_instances(environment: Environment, node_group: str) -> None:
    groups = groups_of(environment, node_group)
    described = environment.aws("autoscaling", "describe-auto-scaling-groups", "--auto-scaling-group-names", *groups)
    left = [instance["InstanceId"] for group in described["AutoScalingGroups"] for instance in group["Instances"]]
    if left:
        raise Refused(
            f"the node group {node_group} has instances ({', '.join(left)}), what only their caches hold would be lost, and the "
            "functions that would save it are not there: make deploy first; or give the caches up by --accept-data-loss"
        )


def remove_hooks(environment: Environment, parameters: dict[str, str]) -> None:
    ours = {parameters["JoinHookName"], parameters["DrainHookName"]}
    named = parameters["AutoScalingGroupNames"].split(",")
    described = environment.aws("autoscaling", "describe-auto-scaling-groups", "--auto-scaling-group-names", *named)
    for group in (group["AutoScalingGroupName"] for group in described["AutoScalingGroups"]):
        hooks = environment.aws("autoscaling", "describe-lifecycle-hooks", "--auto-scaling-group-name", group)["LifecycleHooks"]
        for hook in sorted(ours & {hook["LifecycleHookName"] for hook in hooks}):
            name = ("--auto-scaling-group-name", group, "--lifecycle-hook-name", hook)
            environment.aws("autoscaling", "delete-lifecycle-hook", *name)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    for name in ("cluster", "functions", "destroy"):
        command = what.add_parser(name)
        command.add_argument("environment", metavar="ENVIRONMENT")
        if name == "destroy":
            command.add_argument("--confirm", metavar="CLUSTER", default="")
            command.add_argument("--accept-data-loss", action="store_true")
        else:
            command.add_argument("given", metavar="PARAMETER=VALUE", nargs="*")
    asked = parser.parse_args()
    try:
        environment = Environment(asked.environment)
        if asked.what == "cluster":
            deploy_cluster(environment, assignments(asked.given))
        elif asked.what == "functions":
            deploy_functions(environment, assignments(asked.given))
        else:
            destroy(environment, asked.confirm, asked.accept_data_loss)
    except Refused as refused:
        print(f"deploy.py: {refused}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
