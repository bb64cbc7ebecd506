"""`python -m world.aws`: prints a ready line (JSON), serves until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import threading
from pathlib import Path

from .config import Config, Pace, minimum_heartbeat
from .server import AwsEndpoint


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="world.aws", description=__doc__)
    parser.add_argument("--world", type=Path, required=True, help="the world directory")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--network", default="127.10.0.0/16", help="a /16 of loopback addresses")
    parser.add_argument("--cluster", default="tidegate", help="name of the EKS cluster")
    parser.add_argument("--boot-seconds", type=float, default=Pace.boot)
    parser.add_argument("--transition-seconds", type=float, default=Pace.transition)
    parser.add_argument("--shutdown-seconds", type=float, default=Pace.shutdown)
    parser.add_argument(
        "--minimum-heartbeat",
        type=int,
        default=minimum_heartbeat(),
        help="least HeartbeatTimeout of a lifecycle hook; AWS: 30",
    )
    parser.add_argument("--deploy", type=Path, help="a SAM template to deploy at start")
    parser.add_argument("--stack-name", default="tidegate")
    parser.add_argument("--parameters", default="{}", help="JSON object: the template's parameters")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    for noisy in ("botocore", "boto3", "urllib3", "samtranslator", "werkzeug"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    config = Config(
        world=given.world.resolve(),
        port=given.port,
        network=given.network,
        cluster=given.cluster,
        pace=Pace(given.boot_seconds, given.transition_seconds, given.shutdown_seconds),
        minimum_heartbeat=given.minimum_heartbeat,
    )
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with AwsEndpoint(config) as endpoint:
        if given.deploy:
            endpoint.deployer.deploy(given.deploy, given.stack_name, json.loads(given.parameters))
        print(json.dumps(endpoint.health()), flush=True)
        ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
