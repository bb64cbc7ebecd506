"""IAM is moto's; the policies that AWS manages are taken into it when somebody attaches one.

moto can load all of them at once, which costs seconds of every start; a template names a few.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, iam_backends

from .config import Config
from .identity import PARTITION
from .wire import Call

PREFIX = f"arn:{PARTITION}:iam::aws:policy/"


@cache
def _known() -> dict[str, Any]:
    return json.loads(aws_managed_policies_data)


class Iam:
    def __init__(self, config: Config):
        self._config = config

    def handle(self, call: Call) -> None:
        """Always leaves the answer to moto."""
        arn = str(call.params.get("PolicyArn", ""))
        backend = iam_backends[self._config.account][PARTITION]
        if arn.startswith(PREFIX) and arn not in backend.managed_policies:
            name = arn.rsplit("/", 1)[-1]
            if name in _known():
                policy = AWSManagedPolicy.from_data(
                    name, self._config.account, PARTITION, _known()[name]
                )
                backend.managed_policies[policy.arn] = policy
