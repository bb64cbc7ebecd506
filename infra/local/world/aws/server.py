"""Puts the parts together. One endpoint in a process at a time: moto's state is the process's."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from typing import Any

from moto.moto_api._internal.models import moto_api_backend
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from . import warnings
from .admin import Admin
from .authorization import Authorizer
from .autoscaling.engine import Engine
from .autoscaling.operations import Operations as AutoScaling
from .autoscaling.policy_function import PolicyFunction
from .calls import CallLog
from .cloudwatch import CloudWatch
from .cluster_stack import ClusterStack
from .config import Config
from .ec2 import Ec2
from .eks import Eks
from .events.bus import EventBus
from .events.delivery import Delivery
from .events.schedules import Schedules
from .front_door import FrontDoor
from .iam import Iam
from .identity import Identities
from .lambda_service.operations import Operations as Lambda
from .lambda_service.service import LambdaService
from .stepfunctions.executions import ExecutionService
from .stepfunctions.operations import Operations as StepFunctions
from .stepfunctions.sdk import Sdk
from .stepfunctions.tasks import TaskRunner
from .template.deploy import Deployer
from .timers import Timers

log = logging.getLogger(__name__)


class _RequestHandler(MotoRequestHandler):
    def log_request(self, *_: Any, **__: Any) -> None:
        """aws-calls.jsonl has every call."""


class _Groups:
    """Auto Scaling as authorization sees it."""

    engine: Engine

    def group_arn(self, name: str | None, instance_id: str | None) -> str | None:
        if name is not None:
            group = self.engine.groups.get(name)
        else:
            group = self.engine.group_of(instance_id or "")
        return group.arn if group else None

    def group_tags(self, arn: str) -> dict[str, str]:
        name = arn.rsplit("autoScalingGroupName/", 1)[-1]
        group = self.engine.groups.get(name)
        return {key: value for key, (value, _) in group.tags.items()} if group else {}


class AwsEndpoint:
    """The AWS of one world. `stretch` shortens Step Functions' waits in tests."""

    def __init__(self, config: Config, stretch: float = 1.0):
        self.config = config
        config.world.mkdir(parents=True, exist_ok=True)
        moto_api_backend.reset()
        self.timers = Timers()
        self.calls = CallLog(config.world / "aws-calls.jsonl")
        self.identities = Identities(config)
        groups = _Groups()
        self.authorizer = Authorizer(config, self.identities, groups)
        self.delivery = Delivery(config, self.identities, self.authorizer)
        self.bus = EventBus(config, self.delivery, config.world / "events.jsonl")
        self.ec2 = Ec2(config, self.timers, self.bus)
        self.ec2.make_network()
        self.engine = Engine(config, self.ec2, self.bus, self.timers)
        groups.engine = self.engine
        self.autoscaling = AutoScaling(config, self.engine, self.ec2)
        self.eks = Eks(config, self.ec2, self.autoscaling)
        self.eks.make_cluster()
        cloudwatch = CloudWatch(config)
        self.functions = LambdaService(
            config, self.identities, self.authorizer, self.timers, self.calls, cloudwatch
        )
        self.engine.ask_policy = PolicyFunction(config, self.authorizer, self.functions).ask
        self.executions = ExecutionService(config, self.bus, self.timers, cloudwatch, stretch)
        self.schedules = Schedules(config, self.timers, self.bus, self.delivery)
        self.admin = Admin()
        self.cluster_stack = ClusterStack(config, self.identities, self.authorizer, self.calls)
        self.cluster_stack.groups_left = self._node_groups_left
        door = FrontDoor(
            config,
            self.identities,
            self.authorizer,
            self.calls,
            {
                "autoscaling": self.autoscaling,
                "ec2": self.ec2,
                "eks": self.eks,
                "events": self.bus,
                "iam": Iam(config),
                "lambda": Lambda(self.functions),
                "states": StepFunctions(config, self.identities, self.executions),
            },
            DomainDispatcherApplication(create_backend_app),
            self.admin,
            self.cluster_stack,
        )
        self._server = make_server(
            "127.0.0.1", config.port, door, threaded=True, request_handler=_RequestHandler
        )
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.functions.endpoint = self.url
        self.cluster_stack.endpoint = self.url
        self.deployer = Deployer(config, self.url, self.bus.emit)
        sdk = Sdk(self.identities, self.url, config.region)
        self.executions.tasks = TaskRunner(self.functions, sdk, self.executions)
        self.delivery.start_execution = self._start_execution
        self.delivery.invoke_function = self._invoke_function
        self._admin_routes()
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True
        )

    def start(self) -> AwsEndpoint:
        self._thread.start()
        return self

    def stop(self) -> None:
        """Ends executions and functions, then the server. Nothing is left running."""
        self.executions.stop_all()
        self.functions.stop()
        self._server.shutdown()
        self._server.server_close()
        self.timers.stop()
        self.bus.stop()
        self.calls.close()

    def __enter__(self) -> AwsEndpoint:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start_execution(self, machine: str, name: str, text: str, role_arn: str) -> None:
        credentials = self.identities.assume(role_arn, "Events", "events")
        principal = self.identities.session_principal(credentials)
        try:
            self.executions.start(machine, name, text)
        except Exception:
            self.calls.record("states", "StartExecution", principal, 400)
            raise
        self.calls.record("states", "StartExecution", principal, 200)

    def _invoke_function(self, arn: str, text: str) -> None:
        self.functions.invoke_later(arn, text.encode())

    def _admin_routes(self) -> None:
        route = self.admin.route
        route("GET", "health", lambda *_: self.health())
        route("POST", "events", lambda given, _: self.bus.admin(given))
        route("POST", "warnings/(spot|capacity|rebalance|health|store)", self._warn)
        route("GET", "events", lambda *_: self.bus.faults.view())
        route("POST", "lambda/([^/]+)/kill-next", self._kill_next)
        route("POST", "eks", self._set_cluster)
        route("GET", "eks/access-entries", lambda *_: [e.view() for e in self.eks.entries.values()])
        route("POST", "schedules/([^/]+)/fire", self._fire)
        route("POST", "cluster-stack", self._make_cluster_stack)
        route("POST", "deploy", lambda given, _: self.deployer.deploy_request(given))

    def health(self) -> dict[str, Any]:
        return {
            "status": "ready",
            "endpoint": self.url,
            "region": self.config.region,
            "account": self.config.account,
            "cluster": self.config.cluster,
            "vpc": self.ec2.vpc_id,
            "subnets": self.ec2.subnets,
        }

    def _kill_next(self, given: dict[str, Any], found: Any) -> dict[str, Any]:
        self.functions.kill_next(found.group(1), float(given.get("afterMillis", 0)))
        return {"function": found.group(1)}

    def _warn(self, given: dict[str, Any], found: Any) -> dict[str, Any]:
        ids = list(given["instanceIds"])
        kind = found.group(1)
        if kind in ("health", "store"):
            affected = [self.ec2.instance(i).id for i in ids]
            place = (self.config.account, self.config.region)
            now = dt.datetime.now(dt.UTC)
        if kind == "health":
            start = now + dt.timedelta(days=float(given.get("inDays", 14)))
            code = given.get("code", warnings.RETIREMENT)
            self.bus.emit(*warnings.scheduled_change(affected, code, start, *place))
        elif kind == "store":
            self.bus.emit(*warnings.degraded_store(affected, now, *place))
        else:
            seconds = float(given.get("afterSeconds", warnings.SPOT_SECONDS))
            for instance_id in ids:
                if kind == "spot":
                    self.ec2.interrupt(instance_id, seconds)
                elif kind == "capacity":
                    self.ec2.interrupt_capacity(instance_id, seconds)
                else:
                    self.ec2.recommend_rebalance(instance_id)
        return {"warned": ids}

    def _set_cluster(self, given: dict[str, Any], _: Any) -> dict[str, Any]:
        self.eks.set_endpoint(given["endpoint"], given["certificateAuthority"])
        return {"cluster": self.config.cluster}

    def _make_cluster_stack(self, given: dict[str, Any], _: Any) -> dict[str, Any]:
        return self.cluster_stack.make(given["name"], next(iter(self.ec2.subnets.values())))

    def _node_groups_left(self) -> list[str]:
        """Groups that EKS has made for node groups."""
        groups = self.engine.groups.values()
        return [group.name for group in groups if group.name.startswith("eks-")]

    def _fire(self, _: dict[str, Any], found: Any) -> dict[str, Any]:
        return {"fired": self.schedules.fire_by_name(found.group(1))}
