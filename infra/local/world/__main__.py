"""The local world: `python -m world up | down | env | status | apiserver | event` (the Makefile's `up`, `down`, `env`)."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from . import sample
from .alluxio.process import end_recorded, start_ticks
from .kubernetes.control_plane import ControlPlane
from .network import PodNetwork
from .paths import CHECKOUT, Paths, cache, world_directory
from .supervisor import Settings, World, WorldFailed

# Quick where production is patient; everything else is what the template says.
LOCAL_PARAMETERS = {
    "BootSeconds": "0",
    "IdleLimitSeconds": "10",
    "WorkerListRefreshSeconds": "2",
    "PublishLimitSeconds": "30",
    # Not by itself: it would set right what somebody has just broken on purpose. Fire the schedule, or start it by hand.
    "DriftCheckRate": "rate(1 day)",
    "DriftSettleSeconds": "0",
    # Worlds are made for groups that come later, or never: it is started by hand.
    "BootstrapOnCompletion": "false",
}
# In a world of a sample. Its groups are there first, so the stack sets the cluster up by itself; its add-ons cannot be run here.
SAMPLE_PARAMETERS = {"BootstrapOnCompletion": "true", "AddOns": "none"}
DEFAULT_GROUPS = "nvme-nodes"
# Two disks of 300 GB as an array are one of 600 GB.
DEFAULT_LAYOUTS = "1x300g,1x600g,2x300g"
STOP_SECONDS = 60
# As a shell reports a command that SIGINT has ended.
INTERRUPTED = 130


def main() -> int:
    options = _options()
    paths = Paths(world_directory())
    if "TIDEGATE_TOOLS" not in os.environ:
        print("world: TIDEGATE_TOOLS is not set: use make up, make down, make -s env", file=sys.stderr)
        return 2
    tools = Path(os.environ["TIDEGATE_TOOLS"])
    if options.command == "env":
        return _env(paths, tools)
    if options.command == "status":
        return 0 if _supervisor(paths) else 1
    if options.command == "down":
        return _down(paths, tools)
    if options.command == "apiserver":
        plane = ControlPlane(paths.world, tools)
        (plane.stop_apiserver if options.action == "stop" else plane.start_apiserver)()
        return 0
    if options.command == "event":
        return _event(paths, options)
    try:
        chosen = sample.read(options.sample, options.cluster_parameters) if options.sample else None
    except ValueError as error:
        print(f"world: {error}", file=sys.stderr)
        return 2
    settings = Settings(
        tuple(options.groups.split(",")),
        tuple(options.layouts.split(",")),
        LOCAL_PARAMETERS | (SAMPLE_PARAMETERS if chosen else {}) | options.parameters,
        options.bare,
        chosen,
        options.cluster_stack,
    )
    return _run(paths, tools, settings) if options.command == "run" else _up(paths, tools)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="world", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in {
        "up": "start the world and return when it is ready",
        "run": "be the world, until a signal",
        "down": "end it, and what a crash has left of it",
        "env": "print what a shell needs to talk to it",
        "status": "whether it is up, as exit status",
        "apiserver": "take the API server away, or bring it back",
        "event": "let AWS warn of instances: spot, capacity, rebalance, health, store",
    }.items():
        command = commands.add_parser(name, help=text)
        if name in ("up", "run"):
            command.add_argument("--groups", default=DEFAULT_GROUPS, help="Auto Scaling groups that the stack looks after")
            command.add_argument("--layouts", default=DEFAULT_LAYOUTS, help="disk layouts that get Alluxio workers")
            command.add_argument("--bare", action="store_true", help="set nothing up in the cluster and on the group")
            command.add_argument(
                "--sample", choices=sample.NAMES, help="set nothing up in a cluster of this sample, whose masters are to be pods"
            )
            command.add_argument(
                "--cluster-parameters", type=_parameters, default={}, help="JSON object: changes to those of the sample"
            )
            command.add_argument("--cluster-stack", help="with --bare or --sample: the cluster is of a CloudFormation stack of that name")
            command.add_argument("--parameters", type=_parameters, default={}, help="JSON object: parameters of the stack")
        if name == "apiserver":
            command.add_argument("action", choices=("stop", "start"))
        if name == "event":
            command.add_argument("kind", choices=("spot", "capacity", "rebalance", "health", "store"))
            command.add_argument("instances", nargs="+", help="ids of EC2 instances; one Health event names all of them")
            command.add_argument("--after", type=float, default=120.0, help="spot: seconds until the instance is gone")
            command.add_argument("--code", default="AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED", help="health: type of the event")
            command.add_argument("--in-days", type=float, default=14.0, help="health: when the change is to happen")
    return parser.parse_args()


def _parameters(text: str) -> dict[str, str]:
    try:
        parameters = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no JSON: {error}") from error
    if not isinstance(parameters, dict) or not all(isinstance(value, str) for value in parameters.values()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a JSON object whose values are strings")
    return parameters


def _run(paths: Paths, tools: Path, settings: Settings) -> int:
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.set())
    try:
        World(paths, tools, settings).run(ended)
    except WorldFailed as failure:
        print(f"world: {failure}", file=sys.stderr, flush=True)
        return 1
    return 0


def _up(paths: Paths, tools: Path) -> int:
    # SIGINT too: a shell that puts a command into the background has it ignored, and Python keeps that.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    paths.logs.mkdir(parents=True, exist_ok=True)
    with (paths.world / "up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _supervisor(paths) and paths.endpoints.exists():
            _say("the world is up already")
            return 0
        _clean(paths, tools)
        _forget(paths)
        paths.progress.write_text("")
        log = (paths.logs / "world.log").open("ab")
        child = subprocess.Popen(
            [sys.executable, "-m", "world", "run", *sys.argv[2:]],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=os.environ | {"TIDEGATE_WORLD": str(paths.world)},
            cwd=CHECKOUT,
        )
        try:
            return _follow(paths, child)
        except KeyboardInterrupt:
            _say("interrupted: ending what was started")
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
            _clean(paths, tools)
            return INTERRUPTED


def _follow(paths: Paths, child: subprocess.Popen[bytes]) -> int:
    """Tells the steps as they come; returns when the world is ready or has failed."""
    told = 0
    while True:
        lines = paths.progress.read_text().splitlines()
        for line in map(json.loads, lines[told:]):
            told += 1
            if line["ready"]:
                _say(f"ready after {line['seconds']} s; talk to it with: eval \"$(make -s env)\"")
                return 0
            _say(f"{line['seconds']:5.1f} s  {line['starting']}")
        if child.poll() is not None:
            reason = (paths.logs / "world.log").read_text().splitlines()[-1:]
            _say(f"the world did not start: {' '.join(reason)}")
            return 1
        time.sleep(0.1)


def _down(paths: Paths, tools: Path) -> int:
    pid = _supervisor(paths)
    if pid:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while _supervisor(paths) and time.monotonic() < deadline:
            time.sleep(0.1)
    _clean(paths, tools)
    _say("the world is down" if pid else "no world was up; nothing of one is left")
    return 0


def _clean(paths: Paths, tools: Path) -> None:
    """Ends what a world that was killed has left: processes by their recorded pids, mounts, the control plane."""
    end_recorded(paths.pids, "world")
    for part in ("nodes", "alluxio"):
        subprocess.run([sys.executable, "-m", f"world.{part}", "--world", str(paths.world), "--clean"], check=False)
    end_recorded(paths.pids)
    PodNetwork(paths.world).clean(cache() / "networks")
    ControlPlane(paths.world, tools).stop()
    paths.endpoints.unlink(missing_ok=True)


def _forget(paths: Paths) -> None:
    """A new world knows nothing of the last one: its AWS and its cluster are empty, and so must its Alluxio be."""
    for left in paths.world.iterdir():
        if left.name in ("up.lock", paths.logs.name):
            continue
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        else:
            left.unlink()


def _supervisor(paths: Paths) -> int | None:
    record = paths.pids / "world"
    if not record.exists():
        return None
    pid, _, ticks = record.read_text().strip().partition(" ")
    return int(pid) if pid.isdigit() and start_ticks(int(pid)) == ticks else None


def _env(paths: Paths, tools: Path) -> int:
    if not paths.endpoints.exists():
        _say("no world is up: start one with make up")
        return 1
    endpoints = json.loads(paths.endpoints.read_text())
    for name, value in {
        "AWS_ENDPOINT_URL": endpoints["aws"],
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_REGION": endpoints["region"],
        "AWS_DEFAULT_REGION": endpoints["region"],
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",
        "KUBECONFIG": str(paths.world / "kubeconfig"),
        "TIDEGATE_TOOLS": str(tools),
        "TIDEGATE_WORLD": str(paths.world),
        "TIDEGATE_WORLD_ENDPOINTS": str(paths.endpoints),
    }.items():
        print(f"export {name}='{value}'")
    print("unset AWS_PROFILE AWS_SESSION_TOKEN")
    print(f'export PATH="{tools}/bin:$PATH"')
    return 0


def _event(paths: Paths, options: argparse.Namespace) -> int:
    if not paths.endpoints.exists():
        _say("no world is up: start one with make up")
        return 1
    url = f"{json.loads(paths.endpoints.read_text())['aws']}/local-api/warnings/{options.kind}"
    given = {"instanceIds": options.instances, "afterSeconds": options.after, "code": options.code, "inDays": options.in_days}
    request = urllib.request.Request(url, json.dumps(given).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30):
            return 0
    except urllib.error.HTTPError as error:
        _say(json.loads(error.read())["message"])
        return 1


def _say(text: str) -> None:
    print(f"world: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
