"""The sentences that AWS writes into scaling activities."""

from __future__ import annotations

import datetime as dt

HEARTBEAT_EXPIRED = "Heartbeat Timeout Expired"
HOOK_DELETED = "Lifecycle Hook Deleted"
ABANDONED_BY_CALL = "Lifecycle Action Completed with ABANDON Result"


def stamp(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def launch_description(instance_id: str) -> str:
    return f"Launching a new EC2 instance: {instance_id}"


def terminate_description(instance_id: str) -> str:
    return f"Terminating EC2 instance: {instance_id}"


def desired_by_user(now: dt.datetime, before: int, after: int) -> str:
    return (
        f"At {stamp(now)} a user request explicitly set group desired capacity changing the "
        f"desired capacity from {before} to {after}."
    )


def group_created(now: dt.datetime, minimum: int, maximum: int, desired: int) -> str:
    return (
        f"At {stamp(now)} a user request created an AutoScalingGroup changing the desired "
        f"capacity from 0 to {desired}."
    )


def constraints_updated(
    now: dt.datetime, minimum: int, maximum: int, before: int, after: int
) -> str:
    return (
        f"At {stamp(now)} a user request update of AutoScalingGroup constraints to min: {minimum}, "
        f"max: {maximum}, desired: {after} changing the desired capacity from {before} to {after}."
    )


def launched(now: dt.datetime, cause: str, before: int, after: int) -> str:
    return _join(
        cause,
        f"At {stamp(now)} an instance was started in response to a difference between desired and "
        f"actual capacity, increasing the capacity from {before} to {after}.",
    )


def launched_for_unhealthy(now: dt.datetime) -> str:
    return (
        f"At {stamp(now)} an instance was launched in response to an unhealthy instance needing "
        "to be replaced."
    )


def selected(now: dt.datetime, cause: str, before: int, after: int, instance_id: str) -> str:
    return _join(
        cause,
        f"At {stamp(now)} an instance was taken out of service in response to a difference between "
        f"desired and actual capacity, shrinking the capacity from {before} to {after}.",
        f"At {stamp(now)} instance {instance_id} was selected for termination.",
    )


def by_user(now: dt.datetime, instance_id: str, before: int | None, after: int | None) -> str:
    text = (
        f"At {stamp(now)} instance {instance_id} was taken out of service in response to a user "
        "request"
    )
    return (
        f"{text}."
        if before is None
        else f"{text}, shrinking the capacity from {before} to {after}."
    )


def unhealthy(now: dt.datetime, by_user_report: bool) -> str:
    if by_user_report:
        return (
            f"At {stamp(now)} an instance was taken out of service in response to a user "
            "health-check."
        )
    return (
        f"At {stamp(now)} an instance was taken out of service in response to an EC2 health check "
        "indicating it has been terminated or stopped."
    )


def abandoned(token: str, reason: str) -> str:
    return (
        "Instance failed to complete user's Lifecycle Action: Lifecycle Action with token "
        f"{token} was abandoned: {reason}"
    )


def after_abandoned_launch(now: dt.datetime) -> str:
    return (
        f"At {stamp(now)} an instance was taken out of service in response to a launch lifecycle "
        "action being abandoned."
    )


def _join(*sentences: str) -> str:
    return "  ".join(sentence for sentence in sentences if sentence)
