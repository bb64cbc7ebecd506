"""Which bearer tokens are a login to EKS, and which are refused, each for its own reason."""

from __future__ import annotations

import base64
import datetime as dt

import pytest
from world.kubernetes.token import PREFIX, TokenRefused, read_token

REGION = "us-west-2"
NOW = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.UTC)
PARAMETERS = {
    "Action": "GetCallerIdentity",
    "Version": "2011-06-15",
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": "ASIAEXAMPLE%2F20260301%2Fus-west-2%2Fsts%2Faws4_request",
    "X-Amz-Date": "20260301T115500Z",
    "X-Amz-Expires": "60",
    "X-Amz-Security-Token": "FwoG",
    "X-Amz-SignedHeaders": "host%3Bx-k8s-aws-id",
    "X-Amz-Signature": "00ff",
}


def token(base: str = "https://sts.us-west-2.amazonaws.com/", more: str = "", **changes: str | None) -> str:
    parameters = PARAMETERS | {name.replace("_", "-"): value for name, value in changes.items()}
    query = "&".join(f"{name}={value}" for name, value in parameters.items() if value is not None)
    return PREFIX + base64.urlsafe_b64encode(f"{base}?{query}{more}".encode()).rstrip(b"=").decode()


def refusal(text: str) -> str:
    with pytest.raises(TokenRefused) as refused:
        read_token(text, REGION, NOW)
    return str(refused.value)


def test_a_fresh_token_is_a_call_to_sts_with_its_query_as_it_was_signed():
    call = read_token(token(), REGION, NOW)
    assert call.host == "sts.us-west-2.amazonaws.com"
    assert call.access_key_id == "ASIAEXAMPLE"
    assert "X-Amz-SignedHeaders=host%3Bx-k8s-aws-id" in call.query


def test_a_token_signed_for_the_global_sts_is_one_too():
    assert read_token(token("https://sts.amazonaws.com/"), REGION, NOW).host == "sts.amazonaws.com"


def test_a_token_lives_for_fifteen_minutes_whatever_it_says_of_its_expiry():
    assert read_token(token(X_Amz_Date="20260301T114501Z", X_Amz_Expires="60"), REGION, NOW)
    assert "expired at 2026-03-01T11:59:59Z" in refusal(token(X_Amz_Date="20260301T114459Z", X_Amz_Expires="900"))


@pytest.mark.parametrize("parameter", ["x-id=GetCallerIdentity", "X-Amz-User-Agent=sdk", "Extra="])
def test_a_query_parameter_beyond_the_nine_is_refused(parameter: str):
    assert f"{parameter.split('=')[0]!r} is not allowed" in refusal(token(more=f"&{parameter}"))


def test_a_query_parameter_given_twice_is_refused():
    assert "twice" in refusal(token(more="&action=GetCallerIdentity"))


@pytest.mark.parametrize(
    ("base", "part"),
    [
        ("http://sts.us-west-2.amazonaws.com/", "scheme"),
        ("https://sts.us-west-2.amazonaws.com.example.org/", "host"),
        ("https://sts.eu-west-1.amazonaws.com/", "host"),
        ("https://user@sts.us-west-2.amazonaws.com/", "host"),
        ("https://sts.us-west-2.amazonaws.com:8443/", "host"),
        ("https://sts.us-west-2.amazonaws.com/other", "path"),
        ("https://sts.us-west-2.amazonaws.com", "path"),
    ],
)
def test_a_url_to_anywhere_else_is_refused(base: str, part: str):
    assert f"the URL's {part} is" in refusal(token(base))


@pytest.mark.parametrize("action", ["AssumeRole", "getcalleridentity", None])
def test_another_action_is_refused(action: str | None):
    assert "not GetCallerIdentity" in refusal(token(Action=action))


@pytest.mark.parametrize("headers", ["host", "host%3Bx-k8s-aws-identity", None])
def test_a_token_that_does_not_sign_the_clusters_name_is_refused(headers: str | None):
    assert refusal(token(X_Amz_SignedHeaders=headers)) == "the header x-k8s-aws-id is not signed"


@pytest.mark.parametrize("expires", ["901", "-1", "", "1m", None])
def test_an_expiry_that_sts_would_not_sign_is_refused(expires: str | None):
    assert "X-Amz-Expires is" in refusal(token(X_Amz_Expires=expires))


@pytest.mark.parametrize("date", ["2026-03-01T11:55:00Z", "yesterday", None])
def test_a_token_without_a_readable_date_is_refused(date: str | None):
    assert "X-Amz-Date is" in refusal(token(X_Amz_Date=date))


def test_a_token_longer_than_4096_bytes_is_refused_before_it_is_read():
    assert "longer than 4096 bytes" in refusal(token(X_Amz_Security_Token="A" * 4000))


@pytest.mark.parametrize("text", ["", "k8s-aws-v2.aHR0cHM6Ly8", "eyJhbGciOiJSUzI1NiJ9.e30.sig"])
def test_what_does_not_begin_as_a_token_of_eks_is_refused(text: str):
    assert "does not begin with k8s-aws-v1." in refusal(text)


@pytest.mark.parametrize("text", ["%%%", "aHR0cHM6Ly8=", "_w"])
def test_what_is_not_unpadded_base64_of_text_is_refused(text: str):
    assert "base64" in refusal(PREFIX + text)


def test_no_refusal_repeats_the_signature():
    for refused in (token(Action="AssumeRole"), token(more="&Extra=1"), token("https://example.org/")):
        assert "00ff" not in refusal(refused)
