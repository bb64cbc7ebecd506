"""A Kubernetes control plane on loopback: etcd, API server, controller manager, scheduler and kwok, set up by kwokctl."""

from __future__ import annotations

import base64
import json
import os
import shutil
import ssl
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from . import cluster_config, processes
from .cluster_config import LOOPBACK, Files, Ports

# kwokctl names the cluster's directory after it; the directory is the world's own, so the name need not be unique.
NAME = "tidegate"
API_SERVER = "kube-apiserver"
# As kwokctl names their programs, pid files and logs.
COMPONENTS = ("etcd", API_SERVER, "kube-controller-manager", "kube-scheduler", "kwok-controller")
# What kwokctl itself runs as, and asks with whether the API server is there.
KWOKCTLS_OWN = ("kwokctl", "kubectl")
CONFIGURATION = "kwokctl.json"
# Where a component can be asked whether it is well: kwokctl's option that sets its port.
SERVING_PORTS = {
    API_SERVER: "kubeApiserverPort",
    "kube-controller-manager": "kubeControllerManagerPort",
    "kube-scheduler": "kubeSchedulerPort",
    "kwok-controller": "kwokControllerPort",
}
# Without these two nothing else can be well.
VITAL = ("etcd", API_SERVER)
START_SECONDS = 120
READY_SECONDS = 60
# The controller manager gives up when the API server is not there 10 s after its own start, which a busy machine exceeds.
REVIVALS = 3
POLL_SECONDS = 0.1
# With connections open the API server takes its time over SIGTERM; a test wants it away, not well-mannered.
API_SERVER_GRACE_SECONDS = 3
# Nothing here outlives the world, so there is nothing to save by ending in order.
STOP_GRACE_SECONDS = 0
ATTEMPTS = 3
PORT_TAKEN = "address already in use"


class ControlPlaneFailed(Exception):
    """The control plane did not come up or did not come back; the text names the log to look at."""


@dataclass(frozen=True)
class Access:
    """What EKS's DescribeCluster tells of a cluster, and the administrator's kubeconfig."""

    endpoint: str
    """`https://127.0.0.1:PORT`"""
    certificate_authority: str
    """Base64 of PEM: `certificateAuthority.data`."""
    kubeconfig: Path


class ControlPlane:
    """The control plane of the world in the directory `world`, with the programs in `tools` ($TIDEGATE_TOOLS).

    Nothing is kept in this object: one made in another process can stop or inspect what an earlier one started.
    """

    def __init__(self, world: Path, tools: Path):
        self.world = world.resolve()
        self._tools = tools
        self._home = self.world / "kubernetes"
        self._cluster = self._home / "clusters" / NAME
        self._files = Files(
            audit_policy=self._home / "audit-policy.json",
            audit_log=self.world / "audit.log",
            token_webhook=self._home / "token-webhook.json",
            certificates=self._cluster / "pki",
        )
        self.kubeconfig = self.world / "kubeconfig"

    def start(self, token_webhook_url: str | None = None) -> Access:
        """Starts all components and returns when the API server is ready. Ends first what a crash has left behind.

        Without a webhook only client certificates and service account tokens log in. Raises ControlPlaneFailed.
        """
        for attempt in range(1, ATTEMPTS + 1):
            self.stop()
            try:
                self._create(token_webhook_url)
                return self._access()
            except ControlPlaneFailed:
                taken = self._port_was_taken()
                self.stop()
                if not taken or attempt == ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    def stop(self) -> None:
        """Ends every process and removes the cluster's data; the logs and the audit log stay."""
        # Not by `kwokctl delete cluster`: it kills the pids that it has noted, also if they are somebody else's by now,
        # and it does not know of what a creation that was cut off has started.
        processes.end(processes.running(["kwokctl"], self._home), STOP_GRACE_SECONDS)
        # Looked for only now, and until there is none: a kwokctl that still ran has gone on starting them.
        while left := processes.running((*COMPONENTS, *KWOKCTLS_OWN), self._home):
            processes.end(left, STOP_GRACE_SECONDS)
        shutil.rmtree(self._home, ignore_errors=True)
        self.kubeconfig.unlink(missing_ok=True)

    def stop_apiserver(self) -> None:
        """Ends the API server alone: connections to it are refused, as when EKS's endpoint is away."""
        processes.end(processes.running([API_SERVER], self._cluster), API_SERVER_GRACE_SECONDS)
        # By this file kwokctl knows what runs; it would take a process that got the pid for the API server.
        (self._cluster / "pids" / f"{API_SERVER}.pid").unlink(missing_ok=True)

    def start_apiserver(self) -> None:
        """Starts it again under the same address, and with it what ended because it was away. Raises ControlPlaneFailed."""
        self._revive()
        self._wait_until_ready()

    def pids(self) -> list[int]:
        """The processes of this control plane that run at the moment."""
        return processes.running(COMPONENTS, self._cluster)

    def apply(self, *manifests: Path) -> None:
        """Applies manifests (files or directories) as the administrator. Raises ControlPlaneFailed with kubectl's words."""
        arguments = [part for manifest in manifests for part in ("-f", str(manifest))]
        command = [self._tools / "bin" / "kubectl", f"--kubeconfig={self.kubeconfig}", "apply", "--server-side", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=self._environment())
        if done.returncode != 0:
            raise ControlPlaneFailed(f"kubectl apply failed: {done.stderr.strip()}")

    def _create(self, token_webhook_url: str | None) -> None:
        logs = self.world / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self._cluster.mkdir(parents=True)
        # kwokctl deletes its directory of logs with the cluster, and only the link if it is one.
        (self._cluster / "logs").symlink_to(logs)
        configuration = self._home / CONFIGURATION
        ports = Ports(*processes.free_ports(LOOPBACK, len(Ports.__dataclass_fields__)))
        cluster_config.write(
            configuration,
            cluster_config.kwokctl_configuration(self._tools, ports, self._files, token_webhook_url is not None),
        )
        cluster_config.write(self._files.audit_policy, cluster_config.audit_policy())
        if token_webhook_url is not None:
            cluster_config.write(self._files.token_webhook, cluster_config.token_webhook(token_webhook_url))
        stages = sorted((self._tools / "kwok-stages").glob("*.yaml"))
        configurations = [f"--config={path}" for path in (configuration, *stages)]
        self._kwokctl("create", "cluster", f"--kubeconfig={self._home / 'kwokctl.kubeconfig'}", *configurations)
        self._wait_until_ready()
        self._write_kubeconfig(self._access())

    def _write_kubeconfig(self, access: Access) -> None:
        certificate, key = (_base64(self._cluster / "pki" / name) for name in ("admin.crt", "admin.key"))
        document = cluster_config.administrator(access.endpoint, access.certificate_authority, certificate, key)
        cluster_config.write(self.kubeconfig, document)

    def _access(self) -> Access:
        endpoint = f"https://{LOOPBACK}:{self._ports()[API_SERVER]}"
        return Access(endpoint, _base64(self._cluster / "pki" / "ca.crt"), self.kubeconfig)

    def _ports(self) -> dict[str, int]:
        options = json.loads((self._home / CONFIGURATION).read_text())["options"]
        return {component: options[option] for component, option in SERVING_PORTS.items()}

    def _revive(self) -> None:
        """Starts the components that do not run, as they were started before."""
        for pids in (self._cluster / "pids").glob("*.pid"):
            # By these files kwokctl knows what runs, and a pid may be somebody else's by now.
            if not processes.running([pids.stem], self._cluster):
                pids.unlink()
        self._kwokctl("start", "cluster")

    def _wait_until_ready(self) -> None:
        """Waits until every component says so of itself. /readyz and /healthz are open to everybody."""
        deadline = time.monotonic() + READY_SECONDS
        revivals = REVIVALS
        waiting = {name: f"https://{LOOPBACK}:{port}" for name, port in self._ports().items()}
        while waiting:
            for name, address in list(waiting.items()):
                if _ready(f"{address}/{'readyz' if name == API_SERVER else 'healthz'}"):
                    del waiting[name]
            gone = [name for name in COMPONENTS if not processes.running([name], self._cluster)]
            if gone and (revivals == 0 or not set(gone).isdisjoint(VITAL)):
                raise self._failed(gone, "ended at once")
            if gone and API_SERVER not in waiting:
                self._revive()
                revivals -= 1
            if waiting and time.monotonic() > deadline:
                raise self._failed(sorted(waiting), f"not ready after {READY_SECONDS} s")
            if waiting:
                time.sleep(POLL_SECONDS)

    def _failed(self, components: list[str], what: str) -> ControlPlaneFailed:
        log = self.world / "logs" / f"{components[0]}.log"
        return ControlPlaneFailed(f"{what}: {', '.join(components)}; see {log}")

    def _port_was_taken(self) -> bool:
        for name in COMPONENTS:
            log = self.world / "logs" / f"{name}.log"
            if log.exists() and PORT_TAKEN in log.read_text(errors="replace"):
                return True
        return False

    def _kwokctl(self, *arguments: str) -> None:
        """Raises ControlPlaneFailed, also as soon as a vital component has ended: kwokctl would wait two minutes for it."""
        log = self.world / "logs" / "kwokctl.log"
        command = [str(self._tools / "bin" / "kwokctl"), f"--name={NAME}", *arguments]
        deadline = time.monotonic() + START_SECONDS
        with log.open("a") as output:
            output.write(f"$ {' '.join(command)}\n")
            output.flush()
            child = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=self._environment())
        try:
            while child.poll() is None:
                ended = [name for name in VITAL if self._has_ended(name)]
                if ended:
                    raise self._failed(ended, "ended at once")
                if time.monotonic() > deadline:
                    raise ControlPlaneFailed(f"kwokctl {arguments[0]} took longer than {START_SECONDS} s; see {log}")
                time.sleep(POLL_SECONDS)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        if child.returncode != 0:
            raise ControlPlaneFailed(f"kwokctl {arguments[0]} failed; see {log} and the components' logs beside it")

    def _has_ended(self, component: str) -> bool:
        """Whether it was started and does not run any more."""
        try:
            pid = (self._cluster / "pids" / f"{component}.pid").read_text()
        except FileNotFoundError:
            return False
        # kwokctl makes the file first and writes the pid then.
        return pid.isdigit() and not processes.alive(int(pid))

    def _environment(self) -> dict[str, str]:
        """The caller's environment without what would lead kwokctl or kubectl out of this world."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KWOK_") and "proxy" not in name.lower()}
        return kept | {
            "KWOK_WORKDIR": str(self._home),
            "KUBECONFIG": str(self._home / "kwokctl.kubeconfig"),
            # kwokctl takes the first kubectl of the path, before the one that it is configured with.
            "PATH": f"{self._tools / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        }


def _ready(url: str) -> bool:
    # Unverified: the controller manager and the scheduler make up certificates of their own, and nothing secret is said.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    handlers = (urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with urllib.request.build_opener(*handlers).open(url, timeout=2):
            return True
    except OSError:
        return False


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
