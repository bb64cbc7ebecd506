"""What EC2 and AWS Health tell of an instance in advance. Pure: each is an event for the bus.

Shapes: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html,
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html,
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/monitor-interruptible-cr.html and
https://docs.aws.amazon.com/health/latest/ug/aws-health-events-eventbridge-schema.html
"""

from __future__ import annotations

import datetime as dt
from typing import Any

Warning = tuple[str, str, list[str], dict[str, Any]]
"""Source, detail type, resources, detail."""

# Seconds between the warning and the end of a Spot instance.
SPOT_SECONDS = 120.0
RETIREMENT = "AWS_EC2_INSTANCE_RETIREMENT_SCHEDULED"
DEGRADED_STORE = "AWS_EC2_INSTANCE_STORE_DRIVE_PERFORMANCE_DEGRADED"


def _spot_arn(instance_id: str, zone: str) -> str:
    """These events name an instance by its zone and without an account."""
    return f"arn:aws:ec2:{zone}:instance/{instance_id}"


def spot_interruption(instance_id: str, zone: str) -> Warning:
    return (
        "aws.ec2",
        "EC2 Spot Instance Interruption Warning",
        [_spot_arn(instance_id, zone)],
        {"instance-id": instance_id, "instance-action": "terminate"},
    )


def capacity_interruption(
    instance_id: str, zone: str, account: str, ends: dt.datetime
) -> Warning:
    """Of an interruptible capacity reservation, or of a capacity block that ends."""
    return (
        "aws.ec2",
        "EC2 Capacity Reservation Instance Interruption Warning",
        [f"arn:aws:ec2:{zone[:-1]}:{account}:instance/{instance_id}"],
        {
            "instance-id": instance_id,
            "instance-action": "terminate",
            "instance-termination-time": f"{ends:%Y-%m-%dT%H:%M:%SZ}",
            "availability-zone-id": f"usw2-az{'abcd'.find(zone[-1]) + 1}",
        },
    )


def rebalance(instance_id: str, zone: str) -> Warning:
    return (
        "aws.ec2",
        "EC2 Instance Rebalance Recommendation",
        [_spot_arn(instance_id, zone)],
        {"instance-id": instance_id},
    )


def scheduled_change(
    instance_ids: list[str], code: str, start: dt.datetime, account: str, region: str
) -> Warning:
    return _health(instance_ids, code, start, account, region, "scheduledChange", "upcoming")


def degraded_store(
    instance_ids: list[str], start: dt.datetime, account: str, region: str
) -> Warning:
    return _health(instance_ids, DEGRADED_STORE, start, account, region, "issue", "open")


def _health(
    instance_ids: list[str],
    code: str,
    start: dt.datetime,
    account: str,
    region: str,
    category: str,
    status: str,
) -> Warning:
    arn = f"arn:aws:health:{region}::event/EC2/{code}/{code}_{start:%Y%m%d%H%M%S}"
    return (
        "aws.health",
        "AWS Health Event",
        list(instance_ids),
        {
            "eventArn": arn,
            "service": "EC2",
            "eventTypeCode": code,
            "eventTypeCategory": category,
            "eventScopeCode": "ACCOUNT_SPECIFIC",
            "communicationId": f"{start:%Y%m%d%H%M%S}-1",
            "startTime": f"{start:%a, %d %b %Y %H:%M:%S} GMT",
            "lastUpdatedTime": f"{start:%a, %d %b %Y %H:%M:%S} GMT",
            "statusCode": status,
            "eventRegion": region,
            "eventDescription": [
                {"language": "en_US", "latestDescription": "The instances below are affected."}
            ],
            "affectedEntities": [
                {"entityValue": instance_id, "status": "PENDING"} for instance_id in instance_ids
            ],
            "affectedAccount": account,
            "page": "1",
            "totalPages": "1",
        },
    )
