"""What EC2 and AWS Health tell of an instance in advance. Pure: each is an event for the bus.

Shapes: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html,
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/rebalance-recommendations.html and
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
    arn = f"arn:aws:health:{region}::event/EC2/{code}/{code}_{start:%Y%m%d%H%M%S}"
    return (
        "aws.health",
        "AWS Health Event",
        list(instance_ids),
        {
            "eventArn": arn,
            "service": "EC2",
            "eventTypeCode": code,
            "eventTypeCategory": "scheduledChange",
            "eventScopeCode": "ACCOUNT_SPECIFIC",
            "communicationId": f"{start:%Y%m%d%H%M%S}-1",
            "startTime": f"{start:%a, %d %b %Y %H:%M:%S} GMT",
            "lastUpdatedTime": f"{start:%a, %d %b %Y %H:%M:%S} GMT",
            "statusCode": "upcoming",
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
