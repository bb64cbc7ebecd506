"""One event to one target, with the target's role, or else to the rule's dead-letter queue."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from typing import Any

from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends

from ..authorization import Authorizer
from ..config import Config
from ..errors import ApiError
from ..identity import Identities
from .transform import target_input

log = logging.getLogger(__name__)

SERVICE = "events.amazonaws.com"
# EventBridge tries for up to 24 h; a throttled start here is over within seconds or not at all.
RETRY_SECONDS = (0.2, 1.0, 3.0)
RETRIED = {"ThrottlingException", "TooManyRequestsException", "ExecutionLimitExceeded"}


class Delivery:
    """`start_execution(machine_arn, name, input, role_arn)` and `invoke_function(arn, payload)` are
    set by the server once Step Functions and Lambda exist."""

    start_execution: Callable[[str, str, str, str], Any]
    invoke_function: Callable[[str, str], Any]

    def __init__(self, config: Config, identities: Identities, authorizer: Authorizer):
        self._config = config
        self._identities = identities
        self._authorizer = authorizer

    def deliver(
        self, rule_arn: str, rule_name: str, target: dict[str, Any], event: dict[str, Any]
    ) -> None:
        text = target_input(target, event, {"arn": rule_arn, "name": rule_name})
        self.send(rule_arn, target, text, SERVICE)

    def send(self, source_arn: str, target: dict[str, Any], text: str, service: str) -> None:
        """Sends text to a target; what fails goes to the target's DeadLetterConfig."""
        try:
            self._with_retries(source_arn, target, text, service)
        except ApiError as error:
            log.warning("%s: %s was not reached: %s", source_arn, target["Arn"], error)
            self._dead_letter(source_arn, target, text, error, service)

    def _with_retries(
        self, source_arn: str, target: dict[str, Any], text: str, service: str
    ) -> None:
        most = (target.get("RetryPolicy") or {}).get("MaximumRetryAttempts", len(RETRY_SECONDS))
        for pause in RETRY_SECONDS[: int(most)]:
            try:
                return self._call(source_arn, target, text, service)
            except ApiError as error:
                if error.code not in RETRIED:
                    raise
                time.sleep(pause)
        return self._call(source_arn, target, text, service)

    def _call(self, source_arn: str, target: dict[str, Any], text: str, service: str) -> None:
        arn = target["Arn"]
        match arn.split(":")[2]:
            case "states":
                role = self._role(target, service, "states:StartExecution", arn)
                self.start_execution(arn, f"{uuid.uuid4()}_{uuid.uuid4()}", text, role)
            case "sqs":
                if service == SERVICE and not self._authorizer.queue_allows(
                    arn, service, source_arn
                ):
                    raise ApiError(
                        "NO_PERMISSIONS", f"{arn} has no policy that lets {service} send"
                    )
                self._queue(arn, text, target.get("SqsParameters", {}).get("MessageGroupId"))
            case "lambda":
                self.invoke_function(arn, text)
            case "sns":
                sns_backends[self._config.account][self._config.region].publish(
                    message=text, arn=arn
                )
            case other:
                raise ApiError("NOT_PLAYED", f"targets of {other} are not played here")

    def _role(self, target: dict[str, Any], service: str, action: str, arn: str) -> str:
        role = target.get("RoleArn", "")
        if not self._identities.trusts(role, service):
            raise ApiError("NO_PERMISSIONS", f"{role or 'no role'} does not trust {service}")
        if not self._authorizer.role_allows(role, action, (arn,)):
            raise ApiError("NO_PERMISSIONS", f"{role} does not allow {action} on {arn}")
        return role

    def _queue(self, arn: str, text: str, group: str | None = None, **attributes: str) -> None:
        backend = sqs_backends[self._config.account][self._config.region]
        name = arn.rsplit(":", 1)[-1]
        if name not in backend.queues:
            raise ApiError("RESOURCE_NOT_FOUND", f"{arn} does not exist")
        backend.send_message(
            name,
            text,
            message_attributes={
                key: {"DataType": "String", "StringValue": value}
                for key, value in attributes.items()
            }
            or None,
            group_id=group,
        )

    def _dead_letter(
        self, source_arn: str, target: dict[str, Any], text: str, error: ApiError, service: str
    ) -> None:
        queue = (target.get("DeadLetterConfig") or {}).get("Arn")
        if not queue:
            return
        if service == SERVICE and not self._authorizer.queue_allows(queue, service, source_arn):
            log.error("%s has no policy that lets %s send: the event is lost", queue, service)
            return
        try:
            self._queue(
                queue,
                text,
                RULE_ARN=source_arn,
                TARGET_ARN=target["Arn"],
                ERROR_CODE=error.code,
                ERROR_MESSAGE=error.message,
            )
        except ApiError:
            log.exception("the dead-letter queue of %s failed", source_arn)
