"""The bearer token of EKS: `k8s-aws-v1.` and a presigned GetCallerIdentity URL, checked as aws-iam-authenticator does.

https://github.com/kubernetes-sigs/aws-iam-authenticator/blob/master/pkg/token/token.go (tokenVerifier.Verify)
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, urlsplit

PREFIX = "k8s-aws-v1."
CLUSTER_HEADER = "x-k8s-aws-id"
LONGEST_TOKEN_BYTES = 4096
# Whatever X-Amz-Expires says: an old token is refused before STS is asked.
LIFETIME = dt.timedelta(minutes=15)
LONGEST_EXPIRES_SECONDS = 900
# Names are compared in lower case. Any other one is refused, so that a URL signed for something else is no login.
ALLOWED_PARAMETERS = {
    "action",
    "version",
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-security-token",
    "x-amz-signature",
    "x-amz-signedheaders",
}


class TokenRefused(Exception):
    """The token is no login; the text says why and never holds any of the token."""


@dataclass(frozen=True)
class PresignedCall:
    query: str
    """The query string byte for byte as it was signed."""
    host: str
    access_key_id: str


def sts_hosts(region: str) -> tuple[str, str]:
    """The region's own STS, and the global one, which old clients sign for."""
    return f"sts.{region}.amazonaws.com", "sts.amazonaws.com"


def read_token(token: str, region: str, now: dt.datetime) -> PresignedCall:
    """The call that STS is to be asked to confirm.

    EKS takes a URL of any region's STS; this world plays one region, so only that one's. `now` is an aware time.
    Raises TokenRefused.
    """
    if len(token.encode()) > LONGEST_TOKEN_BYTES:
        raise TokenRefused(f"token is longer than {LONGEST_TOKEN_BYTES} bytes")
    if not token.startswith(PREFIX):
        raise TokenRefused(f"token does not begin with {PREFIX}")
    url = _decoded(token.removeprefix(PREFIX))
    if url.scheme != "https":
        raise TokenRefused(f"the URL's scheme is {url.scheme!r}, not https")
    if url.netloc not in sts_hosts(region):
        raise TokenRefused(f"the URL's host is {url.netloc!r}, not {' or '.join(sts_hosts(region))}")
    if url.path != "/":
        raise TokenRefused(f"the URL's path is {url.path!r}, not /")
    parameters = _parameters(url.query)
    if parameters.get("action") != "GetCallerIdentity":
        raise TokenRefused(f"the URL's action is {parameters.get('action')!r}, not GetCallerIdentity")
    if CLUSTER_HEADER not in parameters.get("x-amz-signedheaders", "").lower().split(";"):
        raise TokenRefused(f"the header {CLUSTER_HEADER} is not signed")
    _check_age(parameters, now)
    return PresignedCall(url.query, url.netloc, parameters.get("x-amz-credential", "").split("/")[0])


def _decoded(text: str) -> SplitResult:
    # EKS encodes and wants it without padding, and urlsafe_b64decode would skip characters that are not base64.
    if "=" in text:
        raise TokenRefused("the URL is padded base64; it must be unpadded")
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return urlsplit(raw.decode())
    except (binascii.Error, ValueError):
        raise TokenRefused("what follows the prefix is not a base64url-encoded URL") from None


def _parameters(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        lower = name.lower()
        if lower not in ALLOWED_PARAMETERS:
            raise TokenRefused(f"the query parameter {name[:64]!r} is not allowed")
        if lower in found:
            raise TokenRefused(f"the query parameter {name!r} is there twice")
        found[lower] = value
    return found


def _check_age(parameters: dict[str, str], now: dt.datetime) -> None:
    expires = parameters.get("x-amz-expires", "")
    if not expires.isascii() or not expires.isdigit() or int(expires) > LONGEST_EXPIRES_SECONDS:
        raise TokenRefused(f"X-Amz-Expires is {expires[:32]!r}, not 0 to {LONGEST_EXPIRES_SECONDS}")
    date = parameters.get("x-amz-date", "")
    try:
        signed_at = dt.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
    except ValueError:
        raise TokenRefused(f"X-Amz-Date is {date[:32]!r}, not a time like 20260131T235959Z") from None
    if now > signed_at + LIFETIME:
        raise TokenRefused(f"the token expired at {(signed_at + LIFETIME):%Y-%m-%dT%H:%M:%SZ}")
