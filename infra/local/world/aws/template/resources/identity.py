"""IAM and EKS access."""

from __future__ import annotations

import json
from typing import Any

from .base import Context, Handler, Made, handler, present, tags


def _text(document: Any) -> str:
    if isinstance(document, str):
        return document
    # SAM's own policies state no version, which AWS accepts and moto refuses.
    return json.dumps({"Version": "2012-10-17"} | document)


def _apply_role(properties: dict[str, Any], known: Made | None, context: Context) -> Made:
    iam = context.client("iam")
    name = properties.get("RoleName") or context.name(64)
    trust = _text(properties["AssumeRolePolicyDocument"])
    if known is not None and known.reference == name:
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust)
    else:
        iam.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=trust,
            Tags=tags(properties),
            **present(
                Path=properties.get("Path"),
                Description=properties.get("Description"),
                MaxSessionDuration=properties.get("MaxSessionDuration"),
                PermissionsBoundary=properties.get("PermissionsBoundary"),
            ),
        )
    wanted = {policy["PolicyName"]: policy for policy in properties.get("Policies", [])}
    for old in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        # Policies of AWS::IAM::Policy resources are on the role too, and not ours to remove.
        if known is not None and old in known.attributes["_policies"] and old not in wanted:
            iam.delete_role_policy(RoleName=name, PolicyName=old)
    for policy in wanted.values():
        iam.put_role_policy(
            RoleName=name,
            PolicyName=policy["PolicyName"],
            PolicyDocument=_text(policy["PolicyDocument"]),
        )
    attached = {
        policy["PolicyArn"]
        for policy in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    }
    arns = set(properties.get("ManagedPolicyArns", []))
    for arn in arns - attached:
        iam.attach_role_policy(RoleName=name, PolicyArn=arn)
    if known is not None:
        for arn in (attached - arns) & set(known.properties.get("ManagedPolicyArns", [])):
            iam.detach_role_policy(RoleName=name, PolicyArn=arn)
    role = iam.get_role(RoleName=name)["Role"]
    return Made(
        "AWS::IAM::Role",
        name,
        {"Arn": role["Arn"], "RoleId": role["RoleId"], "_policies": list(wanted)},
        properties,
    )


def _delete_role(made: Made, context: Context) -> None:
    iam = context.client("iam")
    for name in iam.list_role_policies(RoleName=made.reference)["PolicyNames"]:
        iam.delete_role_policy(RoleName=made.reference, PolicyName=name)
    attached = iam.list_attached_role_policies(RoleName=made.reference)["AttachedPolicies"]
    for policy in attached:
        iam.detach_role_policy(RoleName=made.reference, PolicyArn=policy["PolicyArn"])
    iam.delete_role(RoleName=made.reference)


def _apply_policy(properties: dict[str, Any], known: Made | None, context: Context) -> Made:
    iam = context.client("iam")
    for role in properties.get("Roles", []):
        iam.put_role_policy(
            RoleName=role,
            PolicyName=properties["PolicyName"],
            PolicyDocument=_text(properties["PolicyDocument"]),
        )
    if known is not None:
        for role in set(known.properties.get("Roles", [])) - set(properties.get("Roles", [])):
            iam.delete_role_policy(RoleName=role, PolicyName=known.properties["PolicyName"])
    return Made("AWS::IAM::Policy", context.name(64), {}, properties)


def _delete_policy(made: Made, context: Context) -> None:
    for role in made.properties.get("Roles", []):
        context.client("iam").delete_role_policy(
            RoleName=role, PolicyName=made.properties["PolicyName"]
        )


def _apply_managed_policy(properties: dict[str, Any], known: Made | None, context: Context) -> Made:
    iam = context.client("iam")
    name = properties.get("ManagedPolicyName") or context.name(128)
    document = _text(properties["PolicyDocument"])
    if known is None:
        arn = iam.create_policy(
            PolicyName=name,
            PolicyDocument=document,
            **present(Path=properties.get("Path"), Description=properties.get("Description")),
        )["Policy"]["Arn"]
    else:
        arn = known.reference
        for version in iam.list_policy_versions(PolicyArn=arn)["Versions"]:
            if not version["IsDefaultVersion"]:
                iam.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=document, SetAsDefault=True)
    for role in properties.get("Roles", []):
        iam.attach_role_policy(RoleName=role, PolicyArn=arn)
    return Made("AWS::IAM::ManagedPolicy", arn, {"PolicyArn": arn}, properties)


def _delete_managed_policy(made: Made, context: Context) -> None:
    iam = context.client("iam")
    for role in made.properties.get("Roles", []):
        iam.detach_role_policy(RoleName=role, PolicyArn=made.reference)
    iam.delete_policy(PolicyArn=made.reference)


def _apply_access_entry(properties: dict[str, Any], known: Made | None, context: Context) -> Made:
    eks = context.client("eks")
    key = {
        "clusterName": properties["ClusterName"],
        "principalArn": properties["PrincipalArn"],
    }
    if known is not None and known.attributes["_key"] != key:
        eks.delete_access_entry(**known.attributes["_key"])
        known = None
    details = present(
        kubernetesGroups=properties.get("KubernetesGroups"), username=properties.get("Username")
    )
    if known is None:
        more = present(type=properties.get("Type"))
        entry = eks.create_access_entry(**key, **details, **more)["accessEntry"]
    else:
        entry = eks.update_access_entry(**key, **details)["accessEntry"]
    for policy in properties.get("AccessPolicies", []):
        scope = policy["AccessScope"]
        eks.associate_access_policy(
            **key,
            policyArn=policy["PolicyArn"],
            accessScope=present(type=scope["Type"], namespaces=scope.get("Namespaces")),
        )
    arn = entry["accessEntryArn"]
    return Made("AWS::EKS::AccessEntry", arn, {"AccessEntryArn": arn, "_key": key}, properties)


def _delete_access_entry(made: Made, context: Context) -> None:
    context.client("eks").delete_access_entry(**made.attributes["_key"])


HANDLERS: dict[str, Handler] = {
    "AWS::IAM::Role": handler(
        "RoleName AssumeRolePolicyDocument Path Description MaxSessionDuration "
        "PermissionsBoundary Policies ManagedPolicyArns Tags",
        _apply_role,
        _delete_role,
    ),
    "AWS::IAM::Policy": handler("PolicyName PolicyDocument Roles", _apply_policy, _delete_policy),
    "AWS::IAM::ManagedPolicy": handler(
        "ManagedPolicyName PolicyDocument Path Description Roles",
        _apply_managed_policy,
        _delete_managed_policy,
    ),
    "AWS::EKS::AccessEntry": handler(
        "ClusterName PrincipalArn KubernetesGroups Username Type AccessPolicies Tags",
        _apply_access_entry,
        _delete_access_entry,
    ),
}
