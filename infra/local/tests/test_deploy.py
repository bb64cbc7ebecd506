"""infra/deploy.py: what it asks the AWS and SAM command lines for, which are played here, and what it refuses."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
GROUP = "eks-tidegate-prod-nodes-88c60da1-1ce8-6e70-b535-28efb29bcfab"
# Notes what it was asked, and answers from a file, in which it strikes out what is deleted; a stack that is not there is an
# error, as in the AWS CLI. An execution runs when it is looked at first, and has ended the next time.
PLAYED = """#!{python}
import json, os, pathlib, sys
here = pathlib.Path(__file__).parent
asked = [pathlib.Path(__file__).name, *sys.argv[1:]]
with (here / "asked").open("a") as log:
    log.write(json.dumps(asked) + "\\n")
answers = json.loads((here / "answers.json").read_text())
key = " ".join(asked[1:3])
exit_code = answers.get("exit " + key, 0)
value = lambda option: asked[asked.index(option) + 1]
if key == "cloudformation describe-stacks":
    if value("--stack-name") not in answers["stacks"]:
        sys.exit(f"An error occurred (ValidationError): Stack with id {{value('--stack-name')}} does not exist")
    print(json.dumps({{"Stacks": [answers["stacks"][value("--stack-name")]]}}))
elif key in ("cloudformation delete-stack", "delete --no-prompts") and not exit_code:
    del answers["stacks"][value("--stack-name")]
elif key == "stepfunctions start-execution":
    given = json.loads(value("--input"))
    name = "plan" if given.get("plan") else "destroy"
    answers["running"] = name
    print(json.dumps({{"executionArn": f"arn:aws:states:us-west-2:1:execution:tidegate-prod-cluster-destroy:{{name}}"}}))
elif key == "stepfunctions describe-execution":
    name = value("--execution-arn").rsplit(":", 1)[-1]
    if answers["running"] == name:
        answers["running"] = None
        print(json.dumps({{"status": "RUNNING"}}))
    else:
        ended = answers["executions"][name]
        if name == "destroy" and ended["status"] == "SUCCEEDED":
            answers["stacks"].pop("tidegate-prod-cluster", None)
        print(json.dumps(ended))
elif key in answers:
    print(json.dumps(answers[key]))
(here / "answers.json").write_text(json.dumps(answers))
sys.exit(exit_code)
"""


def outputs(**given: str) -> dict[str, Any]:
    return {"Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in given.items()]}


CLUSTER_STACK = outputs(
    ClusterName="tidegate-prod", NodeGroupName="tidegate-prod-nodes", SubnetIds="subnet-1,subnet-2", SecurityGroupIds="sg-1",
    AlluxioRoleArn="arn:aws:iam::123456789012:role/alluxio", RootUfs="s3://bucket/alluxio"
)
MACHINE = "arn:aws:states:us-west-2:123456789012:stateMachine:tidegate-prod-cluster-destroy"
FUNCTIONS_STACK = outputs(ClusterDestroyArn=MACHINE) | {
    "Parameters": [
        {"ParameterKey": "AutoScalingGroupNames", "ParameterValue": GROUP},
        {"ParameterKey": "JoinHookName", "ParameterValue": "tidegate-node-join"},
        {"ParameterKey": "DrainHookName", "ParameterValue": "tidegate-node-drain"},
    ]
}


PLAN = {
    "outcome": "planned",
    "reason": "4 files would be written to the under store, 1 files would be lost",
    "plan": {"lostFiles": ["/job/_temporary/part-0 (10 bytes: never persisted)"], "would": ["delete Namespace alluxio"]},
}
SAID = {
    "type": "TaskStateExited",
    "stateExitedEventDetails": {"name": "DestroyCluster", "output": json.dumps({"reason": "2 workers are out of service"})},
}


def ended(output: dict[str, Any]) -> dict[str, Any]:
    return {"status": "SUCCEEDED", "output": json.dumps(output)}


@dataclass
class Cloud:
    """The two command lines, with what they answer."""

    directory: Path
    samples: Path
    answers: dict[str, Any]

    def deploy(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        (self.directory / "answers.json").write_text(json.dumps(self.answers))
        environment = os.environ | {"PATH": f"{self.directory}:{os.environ['PATH']}", "TIDEGATE_SAMPLES": str(self.samples)}
        environment["TIDEGATE_PAUSE_SECONDS"] = "0"
        environment.pop("AWS_ENDPOINT_URL", None)
        command = [sys.executable, str(CHECKOUT / "infra/deploy.py"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    def asked(self) -> list[list[str]]:
        log = self.directory / "asked"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def changes(self) -> list[str]:
        """What was asked that changes anything, in short."""
        return [" ".join(each[:3]) for each in self.asked() if not each[2].startswith(("describe", "get", "wait"))]

    def inputs(self) -> list[dict[str, Any]]:
        """What executions were started with."""
        return [json.loads(each[each.index("--input") + 1]) for each in self.asked() if "start-execution" in each]


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in ("aws", "sam"):
        (directory / name).write_text(PLAYED.format(python=sys.executable))
        (directory / name).chmod(0o755)
    samples = tmp_path / "samples"
    shutil.copytree(CHECKOUT / "samples", samples)
    group = {"AutoScalingGroupName": GROUP, "Instances": []}
    answers = {
        "stacks": {"tidegate-prod-cluster": CLUSTER_STACK, "tidegate-prod": copy.deepcopy(FUNCTIONS_STACK)},
        "eks describe-nodegroup": {
            "nodegroup": {"resources": {"autoScalingGroups": [{"name": GROUP}]}, "scalingConfig": {"desiredSize": 7}}
        },
        "executions": {"plan": ended(PLAN), "destroy": ended({"outcome": "destroyed", "reason": "nothing is left"})},
        "stepfunctions get-execution-history": {"events": [SAID]},
        "logs describe-log-groups": {"logGroups": []},
        "autoscaling describe-auto-scaling-groups": {"AutoScalingGroups": [group]},
        "autoscaling describe-lifecycle-hooks": {
            "LifecycleHooks": [
                {"LifecycleHookName": "Terminate-LC-Hook"},
                {"LifecycleHookName": "tidegate-node-drain"},
                {"LifecycleHookName": "tidegate-node-join"},
            ]
        },
    }
    return Cloud(directory, samples, answers)


def parameters(command: list[str]) -> dict[str, str]:
    given = command[command.index("--parameter-overrides") + 1 :]
    return dict(each.split("=", 1) for each in given)


def test_a_cluster_is_made_with_the_sample_and_what_is_said_beside_it(cloud: Cloud) -> None:
    cloud.answers["stacks"] = {}
    done = cloud.deploy("cluster", "prod", "PublicAccessCidrs=203.0.113.7/32")
    assert done.returncode == 0, done.stderr
    command = cloud.asked()[-1]
    assert command[:5] == ["aws", "cloudformation", "deploy", "--region", "us-west-2"]
    assert command[command.index("--stack-name") + 1] == "tidegate-prod-cluster"
    sample = json.loads((CHECKOUT / "samples/cluster/prod.json").read_text())["Parameters"]
    assert parameters(command) == sample | {"PublicAccessCidrs": "203.0.113.7/32"}


def test_a_cluster_that_has_grown_is_not_made_smaller_by_an_update(cloud: Cloud) -> None:
    assert cloud.deploy("cluster", "prod").returncode == 0
    assert parameters(cloud.asked()[-1])["NodesDesired"] == "7"
    assert cloud.deploy("cluster", "prod", "NodesDesired=4").returncode == 0
    assert parameters(cloud.asked()[-1])["NodesDesired"] == "4"


def test_two_names_of_one_cluster_are_refused(cloud: Cloud) -> None:
    (cloud.samples / "cluster/prod.json").write_text('{"Parameters": {"ClusterName": "emr-spark-alluxio"}}')
    done = cloud.deploy("cluster", "prod")
    assert done.returncode == 1 and not cloud.asked()
    assert "'emr-spark-alluxio'" in done.stderr and "'tidegate-prod'" in done.stderr and "expected one name" in done.stderr


def test_functions_learn_of_groups_and_network_from_the_clusters_stack(cloud: Cloud) -> None:
    done = cloud.deploy("functions", "prod", "DrainLimitSeconds=7200")
    assert done.returncode == 0, done.stderr
    command = cloud.asked()[-1]
    assert command[:2] == ["sam", "deploy"] and command[command.index("--config-env") + 1] == "prod"
    given = parameters(command)
    assert given["AutoScalingGroupNames"] == GROUP
    assert (given["SubnetIds"], given["SecurityGroupIds"]) == ("subnet-1,subnet-2", "sg-1")
    assert given["AlluxioRoleArn"] == "arn:aws:iam::123456789012:role/alluxio"
    assert (given["MasterReplicas"], given["RootUfs"]) == ("3", "s3://bucket/alluxio")
    assert given["ClusterStackName"] == "tidegate-prod-cluster"
    assert (given["ClusterName"], given["DrainLimitSeconds"]) == ("tidegate-prod", "7200")


def test_functions_learn_that_the_nodes_make_one_array_of_their_disks(cloud: Cloud) -> None:
    for layout in ("pv-nvme", "pv-raid"):
        told = [*CLUSTER_STACK["Outputs"], {"OutputKey": "DiskLayout", "OutputValue": layout}]
        cloud.answers["stacks"]["tidegate-prod-cluster"] = {"Outputs": told}
        assert cloud.deploy("functions", "prod").returncode == 0
    apart, one_array = (each for each in cloud.asked() if each[:2] == ["sam", "deploy"])
    assert not any(each.startswith("ArrayGroupNames=") for each in apart)
    assert f"ArrayGroupNames={GROUP}" in one_array


def test_who_has_a_cluster_needs_no_cluster_stack(cloud: Cloud) -> None:
    cloud.answers["stacks"] = {}
    own = ("AutoScalingGroupNames=mine", "SubnetIds=subnet-9", "SecurityGroupIds=sg-9", "RootUfs=hdfs://store:8020/alluxio")
    assert cloud.deploy("functions", "prod", *own).returncode == 0
    assert [each[0] for each in cloud.asked()] == ["sam"]
    given = parameters(cloud.asked()[0])
    assert (given["AutoScalingGroupNames"], given["RootUfs"]) == ("mine", "hdfs://store:8020/alluxio")
    assert "ClusterStackName" not in given


def test_masters_without_a_place_for_the_files_are_refused_before_anything_is_deployed(cloud: Cloud) -> None:
    without_bucket = [each for each in CLUSTER_STACK["Outputs"] if each["OutputKey"] not in ("AlluxioRoleArn", "RootUfs")]
    cloud.answers["stacks"]["tidegate-prod-cluster"] = {"Outputs": without_bucket}
    done = cloud.deploy("functions", "prod")
    assert done.returncode == 1 and not cloud.changes()
    assert "RootUfs is empty, and 3 Alluxio masters are asked for" in done.stderr
    assert cloud.deploy("functions", "prod", "MasterReplicas=0", "AlluxioMasters=10.0.0.7:19998").returncode == 0


def test_functions_without_groups_and_without_a_clusters_stack_are_refused(cloud: Cloud) -> None:
    cloud.answers["stacks"] = {}
    done = cloud.deploy("functions", "prod", "SubnetIds=subnet-9")
    assert done.returncode == 1 and not cloud.changes()
    assert "AutoScalingGroupNames, SecurityGroupIds stand neither in" in done.stderr and "tidegate-prod-cluster" in done.stderr


def test_functions_of_one_cluster_are_not_given_the_nodes_of_another(cloud: Cloud) -> None:
    done = cloud.deploy("functions", "prod", "ClusterName=another")
    assert done.returncode == 1 and not cloud.changes() and "'tidegate-prod'" in done.stderr and "'another'" in done.stderr


@pytest.mark.parametrize("confirmed", [(), ("--confirm", "prod"), ("--confirm", "tidegate-dev")])
def test_nothing_is_destroyed_without_the_clusters_name(cloud: Cloud, confirmed: tuple[str, ...]) -> None:
    done = cloud.deploy("destroy", "prod", *confirmed, "--accept-data-loss")
    assert done.returncode == 1 and not cloud.asked() and "expected 'tidegate-prod'" in done.stderr


def test_a_cluster_is_destroyed_by_its_machine_and_the_functions_go_after_it(cloud: Cloud) -> None:
    done = cloud.deploy("destroy", "prod", "--confirm", "tidegate-prod")
    assert done.returncode == 0, done.stderr
    assert cloud.changes() == [
        "aws stepfunctions start-execution",
        "aws stepfunctions start-execution",
        "sam delete --no-prompts",
    ]
    named = {"cluster": "tidegate-prod"}
    assert cloud.inputs() == [named | {"plan": True}, named | {"confirm": "tidegate-prod"}]
    told = done.stdout
    for said in ("1 files would be lost", "/job/_temporary/part-0", "delete Namespace alluxio", "2 workers are out of service"):
        assert said in told, told
    assert told.index("would be lost") < told.rindex("workers are out of service") < told.index("nothing is left of tidegate-prod")


def test_that_loss_is_accepted_is_passed_on(cloud: Cloud) -> None:
    assert cloud.deploy("destroy", "prod", "--confirm", "tidegate-prod", "--accept-data-loss").returncode == 0
    assert cloud.inputs()[-1]["acceptDataLoss"] is True


def test_what_the_machine_could_not_do_ends_it_before_the_functions_go(cloud: Cloud) -> None:
    cloud.answers["executions"]["destroy"] = {"status": "FAILED", "error": "refused", "cause": "1 files would be lost, such as /a"}
    done = cloud.deploy("destroy", "prod", "--confirm", "tidegate-prod")
    assert done.returncode == 1 and "sam delete --no-prompts" not in cloud.changes()
    assert "has ended as refused: 1 files would be lost, such as /a" in done.stderr and "Traceback" not in done.stderr


def test_a_cluster_that_somebody_else_made_stays(cloud: Cloud) -> None:
    del cloud.answers["stacks"]["tidegate-prod-cluster"]
    assert cloud.deploy("destroy", "prod", "--confirm", "tidegate-prod").returncode == 0
    assert cloud.changes()[-1] == "sam delete --no-prompts"


def test_without_functions_a_cluster_with_caches_is_not_destroyed_unless_they_are_given_up(cloud: Cloud) -> None:
    del cloud.answers["stacks"]["tidegate-prod"]
    [group] = cloud.answers["autoscaling describe-auto-scaling-groups"]["AutoScalingGroups"]
    group["Instances"] = [{"InstanceId": "i-1"}, {"InstanceId": "i-2"}]
    done = cloud.deploy("destroy", "prod", "--confirm", "tidegate-prod")
    assert done.returncode == 1 and not cloud.changes() and "i-1, i-2" in done.stderr
    assert cloud.deploy("destroy", "prod", "--confirm", "tidegate-prod", "--accept-data-loss").returncode == 0
    assert cloud.changes() == ["aws cloudformation delete-stack"]


def test_an_older_release_is_deployed_anew_before_it_goes_or_its_hooks_are_taken_off_by_hand(cloud: Cloud) -> None:
    cloud.answers["stacks"]["tidegate-prod"]["Outputs"] = []
    done = cloud.deploy("destroy", "prod", "--confirm", "tidegate-prod")
    assert done.returncode == 1 and not cloud.changes() and "make deploy first" in done.stderr
    done = cloud.deploy("destroy", "prod", "--confirm", "tidegate-prod", "--accept-data-loss")
    assert done.returncode == 0, done.stderr
    assert cloud.changes() == [
        "aws autoscaling delete-lifecycle-hook",
        "aws autoscaling delete-lifecycle-hook",
        "sam delete --no-prompts",
        "aws cloudformation delete-stack",
    ]
    removed = [each[each.index("--lifecycle-hook-name") + 1] for each in cloud.asked() if "delete-lifecycle-hook" in each]
    # Not the one that EKS has set for itself.
    assert removed == ["tidegate-node-drain", "tidegate-node-join"]


def test_where_the_functions_stack_could_not_be_deleted_that_is_said(cloud: Cloud) -> None:
    cloud.answers["exit delete --no-prompts"] = 1
    done = cloud.deploy("destroy", "prod", "--confirm", "tidegate-prod")
    assert done.returncode == 1 and "sam delete" in done.stderr and "nothing is left" not in done.stdout.splitlines()[-1]


def test_a_log_group_that_is_left_is_named(cloud: Cloud) -> None:
    cloud.answers["logs describe-log-groups"] = {"logGroups": [{"logGroupName": "/aws/lambda/tidegate-prod"}]}
    done = cloud.deploy("destroy", "prod", "--confirm", "tidegate-prod")
    assert done.returncode == 1 and "left in us-west-2: /aws/lambda/tidegate-prod" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("functions", "staging"), "'staging' is none of"),
        (("functions", "version"), "'version' is none of"),
        (("cluster", "prod", "NodesMax"), "'NodesMax' sets no parameter: expected NAME=VALUE"),
    ],
)
def test_what_is_typed_wrong_is_refused_in_one_sentence(cloud: Cloud, arguments: tuple[str, ...], complaint: str) -> None:
    done = cloud.deploy(*arguments)
    assert done.returncode == 1 and complaint in done.stderr and "Traceback" not in done.stderr
    assert not cloud.asked()
