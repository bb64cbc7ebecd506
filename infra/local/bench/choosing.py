"""How long `choose-victims` takes to say who goes: Auto Scaling waits two seconds for it."""

from __future__ import annotations

import json
from statistics import median
from typing import Any

from .cluster import Cluster
from .recordings import Recordings
from .services import GROUP, STACK, NotSeen, Services, until

FUNCTION = "choose-victims"
# Odd, so that the median is one of them.
_WARM = 5


def measure(services: Services, cluster: Cluster, recordings: Recordings) -> dict[str, Any]:
    """With all nodes of the cluster as candidates; once with a cold function, then with a warm one."""
    candidates = [
        {"InstanceId": instance, "InstanceType": kind, "AvailabilityZone": zone, "InstanceMarketOption": "on-demand"}
        for instance, kind, zone in cluster.instances()
    ]
    zone = candidates[0]["AvailabilityZone"]
    question = {
        "AutoScalingGroupName": GROUP,
        "CapacityToTerminate": [{"AvailabilityZone": zone, "Capacity": 1, "InstanceMarketOption": "on-demand"}],
        "Instances": candidates,
        "Cause": "SCALE_IN",
    }
    name = f"{STACK}-{FUNCTION}"
    before = len(recordings.invocations())
    services.make_cold(name, "choosing")
    for _ in range(1 + _WARM):
        answer = json.loads(services.invoke(name, json.dumps(question).encode()))
        if len(answer.get("InstanceIDs", [])) != 1:
            raise NotSeen(f"a choice: {answer}")
    until("the records", lambda: len(recordings.invocations()) >= before + 1 + _WARM, 30)
    cold, *warm = [one for one in recordings.invocations()[before:] if one.function == FUNCTION]
    return {
        "candidates": len(candidates),
        "coldSeconds": cold.seconds,
        "coldStartSeconds": cold.init_seconds,
        "warmSeconds": median(one.seconds for one in warm),
    }
