"""Who goes when a group has too many: by the default policy, or by the group's own Lambda function. Pure.

https://docs.aws.amazon.com/autoscaling/ec2/userguide/lambda-custom-termination-policy.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from .model import Group, Member


def by_default(group: Group, count: int) -> list[Member]:
    """The default policy: of the fullest zone the oldest template, then the oldest; one after the other."""
    crowd = Counter(member.zone for member in group.counting())
    free = _free(group)
    chosen: list[Member] = []
    while free and len(chosen) < count:
        fullest = max(crowd[member.zone] for member in free)
        victim = min((member for member in free if crowd[member.zone] == fullest), key=_age)
        free.remove(victim)
        crowd[victim.zone] -= 1
        chosen.append(victim)
    return chosen


def question(group: Group, count: int) -> dict[str, Any]:
    """What the group's function is asked: how many have to go of each zone, and who may."""
    zones = Counter(member.zone for member in by_default(group, count))
    return {
        "AutoScalingGroupARN": group.arn,
        "AutoScalingGroupName": group.name,
        "CapacityToTerminate": [
            {"AvailabilityZone": zone, "Capacity": share, "InstanceMarketOption": group.market}
            for zone, share in sorted(zones.items())
        ],
        "Instances": [
            {
                "AvailabilityZone": member.zone,
                "InstanceId": member.id,
                "InstanceType": member.instance_type,
                "InstanceMarketOption": group.market,
            }
            for member in sorted(_free(group), key=_age)
            if member.zone in zones
        ],
        "Cause": "SCALE_IN",
        "HasMoreInstances": False,
    }


def by_answer(group: Group, asked: dict[str, Any], named: Iterable[str], most: int) -> list[Member]:
    """Of those that the function names no more of a zone than was asked for, the oldest first; fewer
    where it names fewer. Who may no longer go, or was never proposed, is passed over."""
    names = set(named)
    chosen: list[Member] = []
    for wanted in asked["CapacityToTerminate"]:
        fitting = [
            member
            for member in sorted(_free(group), key=_age)
            if member.id in names and member.zone == wanted["AvailabilityZone"]
        ]
        chosen += fitting[: wanted["Capacity"]]
    return chosen[:most]


def _free(group: Group) -> list[Member]:
    return [member for member in group.counting() if not member.protected]


def _age(member: Member) -> tuple[int, Any]:
    return int(member.template.get("Version", "0") or 0), member.joined_at
