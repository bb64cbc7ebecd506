"""EventBridge, Scheduler, SQS, SNS."""

from __future__ import annotations

import json
from typing import Any

from .base import Context, Handler, Made, handler, number, present, tags

_QUEUE_ATTRIBUTES = (
    "DelaySeconds MaximumMessageSize MessageRetentionPeriod ReceiveMessageWaitTimeSeconds "
    "VisibilityTimeout KmsMasterKeyId KmsDataKeyReusePeriodSeconds SqsManagedSseEnabled "
    "FifoQueue ContentBasedDeduplication"
)


def _apply_queue(properties: dict[str, Any], known: Made | None, context: Context) -> Made:
    client = context.client("sqs")
    name = properties.get("QueueName") or context.name(80)
    attributes = {
        key: str(properties[key]).lower()
        if isinstance(properties[key], bool)
        else str(properties[key])
        for key in _QUEUE_ATTRIBUTES.split()
        if key in properties
    }
    if "RedrivePolicy" in properties:
        attributes["RedrivePolicy"] = json.dumps(properties["RedrivePolicy"])
    if known is not None and known.attributes["QueueName"] == name:
        url = known.reference
        if attributes:
            client.set_queue_attributes(QueueUrl=url, Attributes=attributes)
    else:
        labels = {tag["Key"]: tag["Value"] for tag in tags(properties)}
        url = client.create_queue(QueueName=name, Attributes=attributes, tags=labels)["QueueUrl"]
    arn = f"arn:aws:sqs:{context.config.region}:{context.config.account}:{name}"
    return Made(
        "AWS::SQS::Queue", url, {"Arn": arn, "QueueName": name, "QueueUrl": url}, properties
    )


def _delete_queue(made: Made, context: Context) -> None:
    context.client("sqs").delete_queue(QueueUrl=made.reference)


def _apply_queue_policy(properties: dict[str, Any], known: Made | None, context: Context) -> Made:
    for url in properties["Queues"]:
        context.client("sqs").set_queue_attributes(
            QueueUrl=url, Attributes={"Policy": json.dumps(properties["PolicyDocument"])}
        )
    return Made("AWS::SQS::QueuePolicy", context.name(80), {}, properties)


def _delete_queue_policy(made: Made, context: Context) -> None:
    for url in made.properties["Queues"]:
        context.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": ""})


def _apply_topic(properties: dict[str, Any], known: Made | None, context: Context) -> Made:
    client = context.client("sns")
    name = properties.get("TopicName") or context.name(256)
    arn = client.create_topic(Name=name)["TopicArn"]
    for subscription in properties.get("Subscription", []):
        client.subscribe(
            TopicArn=arn, Protocol=subscription["Protocol"], Endpoint=subscription["Endpoint"]
        )
    return Made("AWS::SNS::Topic", arn, {"TopicArn": arn, "TopicName": name}, properties)


def _delete_topic(made: Made, context: Context) -> None:
    context.client("sns").delete_topic(TopicArn=made.reference)


def _apply_topic_policy(properties: dict[str, Any], known: Made | None, context: Context) -> Made:
    for arn in properties["Topics"]:
        context.client("sns").set_topic_attributes(
            TopicArn=arn,
            AttributeName="Policy",
            AttributeValue=json.dumps(properties["PolicyDocument"]),
        )
    return Made("AWS::SNS::TopicPolicy", context.name(80), {}, properties)


def _apply_rule(properties: dict[str, Any], known: Made | None, context: Context) -> Made:
    client = context.client("events")
    name = properties.get("Name") or context.name(64)
    bus = properties.get("EventBusName") or "default"
    pattern = properties.get("EventPattern")
    arn = client.put_rule(
        Name=name,
        EventBusName=bus,
        State=properties.get("State", "ENABLED"),
        **present(
            EventPattern=None if pattern is None else json.dumps(pattern),
            ScheduleExpression=properties.get("ScheduleExpression"),
            Description=properties.get("Description"),
            RoleArn=properties.get("RoleArn"),
        ),
    )["RuleArn"]
    targets = properties.get("Targets", [])
    if targets:
        client.put_targets(Rule=name, EventBusName=bus, Targets=targets)
    if known is not None:
        kept = {target["Id"] for target in targets}
        gone = [t["Id"] for t in known.properties.get("Targets", []) if t["Id"] not in kept]
        if gone:
            client.remove_targets(Rule=name, EventBusName=bus, Ids=gone)
    return Made("AWS::Events::Rule", name, {"Arn": arn, "_bus": bus}, properties)


def _delete_rule(made: Made, context: Context) -> None:
    client = context.client("events")
    bus = made.attributes["_bus"]
    ids = [target["Id"] for target in made.properties.get("Targets", [])]
    if ids:
        client.remove_targets(Rule=made.reference, EventBusName=bus, Ids=ids)
    client.delete_rule(Name=made.reference, EventBusName=bus)


_SCHEDULE = (
    "ScheduleExpression FlexibleTimeWindow Target Description State GroupName StartDate EndDate "
    "ScheduleExpressionTimezone KmsKeyArn"
)


def _apply_schedule(properties: dict[str, Any], known: Made | None, context: Context) -> Made:
    client = context.client("scheduler")
    name = properties.get("Name") or context.name(64)
    settings = {key: properties[key] for key in _SCHEDULE.split() if key in properties}
    retry = settings.get("Target", {}).get("RetryPolicy")
    if retry:
        settings["Target"]["RetryPolicy"] = {key: number(value) for key, value in retry.items()}
    if known is not None and known.reference == name:
        arn = client.update_schedule(Name=name, **settings)["ScheduleArn"]
    else:
        arn = client.create_schedule(Name=name, **settings)["ScheduleArn"]
    return Made("AWS::Scheduler::Schedule", name, {"Arn": arn}, properties)


def _delete_schedule(made: Made, context: Context) -> None:
    group = made.properties.get("GroupName") or "default"
    context.client("scheduler").delete_schedule(Name=made.reference, GroupName=group)


def _nothing(made: Made, context: Context) -> None:
    """Goes with the resource that it belongs to."""


HANDLERS: dict[str, Handler] = {
    "AWS::SQS::Queue": handler(
        f"QueueName RedrivePolicy Tags {_QUEUE_ATTRIBUTES}", _apply_queue, _delete_queue
    ),
    "AWS::SQS::QueuePolicy": handler(
        "Queues PolicyDocument", _apply_queue_policy, _delete_queue_policy
    ),
    "AWS::SNS::Topic": handler(
        "TopicName DisplayName Subscription Tags", _apply_topic, _delete_topic
    ),
    "AWS::SNS::TopicPolicy": handler("Topics PolicyDocument", _apply_topic_policy, _nothing),
    "AWS::Events::Rule": handler(
        "Name EventBusName State EventPattern ScheduleExpression Description RoleArn Targets",
        _apply_rule,
        _delete_rule,
    ),
    "AWS::Scheduler::Schedule": handler(f"Name {_SCHEDULE}", _apply_schedule, _delete_schedule),
}
