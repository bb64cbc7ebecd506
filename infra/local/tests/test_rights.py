"""The rights that nothing uses: found in what roles may do, against what was done."""

from __future__ import annotations

import json
from pathlib import Path

import aws_support  # noqa: F401  (puts the package on the path)
import pytest
from rights import aws, kubernetes

RULES = """
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: tidegate-drain-cache}
rules:
  - {apiGroups: [""], resources: [nodes], verbs: [list, patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: tidegate-drain-cache, namespace: alluxio}
rules:
  - {apiGroups: [""], resources: [configmaps], resourceNames: [rate], verbs: [create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: tidegate-drain-cache, namespace: alluxio}
"""


@pytest.fixture
def rights(tmp_path: Path) -> list[kubernetes.Right]:
    function = tmp_path / "functions" / "drain-cache"
    function.mkdir(parents=True)
    (function / "rbac.yaml").write_text(RULES)
    return kubernetes.granted(tmp_path)


def request(verb: str, resource: str, name: str = "", namespace: str = "", **more) -> str:
    about = {"resource": resource, "name": name, "namespace": namespace}
    event = {
        "verb": verb,
        "user": {"groups": ["tidegate:drain-cache", "system:authenticated"]},
        "objectRef": {key: value for key, value in about.items() if value},
        "annotations": {"authorization.k8s.io/decision": "allow"},
    }
    return json.dumps(event | more)


def test_each_verb_on_each_object_that_a_rule_names_is_a_right(rights):
    assert [str(right) for right in rights] == [
        "drain-cache: list nodes",
        "drain-cache: patch nodes",
        "drain-cache: create configmaps rate in alluxio",
    ]


def test_a_right_is_used_by_a_request_of_its_function_that_was_allowed(rights):
    uses = kubernetes.used([request("list", "nodes")])
    assert [right.verb for right in kubernetes.unused(rights, uses)] == ["patch", "create"]
    forbidden = {"annotations": {"authorization.k8s.io/decision": "forbid"}}
    of_another = {"user": {"groups": ["tidegate:evict-pods"]}}
    for other in (forbidden, of_another):
        uses = kubernetes.used([request("list", "nodes", **other)])
        assert kubernetes.unused(rights, uses) == rights


def test_a_patch_that_made_its_object_needs_the_right_to_create_it(rights):
    there = kubernetes.used([request("patch", "configmaps", "rate", "alluxio")])
    assert len(kubernetes.unused(rights, there)) == 3
    made = request("patch", "configmaps", "rate", "alluxio", responseStatus={"code": 201})
    assert [right.verb for right in kubernetes.unused(rights, kubernetes.used([made]))] == ["list", "patch"]


def test_a_right_on_one_object_is_not_used_by_a_request_for_another_or_elsewhere(rights):
    for name, namespace in (("other", "alluxio"), ("rate", "default")):
        uses = kubernetes.used([request("create", "configmaps", name, namespace)])
        assert len(kubernetes.unused(rights, uses)) == 3


def call(role: str, action: str, status: int = 200) -> str:
    principal = f"arn:aws:sts::123456789012:assumed-role/tidegate-{role}-0123456789AB/session"
    return json.dumps({"principal": principal, "service": "lambda", "action": action, "status": status})


def test_an_action_is_used_by_a_call_of_its_role_that_was_not_denied():
    rights = [aws.Right("NodeJoinRole", "CallItsFunctions", "lambda:InvokeFunction")]
    assert aws.unused(rights, aws.used([call("NodeJoinRole", "Invoke")])) == []
    assert aws.unused(rights, aws.used([call("NodeJoinRole", "Invoke", 400)])) == []
    for other in (call("NodeJoinRole", "Invoke", 403), call("NodeDrainRole", "Invoke"), call("NodeJoinRole", "GetFunction")):
        assert aws.unused(rights, aws.used([other])) == rights


def test_the_policies_beside_the_functions_and_in_the_template_are_both_read():
    rights = aws.granted(Path(__file__).resolve().parents[3])
    actions = {(right.role, right.action) for right in rights}
    assert ("ResolveNodeRole", "ec2:DescribeInstances") in actions
    assert ("NodeDrainRole", "autoscaling:CompleteLifecycleAction") in actions
