"""Logs, alarms, dashboards, parameters."""

from __future__ import annotations

from typing import Any

from .base import Context, Handler, Made, handler, number, tags, truth


def _apply_log_group(properties: dict[str, Any], known: Made | None, context: Context) -> Made:
    client = context.client("logs")
    name = properties.get("LogGroupName") or context.name(512)
    if known is None or known.reference != name:
        groups = client.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        # A function that ran before its stack was deployed has made its group already.
        if not any(group["logGroupName"] == name for group in groups):
            client.create_log_group(
                logGroupName=name, tags={tag["Key"]: tag["Value"] for tag in tags(properties)}
            )
    days = properties.get("RetentionInDays")
    if days is not None:
        client.put_retention_policy(logGroupName=name, retentionInDays=number(days))
    account, region = context.config.account, context.config.region
    arn = f"arn:aws:logs:{region}:{account}:log-group:{name}:*"
    return Made("AWS::Logs::LogGroup", name, {"Arn": arn}, properties)


def _delete_log_group(made: Made, context: Context) -> None:
    context.client("logs").delete_log_group(logGroupName=made.reference)


_ALARM = (
    "AlarmDescription ActionsEnabled OKActions AlarmActions InsufficientDataActions MetricName "
    "Namespace Statistic ExtendedStatistic Dimensions Period Unit EvaluationPeriods "
    "DatapointsToAlarm Threshold ComparisonOperator TreatMissingData Metrics"
)
_WHOLE = {"Period", "EvaluationPeriods", "DatapointsToAlarm"}


def _apply_alarm(properties: dict[str, Any], known: Made | None, context: Context) -> Made:
    name = properties.get("AlarmName") or context.name(255)
    settings = {key: properties[key] for key in _ALARM.split() if key in properties}
    for key in _WHOLE & set(settings):
        settings[key] = number(settings[key])
    if "Threshold" in settings:
        settings["Threshold"] = float(settings["Threshold"])
    if "ActionsEnabled" in settings:
        settings["ActionsEnabled"] = truth(settings["ActionsEnabled"])
    context.client("cloudwatch").put_metric_alarm(AlarmName=name, **settings)
    arn = f"arn:aws:cloudwatch:{context.config.region}:{context.config.account}:alarm:{name}"
    return Made("AWS::CloudWatch::Alarm", name, {"Arn": arn}, properties)


def _delete_alarm(made: Made, context: Context) -> None:
    context.client("cloudwatch").delete_alarms(AlarmNames=[made.reference])


def _apply_dashboard(properties: dict[str, Any], known: Made | None, context: Context) -> Made:
    name = properties.get("DashboardName") or context.name(255)
    context.client("cloudwatch").put_dashboard(
        DashboardName=name, DashboardBody=properties["DashboardBody"]
    )
    return Made("AWS::CloudWatch::Dashboard", name, {}, properties)


def _delete_dashboard(made: Made, context: Context) -> None:
    context.client("cloudwatch").delete_dashboards(DashboardNames=[made.reference])


def _apply_parameter(properties: dict[str, Any], known: Made | None, context: Context) -> Made:
    name = properties.get("Name") or context.name(512)
    context.client("ssm").put_parameter(
        Name=name,
        Type=properties["Type"],
        Value=properties["Value"],
        Description=properties.get("Description", ""),
        Overwrite=True,
    )
    attributes = {"Type": properties["Type"], "Value": properties["Value"]}
    return Made("AWS::SSM::Parameter", name, attributes, properties)


def _delete_parameter(made: Made, context: Context) -> None:
    context.client("ssm").delete_parameter(Name=made.reference)


HANDLERS: dict[str, Handler] = {
    "AWS::Logs::LogGroup": handler(
        "LogGroupName RetentionInDays KmsKeyId LogGroupClass Tags",
        _apply_log_group,
        _delete_log_group,
    ),
    "AWS::CloudWatch::Alarm": handler(f"AlarmName {_ALARM} Tags", _apply_alarm, _delete_alarm),
    "AWS::CloudWatch::Dashboard": handler(
        "DashboardName DashboardBody", _apply_dashboard, _delete_dashboard
    ),
    "AWS::SSM::Parameter": handler(
        "Name Type Value Description Tags", _apply_parameter, _delete_parameter
    ),
}
