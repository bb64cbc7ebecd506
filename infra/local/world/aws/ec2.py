"""EC2 instances with a life: pending, running, shutting-down, terminated, each told on the bus.

moto keeps the instances and answers nearly every call; here an instance gets the times that a real
one takes, its network is the world's own loopback network, and its end is noticed by its group.
"""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Callable
from typing import Any, Protocol

from moto.ec2.models import ec2_backends
from moto.ec2.models.instances import Instance

from . import warnings
from .config import Config
from .errors import ApiError
from .timers import Timers
from .wire import Call

log = logging.getLogger(__name__)

STATES = {
    "pending": 0,
    "running": 16,
    "shutting-down": 32,
    "terminated": 48,
    "stopping": 64,
    "stopped": 80,
}

Listener = Callable[[str, str], None]
"""Told (instance id, state) after each change, and (instance id, RECLAIMED) before a Spot end."""
RECLAIMED = "reclaimed"


class Bus(Protocol):
    def emit(
        self, source: str, detail_type: str, resources: list[str], detail: dict[str, Any]
    ) -> None: ...


def forget_addresses_of_the_terminated() -> None:
    """On AWS a terminated instance has no address, name, subnet or interface any more."""

    def gone(instance: Instance) -> bool:
        return instance._state.name == "terminated"

    def guarded(attribute: str, empty: Any) -> None:
        original = Instance.__dict__[attribute]
        if getattr(original.fget, "forgets", False):
            return

        def read(instance: Instance) -> Any:
            return empty if gone(instance) else original.fget(instance)

        read.forgets = True  # type: ignore[attr-defined]
        setattr(Instance, attribute, property(read))

    for attribute in ("private_ip", "private_ip_address", "subnet_id", "vpc_id"):
        guarded(attribute, None)
    guarded("private_dns_name", "")
    guarded("network_interfaces", [])


class Ec2:
    def __init__(self, config: Config, timers: Timers, bus: Bus):
        self._config = config
        self._timers = timers
        self._bus = bus
        self._lock = threading.RLock()
        self._listeners: list[Listener] = []
        self._ending: set[str] = set()
        forget_addresses_of_the_terminated()

    @property
    def backend(self) -> Any:
        return ec2_backends[self._config.account][self._config.region]

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def make_network(self) -> dict[str, str]:
        """The world's VPC. Instances get loopback addresses of the world's network.

        Returns zone -> subnet id.
        """
        vpc = self.backend.create_vpc(
            self._config.network, tags=[{"Key": "Name", "Value": self._config.cluster}]
        )
        self.vpc_id = vpc.id
        self.subnets = {
            zone: self.backend.create_subnet(
                vpc.id,
                cidr,
                availability_zone=zone,
                tags={"Name": f"{self._config.cluster}-{zone}"},
            ).id
            for zone, cidr in self._config.subnets().items()
        }
        return self.subnets

    def template(self, given: dict[str, str]) -> dict[str, str]:
        """The launch template that a group names, with id, name and the number of its version.

        Errors: ApiError ValidationError when there is none.
        """
        try:
            identifier = given.get("LaunchTemplateId")
            template = (
                self.backend.get_launch_template(identifier)
                if identifier
                else self.backend.get_launch_template_by_name(given.get("LaunchTemplateName"))
            )
            version = template.get_version(given.get("Version") or "$Default")
        except Exception as error:
            raise ApiError(
                "ValidationError",
                "You must use a valid fully-formed launch template. "
                + str(getattr(error, "message", error)),
                400,
            ) from error
        return {
            "LaunchTemplateId": template.id,
            "LaunchTemplateName": template.name,
            "Version": str(version.number),
        }

    def launch(
        self,
        template: dict[str, str],
        subnet_id: str,
        tags: dict[str, str],
        instance_type: str | None = None,
        spot: bool = False,
    ) -> Instance:
        """Launches one instance; it is `pending` now and `running` after the boot time."""
        options: dict[str, Any] = {
            "instance_type": instance_type or "m1.small",
            "is_instance_type_default": instance_type is None,
        }
        if spot:
            options["instance_market_options"] = {"MarketType": "spot"}
        reservation = self.backend.run_instances(
            None,
            1,
            None,
            [],
            region_name=self._config.region,
            launch_template={
                "LaunchTemplateId": template["LaunchTemplateId"],
                "Version": template["Version"],
            },
            subnet_id=subnet_id,
            tags={"instance": tags},
            **options,
        )
        instance = reservation.instances[0]
        self._set(instance, "pending")
        self._timers.after(self._config.pace.boot, lambda: self._booted(instance))
        return instance

    def end(self, instance_ids: list[str], client_initiated: bool = True) -> None:
        """Ends instances as TerminateInstances does; ending one twice does nothing."""
        for instance_id in instance_ids:
            instance = self.backend.get_instance(instance_id)
            with self._lock:
                if instance_id in self._ending or instance.state == "terminated":
                    continue
                self._ending.add(instance_id)
            self._set(instance, "shutting-down")
            self._timers.after(self._config.pace.shutdown, lambda i=instance: self._ended(i))

    def interrupt(self, instance_id: str, seconds: float) -> None:
        """A Spot interruption: the warning now, and after so many seconds EC2 ends the instance.

        Errors: ApiError InvalidInstanceID.NotFound.
        """
        instance = self.instance(instance_id)
        self._bus.emit(*warnings.spot_interruption(instance.id, self._zone(instance)))
        self._timers.after(seconds, lambda: self._reclaim(instance))

    def interrupt_capacity(self, instance_id: str, seconds: float) -> None:
        """The reservation's owner takes it back: the warning now, with the instant of the end.

        Errors: ApiError InvalidInstanceID.NotFound.
        """
        instance = self.instance(instance_id)
        ends = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
        self._bus.emit(
            *warnings.capacity_interruption(
                instance.id, self._zone(instance), self._config.account, ends
            )
        )
        self._timers.after(seconds, lambda: self._reclaim(instance))

    def _reclaim(self, instance: Instance) -> None:
        with self._lock:
            if instance.id in self._ending or instance.state == "terminated":
                return
        for listener in self._listeners:
            listener(instance.id, RECLAIMED)
        self.end([instance.id])

    def recommend_rebalance(self, instance_id: str) -> None:
        instance = self.instance(instance_id)
        self._bus.emit(*warnings.rebalance(instance.id, self._zone(instance)))

    def instance(self, instance_id: str) -> Instance:
        """Errors: ApiError InvalidInstanceID.NotFound."""
        return self._known([instance_id])[instance_id]

    @staticmethod
    def _zone(instance: Instance) -> str:
        return str(instance.placement.zone)

    def is_gone(self, instance_id: str) -> bool:
        return bool(self.backend.get_instance(instance_id).state == "terminated")

    def _booted(self, instance: Instance) -> None:
        with self._lock:
            if instance.id in self._ending or instance.state != "pending":
                return
        self._set(instance, "running")

    def _ended(self, instance: Instance) -> None:
        # moto's terminate() raises over a missing volume; the instance is gone all the same.
        try:
            instance.terminate()
        except Exception:
            log.exception("moto could not clean up after %s", instance.id)
        self._set(instance, "terminated")

    def _set(self, instance: Instance, state: str) -> None:
        instance._state.name = state
        instance._state.code = STATES[state]
        arn = f"arn:aws:ec2:{self._config.region}:{self._config.account}:instance/{instance.id}"
        self._bus.emit(
            "aws.ec2",
            "EC2 Instance State-change Notification",
            [arn],
            {"instance-id": instance.id, "state": state},
        )
        for listener in self._listeners:
            listener(instance.id, state)

    def _stop(self, instance: Instance) -> None:
        if instance.state not in ("pending", "running"):
            return
        self._set(instance, "stopping")
        self._timers.after(self._config.pace.shutdown, lambda: self._follow(instance, "stopping", "stopped"))

    def _start(self, instance: Instance) -> None:
        if instance.state != "stopped":
            return
        self._set(instance, "pending")
        self._timers.after(self._config.pace.boot, lambda: self._booted(instance))

    def _follow(self, instance: Instance, before: str, after: str) -> None:
        # An instance may be terminated while it stops.
        with self._lock:
            if instance.id in self._ending or instance.state != before:
                return
        self._set(instance, after)

    def _known(self, ids: list[str]) -> dict[str, Instance]:
        known = {instance.id: instance for instance in self.backend.all_instances()}
        unknown = [instance_id for instance_id in ids if instance_id not in known]
        if unknown:
            noun = "ID" if len(unknown) == 1 else "IDs"
            verb = "does" if len(unknown) == 1 else "do"
            raise ApiError(
                "InvalidInstanceID.NotFound",
                f"The instance {noun} '{', '.join(unknown)}' {verb} not exist",
                400,
            )
        return {instance_id: known[instance_id] for instance_id in ids}

    def handle(self, call: Call) -> dict[str, Any] | None:
        """Terminate-, Stop- and StartInstances are played here; everything else is moto's."""
        if call.params.get("DryRun"):
            return None
        played: dict[str, tuple[str, Callable[[Instance], None]]] = {
            "TerminateInstances": ("TerminatingInstances", lambda i: self.end([i.id])),
            "StopInstances": ("StoppingInstances", self._stop),
            "StartInstances": ("StartingInstances", self._start),
        }
        if call.operation not in played:
            return None
        answer, change = played[call.operation]
        ids = call.params.get("InstanceIds", [])
        known = self._known(ids)
        before = {i: (known[i].state, known[i].state_code) for i in ids}
        for instance_id in ids:
            change(known[instance_id])
        return {
            answer: [
                {
                    "InstanceId": i,
                    "PreviousState": {"Name": before[i][0], "Code": before[i][1]},
                    "CurrentState": {"Name": known[i].state, "Code": known[i].state_code},
                }
                for i in ids
            ]
        }
