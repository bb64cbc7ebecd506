"""Lambda, Step Functions, Auto Scaling."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path
from typing import Any

from ..errors import TemplateError
from ..source import UPLOADED
from .base import Context, Handler, Made, handler, lowered, number, present, tags, truth

_SUBSTITUTION = re.compile(r"\$\{([A-Za-z0-9_.]+)\}")


def _archive(properties: dict[str, Any], context: Context) -> bytes:
    """The deployment package: the directory of CodeUri, stored as it is."""
    code = properties["Code"]
    if code.get("S3Bucket") != UPLOADED:
        raise TemplateError(f"{context.logical_id}: CodeUri must be a local directory here")
    path = context.files[code["S3Key"]]
    if path.is_file():
        return path.read_bytes()
    files = [file for file in sorted(path.rglob("*")) if file.is_file()] if path.exists() else []
    if not files:
        raise TemplateError(f"{context.logical_id}: {path} holds no code; build it first")
    buffer = io.BytesIO()
    # Stored, not compressed: it is unpacked again in a moment, on this machine.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            # A fixed time makes the digest depend on the content alone.
            entry = zipfile.ZipInfo(str(file.relative_to(path)))
            entry.external_attr = 0o755 << 16
            archive.writestr(entry, file.read_bytes())
    return buffer.getvalue()


def _apply_function(properties: dict[str, Any], known: Made | None, context: Context) -> Made:
    client = context.client("lambda")
    name = properties.get("FunctionName") or context.name(64)
    settings = present(
        Role=properties["Role"],
        Handler=properties.get("Handler"),
        Runtime=properties.get("Runtime"),
        Description=properties.get("Description"),
        Timeout=number(properties.get("Timeout", 3)),
        MemorySize=number(properties.get("MemorySize", 128)),
        Environment=_environment(properties),
        TracingConfig=properties.get("TracingConfig"),
        LoggingConfig=properties.get("LoggingConfig"),
        EphemeralStorage=properties.get("EphemeralStorage"),
        VpcConfig=properties.get("VpcConfig"),
    )
    package = _archive(properties, context)
    if known is not None and known.reference == name:
        client.update_function_code(FunctionName=name, ZipFile=package)
        function = client.update_function_configuration(FunctionName=name, **settings)
    else:
        function = client.create_function(
            FunctionName=name,
            Code={"ZipFile": package},
            Architectures=properties.get("Architectures", ["x86_64"]),
            Tags={tag["Key"]: tag["Value"] for tag in tags(properties)},
            **settings,
        )
    reserved = properties.get("ReservedConcurrentExecutions")
    if reserved is not None:
        client.put_function_concurrency(
            FunctionName=name, ReservedConcurrentExecutions=number(reserved)
        )
    elif known is not None and "ReservedConcurrentExecutions" in known.properties:
        client.delete_function_concurrency(FunctionName=name)
    return Made("AWS::Lambda::Function", name, {"Arn": function["FunctionArn"]}, properties)


def _environment(properties: dict[str, Any]) -> dict[str, Any] | None:
    variables = properties.get("Environment", {}).get("Variables")
    if variables is None:
        return None
    texts = {k: str(v).lower() if isinstance(v, bool) else str(v) for k, v in variables.items()}
    return {"Variables": texts}


def _delete_function(made: Made, context: Context) -> None:
    context.client("lambda").delete_function(FunctionName=made.reference)


def _apply_permission(properties: dict[str, Any], known: Made | None, context: Context) -> Made:
    client = context.client("lambda")
    statement = context.logical_id
    if known is not None:
        _delete_permission(known, context)
    client.add_permission(
        FunctionName=properties["FunctionName"],
        StatementId=statement,
        Action=properties["Action"],
        Principal=properties["Principal"],
        **present(
            SourceArn=properties.get("SourceArn"), SourceAccount=properties.get("SourceAccount")
        ),
    )
    return Made("AWS::Lambda::Permission", statement, {}, properties)


def _delete_permission(made: Made, context: Context) -> None:
    context.client("lambda").remove_permission(
        FunctionName=made.properties["FunctionName"], StatementId=made.reference
    )


def _definition(properties: dict[str, Any], context: Context) -> str:
    location = properties.get("DefinitionS3Location")
    if location is not None:
        if location.get("Bucket") != UPLOADED:
            raise TemplateError(f"{context.logical_id}: DefinitionUri must be a local file here")
        path: Path = context.files[location["Key"]]
        if not path.is_file():
            raise TemplateError(f"{context.logical_id}: {path} does not exist")
        text = path.read_text()
    else:
        text = properties["DefinitionString"]
    values = {k: str(v) for k, v in properties.get("DefinitionSubstitutions", {}).items()}
    left = sorted({name for name in _SUBSTITUTION.findall(text) if name not in values})
    if left:
        raise TemplateError(f"{context.logical_id}: DefinitionSubstitutions lack {', '.join(left)}")
    return _SUBSTITUTION.sub(lambda match: values[match.group(1)], text)


def _apply_machine(properties: dict[str, Any], known: Made | None, context: Context) -> Made:
    client = context.client("stepfunctions")
    name = properties.get("StateMachineName") or context.name(80)
    settings = present(
        definition=_definition(properties, context),
        roleArn=properties["RoleArn"],
        loggingConfiguration=lowered(properties.get("LoggingConfiguration")),
        tracingConfiguration=lowered(properties.get("TracingConfiguration")),
    )
    if known is not None and known.attributes["Name"] == name:
        arn = known.reference
        client.update_state_machine(stateMachineArn=arn, **settings)
    else:
        arn = client.create_state_machine(
            name=name,
            type=properties.get("StateMachineType", "STANDARD"),
            tags=[{"key": tag["Key"], "value": tag["Value"]} for tag in tags(properties)],
            **settings,
        )["stateMachineArn"]
    return Made("AWS::StepFunctions::StateMachine", arn, {"Arn": arn, "Name": name}, properties)


def _delete_machine(made: Made, context: Context) -> None:
    context.client("stepfunctions").delete_state_machine(stateMachineArn=made.reference)


def _apply_hook(properties: dict[str, Any], known: Made | None, context: Context) -> Made:
    name = properties.get("LifecycleHookName") or context.name(255)
    if known is not None and known.reference != name:
        _delete_hook(known, context)
    heartbeat = properties.get("HeartbeatTimeout")
    context.client("autoscaling").put_lifecycle_hook(
        AutoScalingGroupName=properties["AutoScalingGroupName"],
        LifecycleHookName=name,
        LifecycleTransition=properties["LifecycleTransition"],
        **present(
            HeartbeatTimeout=None if heartbeat is None else number(heartbeat),
            DefaultResult=properties.get("DefaultResult"),
            NotificationMetadata=properties.get("NotificationMetadata"),
            NotificationTargetARN=properties.get("NotificationTargetARN"),
            RoleARN=properties.get("RoleARN"),
        ),
    )
    return Made("AWS::AutoScaling::LifecycleHook", name, {}, properties)


def _delete_hook(made: Made, context: Context) -> None:
    context.client("autoscaling").delete_lifecycle_hook(
        AutoScalingGroupName=made.properties["AutoScalingGroupName"],
        LifecycleHookName=made.reference,
    )


_GROUP_SETTINGS = (
    "LaunchTemplate MixedInstancesPolicy NewInstancesProtectedFromScaleIn CapacityRebalance "
    "HealthCheckType TerminationPolicies InstanceLifecyclePolicy"
)


def _apply_group(properties: dict[str, Any], known: Made | None, context: Context) -> Made:
    client = context.client("autoscaling")
    name = properties.get("AutoScalingGroupName") or context.name(255)
    settings = {key: properties[key] for key in _GROUP_SETTINGS.split() if key in properties}
    for key in ("NewInstancesProtectedFromScaleIn", "CapacityRebalance"):
        if key in settings:
            settings[key] = truth(settings[key])
    for key in ("MinSize", "MaxSize", "DesiredCapacity"):
        if key in properties:
            settings[key] = number(properties[key])
    if "VPCZoneIdentifier" in properties:
        settings["VPCZoneIdentifier"] = ",".join(properties["VPCZoneIdentifier"])
    if "AvailabilityZones" in properties:
        settings["AvailabilityZones"] = properties["AvailabilityZones"]
    labels = [
        {
            "Key": tag["Key"],
            "Value": str(tag["Value"]),
            "PropagateAtLaunch": truth(tag.get("PropagateAtLaunch", False)),
            "ResourceId": name,
            "ResourceType": "auto-scaling-group",
        }
        for tag in properties.get("Tags", [])
    ]
    if known is not None and known.reference == name:
        client.update_auto_scaling_group(AutoScalingGroupName=name, **settings)
        if labels:
            client.create_or_update_tags(Tags=labels)
    else:
        client.create_auto_scaling_group(
            AutoScalingGroupName=name,
            Tags=labels,
            LifecycleHookSpecificationList=properties.get("LifecycleHookSpecificationList", []),
            **settings,
        )
    found = client.describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    arn = found["AutoScalingGroups"][0]["AutoScalingGroupARN"]
    attributes = {"AutoScalingGroupARN": arn}
    return Made("AWS::AutoScaling::AutoScalingGroup", name, attributes, properties)


def _delete_group(made: Made, context: Context) -> None:
    context.client("autoscaling").delete_auto_scaling_group(
        AutoScalingGroupName=made.reference, ForceDelete=True
    )


def _apply_launch_template(
    properties: dict[str, Any], known: Made | None, context: Context
) -> Made:
    client = context.client("ec2")
    data = properties["LaunchTemplateData"]
    if known is None:
        name = properties.get("LaunchTemplateName") or context.name(128)
        template = client.create_launch_template(LaunchTemplateName=name, LaunchTemplateData=data)
        identifier, version = template["LaunchTemplate"]["LaunchTemplateId"], "1"
    else:
        identifier, version = known.reference, known.attributes["LatestVersionNumber"]
        if data != known.properties["LaunchTemplateData"]:
            made = client.create_launch_template_version(
                LaunchTemplateId=identifier, LaunchTemplateData=data
            )
            version = str(made["LaunchTemplateVersion"]["VersionNumber"])
    attributes = {
        "LaunchTemplateId": identifier,
        "LatestVersionNumber": version,
        "DefaultVersionNumber": "1",
    }
    return Made("AWS::EC2::LaunchTemplate", identifier, attributes, properties)


def _delete_launch_template(made: Made, context: Context) -> None:
    context.client("ec2").delete_launch_template(LaunchTemplateId=made.reference)


HANDLERS: dict[str, Handler] = {
    "AWS::Lambda::Function": handler(
        "FunctionName Code Role Handler Runtime Description Timeout MemorySize Environment "
        "TracingConfig LoggingConfig EphemeralStorage Architectures Tags PackageType "
        "ReservedConcurrentExecutions VpcConfig",
        _apply_function,
        _delete_function,
    ),
    "AWS::Lambda::Permission": handler(
        "FunctionName Action Principal SourceArn SourceAccount",
        _apply_permission,
        _delete_permission,
    ),
    "AWS::StepFunctions::StateMachine": handler(
        "StateMachineName StateMachineType DefinitionS3Location DefinitionString "
        "DefinitionSubstitutions RoleArn LoggingConfiguration TracingConfiguration Tags",
        _apply_machine,
        _delete_machine,
    ),
    "AWS::AutoScaling::LifecycleHook": handler(
        "LifecycleHookName AutoScalingGroupName LifecycleTransition HeartbeatTimeout "
        "DefaultResult NotificationMetadata NotificationTargetARN RoleARN",
        _apply_hook,
        _delete_hook,
    ),
    "AWS::AutoScaling::AutoScalingGroup": handler(
        f"AutoScalingGroupName MinSize MaxSize DesiredCapacity VPCZoneIdentifier "
        f"AvailabilityZones Tags LifecycleHookSpecificationList {_GROUP_SETTINGS}",
        _apply_group,
        _delete_group,
    ),
    "AWS::EC2::LaunchTemplate": handler(
        "LaunchTemplateName LaunchTemplateData", _apply_launch_template, _delete_launch_template
    ),
}
