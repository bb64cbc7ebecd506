"""A small world for the tests of the nodes: control plane, EC2, Alluxio and the node player, each as a world has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from world.alluxio import settings
from world.alluxio.files_server import Files
from world.kubernetes import ControlPlane

LOCAL = Path(__file__).resolve().parents[1]
GROUP = "nvme-nodes"


def eventually(check: Callable[[], Any], seconds: float = 30.0, why: str = "") -> Any:
    """The first truthy answer of ``check``; an AssertionError with ``why`` if there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        answer = check()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds} s: {why or check.__name__}"
        time.sleep(0.2)


class SmallWorld:
    """All parts run from :meth:`start` to :meth:`stop`. ``network`` is the second octet of its loopback network.

    With ``in_cluster`` so many Alluxio masters are to be pods, which have the network ``pods`` then.
    """

    def __init__(self, directory: Path, tools: Path, network: int, *, in_cluster: int = 0, pods: str = ""):
        self.directory, self.tools, self.network = directory, tools, network
        self._in_cluster, self._pods = in_cluster, pods
        self._processes: list[subprocess.Popen] = []
        self._plane = ControlPlane(directory, tools)

    def start(self) -> None:
        master = f"127.{self.network}.0.2"
        where = ("--in-cluster", str(self._in_cluster)) if self._in_cluster else ("--address", master)
        self._spawn("alluxio", "--tools", str(self.tools), *where)
        self.aws = aws = self._spawn("aws", "--network", f"127.{self.network}.0.0/16", "--boot-seconds", "0.2", told=True)
        self._plane.start()
        endpoints = {"aws": aws["endpoint"], "region": "us-west-2", "clusterName": "tidegate"}
        endpoints |= {"network": f"127.{self.network}.0.0/16", "alluxioMasters": f"{master}:{settings.MASTER_RPC_PORT}"}
        if self._pods:
            endpoints["podNetwork"] = self._pods
        (self.directory / "endpoints.json").write_text(json.dumps(endpoints))
        self._start_player()
        self.files = Files(self._wait_for("alluxio/service.json")["files"])
        self.clients = {
            name: boto3.client(
                name,
                endpoint_url=aws["endpoint"],
                region_name="us-west-2",
                aws_access_key_id="operator",
                aws_secret_access_key="local",
            )
            for name in ("ec2", "autoscaling")
        }
        self._wait_for("nodes/player.json")
        if not self._in_cluster:
            self._make_group(list(aws["subnets"].values()))

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            process.wait(30)
        self._plane.stop()
        for part in ("nodes", "alluxio"):
            self.clean(part)

    def _start_player(self) -> None:
        (self.directory / "nodes/player.json").unlink(missing_ok=True)
        options = ["--tools", str(self.tools), "--boot-seconds", "0.5", "--boot-jitter-seconds", "0"]
        self.player = self._spawn("nodes", *options)

    def restart_player(self) -> None:
        """Kills it, and starts another one in its place."""
        self.player.kill()
        self.player.wait()
        self._start_player()
        self._wait_for("nodes/player.json")

    def clean(self, part: str) -> None:
        """What is run after a crash."""
        command = [sys.executable, "-m", f"world.{part}", "--world", str(self.directory), "--clean"]
        subprocess.run(command, env=os.environ | {"PYTHONPATH": str(LOCAL)}, check=True)

    def _spawn(self, part: str, *options: str, told: bool = False) -> Any:
        environment = {"PYTHONPATH": str(LOCAL), "AWS_ACCESS_KEY_ID": "operator", "AWS_SECRET_ACCESS_KEY": "local"}
        (self.directory / "logs").mkdir(exist_ok=True)
        with (self.directory / "logs" / f"{part}.stderr").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"world.{part}", "--world", str(self.directory), *options],
                env=os.environ | environment, stdout=subprocess.PIPE if told else log, stderr=log,
            )  # fmt: skip
        self._processes.append(process)
        if told:
            assert process.stdout
            line = process.stdout.readline()
            assert line, (self.directory / "logs" / f"{part}.stderr").read_text()
            return json.loads(line)
        return process

    def _wait_for(self, file: str) -> dict[str, Any]:
        path = self.directory / file
        eventually(path.exists, 90, f"{file}; logs in {self.directory / 'logs'}")
        return json.loads(path.read_text())

    def _make_group(self, subnets: list[str]) -> None:
        template = self.clients["ec2"].create_launch_template(
            LaunchTemplateName=GROUP, LaunchTemplateData={"ImageId": "ami-12345678", "InstanceType": "m5d.4xlarge"}
        )
        self.clients["autoscaling"].create_auto_scaling_group(
            AutoScalingGroupName=GROUP, MinSize=0, MaxSize=5, DesiredCapacity=0, VPCZoneIdentifier=",".join(subnets),
            LaunchTemplate={"LaunchTemplateId": template["LaunchTemplate"]["LaunchTemplateId"]},
        )  # fmt: skip

    def scale_to(self, count: int) -> None:
        self.clients["autoscaling"].set_desired_capacity(AutoScalingGroupName=GROUP, DesiredCapacity=count)

    def end(self, instance: str) -> None:
        """Ends one instance, and the group does not replace it."""
        self.clients["autoscaling"].terminate_instance_in_auto_scaling_group(
            InstanceId=instance, ShouldDecrementDesiredCapacity=True
        )

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        command = [str(self.tools / "bin/kubectl"), f"--kubeconfig={self._plane.kubeconfig}", *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def apply(self, *objects: dict[str, Any]) -> None:
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def get(self, kind: str, *options: str) -> list[dict[str, Any]]:
        return json.loads(self.kubectl("get", kind, "-o", "json", *options))["items"]

    def label(self, node: str, **labels: str) -> None:
        """An empty value takes the label off."""
        words = [f"{key}={value}" if value else f"{key}-" for key, value in labels.items()]
        self.kubectl("label", "node", node, "--overwrite", *words)

    def switch(self, path: str, part: str = "nodes/player.json") -> dict[str, Any]:
        control = json.loads((self.directory / part).read_text())["control"]
        with urllib.request.urlopen(urllib.request.Request(control + path, method="POST"), timeout=60) as answer:
            return json.load(answer)

    def machines(self) -> dict[str, dict[str, Any]]:
        control = json.loads((self.directory / "nodes/player.json").read_text())["control"]
        with urllib.request.urlopen(control, timeout=10) as answer:
            return {machine["node"]: machine for machine in json.load(answer)["nodes"]}
