"""Starts the parts of a world in their order, watches them, and ends them in the reverse order."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import groups, network
from .alluxio import published
from .alluxio.process import record_self
from .alluxio.settings import addresses_in_cluster
from .kubernetes.control_plane import ControlPlane
from .kubernetes.token_webhook import TokenWebhook
from .nodes.volumes import SHARED_DIRECTORY
from .paths import CHECKOUT, Paths, cache
from .sample import Sample

CLUSTER = "tidegate"
REGION = "us-west-2"
STACK = "tidegate"
# A JVM on a machine whose cores are all busy takes its time; a part that is not there by then will not come.
START_SECONDS = 180
STOP_SECONDS = 20


class WorldFailed(Exception):
    """A part did not start, or ended by itself; the text names it and its log."""


@dataclass(frozen=True)
class Settings:
    """What `up` was asked for."""

    groups: tuple[str, ...]
    """Groups that the stack looks after. The first is made, with hooks and nothing in it."""
    layouts: tuple[str, ...]
    """Disk layouts that get a DaemonSet of Alluxio workers."""
    parameters: dict[str, str]
    """The stack's parameters beyond those that the world itself knows."""
    bare: bool = False
    """Nothing is set up in the cluster or on the group: the stack's own cluster-bootstrap is to do that. The group is that
    of a managed node group of the first name, and EKS names it."""
    sample: Sample | None = None
    """Bare too, with the node groups of a sample, and the masters in the cluster."""
    cluster_stack: str | None = None
    """The cluster, its node group and network are those of a CloudFormation stack of that name, and the functions are in
    that network."""


class World:
    """One world in one directory. `run` returns when `ended` is set or a part has ended by itself."""

    def __init__(self, paths: Paths, tools: Path, settings: Settings):
        self._paths = paths
        self._tools = tools
        self._settings = settings
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._undo: list[tuple[str, Callable[[], None]]] = []
        self._began = time.monotonic()

    def run(self, ended: threading.Event) -> None:
        """Raises WorldFailed."""
        record_self(self._paths.pids, "world")
        try:
            self._start(ended)
            while not ended.wait(0.5):
                for name, child in self._children.items():
                    if child.poll() is not None:
                        raise WorldFailed(f"{name} has ended by itself (status {child.returncode}); see {self._log(name)}")
        finally:
            self._stop()

    def _start(self, ended: threading.Event) -> None:
        self._paths.endpoints.unlink(missing_ok=True)
        claimed = network.claim(cache() / "networks")
        self._undo.append(("network", claimed.release))
        alluxio_told = self._paths.world / "alluxio" / "service.json"
        alluxio_told.unlink(missing_ok=True)
        sample = self._settings.sample
        if sample:
            pods = network.PodNetwork(self._paths.world)
            self._undo.append(("pod network", pods.close))
            pods.open(claimed.pods_cidr)
        where = ["--in-cluster", str(sample.master_replicas)] if sample else ["--address", claimed.alluxio_address]
        self._spawn("alluxio", ["-m", "world.alluxio", *where])
        self._say("AWS")
        aws = self._start_aws(claimed)
        self._say("Kubernetes")
        webhook = TokenWebhook(aws, CLUSTER, REGION, self._paths.logs / "token-webhook.log")
        webhook.start()
        self._undo.append(("token webhook", webhook.stop))
        plane = ControlPlane(self._paths.world, self._tools)
        self._undo.append(("Kubernetes", plane.stop))
        access = plane.start(webhook.url)
        _post(f"{aws}/local-api/eks", {"endpoint": access.endpoint, "certificateAuthority": access.certificate_authority})
        self._say("Alluxio")
        alluxio = self._await_file("alluxio", alluxio_told, ended)
        endpoints = {
            "aws": aws,
            "kubernetes": access.endpoint,
            **(_of_sample(sample, claimed) if sample else _of_masters(alluxio)),
            "alluxioControl": alluxio["control"],
            "files": alluxio["files"],
            "network": claimed.cidr,
            "region": REGION,
            "account": "123456789012",
            "clusterName": CLUSTER,
            "worldDir": str(self._paths.world),
        }
        self._write_endpoints(endpoints)
        # An add-on that every cluster of ours has: it is there before anything of ours is.
        plane.apply(Path(__file__).parent / "kubernetes" / "ebs-csi-driver.yaml")
        subnets = list(_get(f"{aws}/local-api/health")["subnets"].values())
        if sample:
            self._say("groups and stack")
            made = self._make_sample(aws, subnets, sample)
            self._deploy(aws, made, _parameters_of(sample) | self._own_stack(aws, subnets))
        else:
            self._set_up(plane, aws, subnets, alluxio["master"])
        self._say("nodes")
        player_told = self._paths.world / "nodes" / "player.json"
        player_told.unlink(missing_ok=True)
        self._spawn("nodes", ["-m", "world.nodes"])
        player = self._await_file("nodes", player_told, ended)
        self._write_endpoints({**endpoints, "nodesControl": player["control"], "subnets": subnets})
        self._say("ready", ready=True)

    def _set_up(self, plane: ControlPlane, aws: str, subnets: list[str], master: str) -> None:
        self._say("group and stack" if self._settings.bare else "manifests, group and stack")
        groups.make_launch_templates(aws, REGION)
        first, *others = self._settings.groups
        further: dict[str, str] = {}
        if self._settings.bare:
            first = groups.make_node_group(aws, REGION, CLUSTER, subnets, groups.bare_node_group(first))
            # Where nothing is set up, nobody has published the masters, and the workers' manifests need a name. Elsewhere the
            # functions look them up.
            further = {"AlluxioMasters": master, **self._own_stack(aws, subnets)}
        else:
            self._apply_manifests(plane, master)
            self._publish_masters(plane, master)
            groups.make(aws, REGION, CLUSTER, subnets, first)
        self._deploy(aws, [first, *others], further)

    def _make_sample(self, aws: str, subnets: list[str], sample: Sample) -> list[str]:
        """Answers the groups that the stack looks after."""
        made = [sample.caches, *([sample.masters] if sample.masters else [])]
        groups.make_launch_templates(aws, REGION, (group.instance_type for group in made))
        names = [groups.make_node_group(aws, REGION, CLUSTER, subnets, group) for group in made]
        return names[:1]

    def _start_aws(self, claimed: network.Network) -> str:
        child = self._spawn("aws", ["-m", "world.aws", "--network", claimed.cidr, "--cluster", CLUSTER], tools=False, piped=True)
        assert child.stdout is not None
        line = child.stdout.readline()
        if not line:
            raise WorldFailed(f"the local AWS did not start; see {self._log('aws')}")
        # Nobody reads further, and a full pipe would stop the writer.
        threading.Thread(target=child.stdout.read, daemon=True).start()
        return str(json.loads(line)["endpoint"])

    def _apply_manifests(self, plane: ControlPlane, master: str) -> None:
        layouts = [part for layout in self._settings.layouts for part in ("--layout", layout)]
        program = self._paths.programs / "tidegate-manifests"
        done = subprocess.run([program, "render", *layouts, "--alluxio-masters", master], capture_output=True, text=True)
        if done.returncode != 0:
            raise WorldFailed(f"the manifests cannot be rendered: {done.stderr.strip()}")
        rendered = self._paths.world / "manifests.yaml"
        rendered.write_text(done.stdout)
        plane.apply(rendered)

    def _publish_masters(self, plane: ControlPlane, master: str) -> None:
        path = self._paths.world / "masters.json"
        path.write_text(json.dumps(published.service_of(master), indent=2) + "\n")
        plane.apply(path)

    def _own_stack(self, aws: str, subnets: list[str]) -> dict[str, str]:
        """What the functions' stack is told of the cluster's."""
        name = self._settings.cluster_stack
        if name is None:
            return {}
        _post(f"{aws}/local-api/cluster-stack", {"name": name})
        return {
            "ClusterStackName": name,
            "SubnetIds": ",".join(subnets),
            "SecurityGroupIds": groups.security_group(aws, REGION, subnets[0]),
        }

    def _deploy(self, aws: str, group_names: list[str], further: dict[str, str]) -> None:
        parameters = {
            **further,
            "ClusterName": CLUSTER,
            "AutoScalingGroupNames": ",".join(group_names),
            "Architecture": "x86_64" if os.uname().machine == "x86_64" else "arm64",
            **self._settings.parameters,
        }
        template = CHECKOUT / "infra" / "template.yaml"
        _post(f"{aws}/local-api/deploy", {"template": str(template), "stackName": STACK, "parameters": parameters})

    def _spawn(self, name: str, arguments: list[str], tools: bool = True, piped: bool = False) -> subprocess.Popen[bytes]:
        options = ["--world", str(self._paths.world), *(["--tools", str(self._tools)] if tools else [])]
        log = self._log(name)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            child = subprocess.Popen(
                [sys.executable, *arguments, *options],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if piped else output,
                stderr=output,
                env=_environment(),
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )
        self._children[name] = child
        return child

    def _await_file(self, name: str, path: Path, ended: threading.Event) -> dict[str, Any]:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and not ended.is_set():
            if self._children[name].poll() is not None:
                raise WorldFailed(f"{name} did not start; see {self._log(name)}")
            if path.exists():
                return dict(json.loads(path.read_text()))
            time.sleep(0.1)
        raise WorldFailed(f"{name} was not up after {START_SECONDS} s, or was stopped before; see {self._log(name)}")

    def _stop(self) -> None:
        # Nodes first: their pods are the masters' clients.
        for name in ("nodes", "alluxio", "aws"):
            child = self._children.get(name)
            if child is None:
                continue
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
                try:
                    child.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
        for _, undo in reversed(self._undo):
            undo()
        self._paths.endpoints.unlink(missing_ok=True)
        (self._paths.pids / "world").unlink(missing_ok=True)
        self._say("stopped")

    def _write_endpoints(self, endpoints: dict[str, Any]) -> None:
        partial = self._paths.endpoints.with_suffix(".partial")
        partial.write_text(json.dumps(endpoints, indent=2) + "\n")
        partial.replace(self._paths.endpoints)

    def _log(self, name: str) -> Path:
        return self._paths.logs / f"{name}.log"

    def _say(self, what: str, ready: bool = False) -> None:
        line = {"seconds": round(time.monotonic() - self._began, 1), "starting": what, "ready": ready}
        with self._paths.progress.open("a") as progress:
            progress.write(json.dumps(line) + "\n")


def _of_sample(sample: Sample, claimed: network.Network) -> dict[str, str]:
    """Its masters are known by the names that their pods will have."""
    return {"alluxioMasters": addresses_in_cluster(sample.master_replicas), "podNetwork": claimed.pods_cidr}


def _of_masters(alluxio: dict[str, Any]) -> dict[str, str]:
    return {"alluxioMasters": alluxio["master"], "alluxioMasterWeb": alluxio["masterWeb"]}


def _parameters_of(sample: Sample) -> dict[str, str]:
    """A bucket cannot be had here, so the files are kept in a directory that every node has mounted."""
    return sample.parameters | {"RootUfs": SHARED_DIRECTORY}


def _environment() -> dict[str, str]:
    """Without what would lead a part to the real AWS or to another cluster."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "KUBE"))}
    return kept | {
        "PYTHONPATH": str(CHECKOUT / "infra" / "local"),
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _die_with_parent() -> None:
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def _post(url: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        raise WorldFailed(f"{url}: {error.read().decode()}") from None


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.loads(answer.read())
