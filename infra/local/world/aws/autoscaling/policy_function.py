"""Calls a group's termination policy as Auto Scaling does: as its service-linked role, and not for long."""

from __future__ import annotations

import json
import queue
import threading
from typing import Any

from ..authorization import Authorizer
from ..config import Config
from ..lambda_service.service import LambdaService

# https://docs.aws.amazon.com/autoscaling/ec2/userguide/lambda-custom-termination-policy.html
PATIENCE_SECONDS = 2.0


class Unanswered(Exception):
    """The function gave no list of instances."""


class PolicyFunction:
    def __init__(self, config: Config, authorizer: Authorizer, functions: LambdaService):
        self._role = (
            f"arn:aws:iam::{config.account}:role/aws-service-role/autoscaling.amazonaws.com/"
            "AWSServiceRoleForAutoScaling"
        )
        self._authorizer = authorizer
        self._functions = functions

    def ask(self, arn: str, question: dict[str, Any]) -> list[str]:
        """The ids that the function names. Raises Unanswered, and Refused as Lambda does."""
        if not self._authorizer.function_allows(arn, self._role):
            raise Unanswered(f"{arn} has no policy that lets {self._role} call")
        function = self._functions.function(arn)
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def call() -> None:
            try:
                answers.put(self._functions.invoke(function, json.dumps(question).encode()))
            except Exception as error:
                answers.put(error)

        threading.Thread(target=call, daemon=True).start()
        try:
            answer = answers.get(timeout=PATIENCE_SECONDS)
        except queue.Empty:
            raise Unanswered(f"no answer within {PATIENCE_SECONDS} s") from None
        if isinstance(answer, Exception):
            raise answer
        if answer.error is not None:
            raise Unanswered(answer.payload.decode())
        named = json.loads(answer.payload)
        if not isinstance(named, dict) or not isinstance(named.get("InstanceIDs"), list):
            raise Unanswered(f"no InstanceIDs in {answer.payload.decode()[:200]}")
        return [str(name) for name in named["InstanceIDs"]]
