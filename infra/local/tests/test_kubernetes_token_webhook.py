"""The token webhook against the world's AWS: who a token is, and who is nobody."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import Credentials
from kubernetes_login import CLUSTER, REGION, client, make_entry, make_role, token, token_of
from world.kubernetes import TokenWebhook


@pytest.fixture(scope="module")
def webhook(aws: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TokenWebhook]:
    webhook = TokenWebhook(aws, CLUSTER, REGION, tmp_path_factory.mktemp("webhook") / "logs" / "token-webhook.log")
    webhook.start()
    yield webhook
    webhook.stop()


def review(webhook: TokenWebhook, bearer: str) -> dict[str, Any]:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": bearer}}
    request = urllib.request.Request(webhook.url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        document = json.load(answer)
    assert (document["apiVersion"], document["kind"]) == ("authentication.k8s.io/v1", "TokenReview")
    return document["status"]


def last_line(webhook: TokenWebhook) -> str:
    return webhook.log_path.read_text().splitlines()[-1]


def test_a_session_of_a_role_is_the_user_and_the_groups_of_the_roles_access_entry(aws: str, webhook: TokenWebhook):
    role = make_role(aws, "label-node")
    make_entry(aws, role, ["tidegate:label-node"])
    status = review(webhook, token(aws, role, "i-0abc"))
    assert status["authenticated"] is True
    assert status["user"]["username"] == "arn:aws:sts::123456789012:assumed-role/label-node/i-0abc"
    assert status["user"]["groups"] == ["tidegate:label-node"]
    assert status["user"]["extra"]["canonicalArn"] == ["arn:aws:iam::123456789012:role/label-node"]
    assert status["user"]["extra"]["sessionName"] == ["i-0abc"]


def test_a_role_with_a_path_is_found_though_sts_leaves_the_path_out(aws: str, webhook: TokenWebhook):
    role = make_role(aws, "pathed", "/service/tidegate/")
    make_entry(aws, role, ["tidegate:pathed"])
    assert review(webhook, token(aws, role))["user"]["groups"] == ["tidegate:pathed"]


def test_a_session_that_signed_for_the_global_sts_is_known_as_well(aws: str, webhook: TokenWebhook):
    role = make_role(aws, "old-client")
    make_entry(aws, role, ["tidegate:old-client"])
    assert review(webhook, token(aws, role, region="aws-global"))["user"]["groups"] == ["tidegate:old-client"]


def test_an_access_entrys_own_user_name_has_its_placeholders_filled_in(aws: str, webhook: TokenWebhook):
    role = make_role(aws, "named")
    make_entry(aws, role, [], username="{{AccountID}}:{{SessionName}}")
    assert review(webhook, token(aws, role, "me@home"))["user"]["username"] == "123456789012:me-home"


def test_the_cluster_admin_policy_makes_its_role_an_administrator_and_in_one_namespace_it_does_not(aws: str, webhook: TokenWebhook):
    policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
    for name, scope, groups in (
        ("admin", {"type": "cluster"}, ["system:masters"]),
        ("local-admin", {"type": "namespace", "namespaces": ["alluxio"]}, []),
    ):
        role = make_role(aws, name)
        make_entry(aws, role, [])
        client(aws, "eks").associate_access_policy(clusterName=CLUSTER, principalArn=role, policyArn=policy, accessScope=scope)
        assert review(webhook, token(aws, role))["user"].get("groups", []) == groups, name


def test_a_role_without_an_access_entry_is_nobody(aws: str, webhook: TokenWebhook):
    role = make_role(aws, "stranger")
    assert review(webhook, token(aws, role)) == {"authenticated": False}
    assert "role/stranger has no access entry in tidegate" in last_line(webhook)


def test_a_role_whose_access_entry_was_taken_away_is_nobody_again(aws: str, webhook: TokenWebhook):
    role = make_role(aws, "leaver")
    make_entry(aws, role, ["tidegate:leaver"])
    bearer = token(aws, role)
    assert review(webhook, bearer)["authenticated"] is True
    client(aws, "eks").delete_access_entry(clusterName=CLUSTER, principalArn=role)
    assert review(webhook, bearer) == {"authenticated": False}


def test_a_token_signed_for_another_cluster_is_nobody(aws: str, webhook: TokenWebhook):
    role = make_role(aws, "elsewhere")
    make_entry(aws, role, ["tidegate:elsewhere"])
    assert review(webhook, token(aws, role, cluster="another")) == {"authenticated": False}
    assert "SignatureDoesNotMatch" in last_line(webhook)


def test_a_token_signed_with_a_made_up_key_is_nobody(webhook: TokenWebhook):
    assert review(webhook, token_of(Credentials("ASIAMADEUP", "secret", "token"))) == {"authenticated": False}
    assert "InvalidClientTokenId" in last_line(webhook)


def test_a_refused_tokens_text_is_never_logged(webhook: TokenWebhook):
    assert review(webhook, "k8s-aws-v1.c2VjcmV0") == {"authenticated": False}
    assert "refused" in last_line(webhook)
    assert "c2VjcmV0" not in last_line(webhook)


def test_nobody_is_anybody_while_sts_is_away(tmp_path: Path):
    # Port 9 (discard) of loopback: nothing listens there.
    webhook = TokenWebhook("http://127.0.0.1:9", CLUSTER, REGION, tmp_path / "token-webhook.log")
    webhook.start()
    try:
        assert review(webhook, token_of(Credentials("ASIA", "secret", "token"))) == {"authenticated": False}
        assert "STS cannot be asked" in last_line(webhook)
    finally:
        webhook.stop()


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"kind":"Pod"}'])
def test_what_is_not_a_token_review_is_a_bad_request(webhook: TokenWebhook, body: bytes):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(webhook.url, body), timeout=5)
    assert refused.value.code == 400
