"""Who is calling: role sessions, IAM users, and the operator at the keyboard.

Sessions are moto's own (`AssumeRole` through its STS backend), so that a key made here is known
everywhere. A key that nobody issued belongs to the operator, who may do everything; signatures in
headers are not verified. A presigned GetCallerIdentity is verified in full, since that is how a
cluster tells who logs in.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
import threading
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote

from moto.iam.models import iam_backends
from moto.sts.models import AssumedRole, sts_backends

from . import policies
from .config import Config
from .errors import ApiError
from .wire import Signature

PARTITION = "aws"
# Longer than any local world lives: rotation of credentials is Lambda's business on AWS, not ours.
SESSION_SECONDS = 12 * 3600
# aws-iam-authenticator refuses tokens older than this, whatever X-Amz-Expires says.
LONGEST_PRESIGNED_SECONDS = 15 * 60


@dataclass(frozen=True)
class Credentials:
    access_key_id: str
    secret_access_key: str
    session_token: str
    role_arn: str


@dataclass(frozen=True)
class Principal:
    arn: str
    user_id: str
    account: str
    source: str
    """`stepfunctions`, `lambda`, `events` or `user`: what part of the world made the call."""
    role_arn: str | None = None
    """Set for a role session; its policies decide what is allowed."""


class Identities:
    def __init__(self, config: Config):
        self._config = config
        self._lock = threading.Lock()
        self._source_of_key: dict[str, str] = {}
        self._sessions: dict[str, AssumedRole] = {}
        self._reused: dict[tuple[str, str, str], Credentials] = {}

    def trusts(self, role_arn: str, service_principal: str) -> bool:
        """Whether the role exists and its trust policy names this service."""
        role = self.role(role_arn)
        if role is None:
            return False
        document = role.assume_role_policy_document
        document = json.loads(document) if isinstance(document, str) else document
        facts = {"aws:sourceaccount": [self._config.account]}
        request = policies.Request("sts:AssumeRole", None, facts, service_principal)
        return policies.allowed([document], request)

    def role(self, role_arn: str) -> Any | None:
        for role in iam_backends[self._config.account][PARTITION].roles.values():
            if role.arn == role_arn:
                return role
        return None

    def assume(self, role_arn: str, session_name: str, source: str) -> Credentials:
        """A session of the role for one of our services, reused while the world lives."""
        key = (role_arn, session_name, source)
        with self._lock:
            if key not in self._reused:
                session = sts_backends[self._config.account][PARTITION].assume_role(
                    region_name=self._config.region,
                    role_session_name=session_name[:64],
                    role_arn=role_arn,
                    policy="",
                    duration=SESSION_SECONDS,
                    external_id="",
                )
                self._source_of_key[session.access_key_id] = source
                self._sessions[session.access_key_id] = session
                self._reused[key] = Credentials(
                    session.access_key_id,
                    session.secret_access_key,
                    session.session_token,
                    role_arn,
                )
            return self._reused[key]

    def session_principal(self, credentials: Credentials) -> Principal:
        """The principal of a session that `assume` has made."""
        return self.principal(
            Signature(
                credentials.access_key_id,
                self._config.region,
                "sts",
                credentials.session_token,
                False,
            )
        )

    def principal(self, signature: Signature | None) -> Principal:
        """Raises ApiError InvalidClientTokenId when a session key comes with a foreign token."""
        account = self._config.account
        if signature is not None:
            session = self._session(signature.access_key)
            if session is not None:
                if signature.session_token != session.session_token:
                    raise ApiError(
                        "InvalidClientTokenId",
                        "The security token included in the request is invalid.",
                        403,
                    )
                source = self._source_of_key.get(signature.access_key, "user")
                return Principal(session.arn, session.user_id, account, source, session.role_arn)
            user = iam_backends[account][PARTITION].get_user_from_access_key_id(
                signature.access_key
            )
            if user is not None:
                return Principal(user.arn, user.id, account, "user")
        return Principal(
            f"arn:{PARTITION}:iam::{account}:user/operator", "AIDALOCALOPERATOR", account, "user"
        )

    def _session(self, access_key: str) -> AssumedRole | None:
        known = self._sessions.get(access_key)
        if known is None:
            backend = sts_backends[self._config.account][PARTITION]
            known = backend.get_assumed_role_from_access_key(access_key)
            if known is not None:
                self._sessions[access_key] = known
        return known

    def presigned_principal(
        self, signature: Signature, environ: dict[str, Any], now: dt.datetime
    ) -> Principal:
        """The caller of a presigned GET, after checking its signature and its age.

        Errors: ApiError with STS's codes InvalidClientTokenId and SignatureDoesNotMatch.
        """
        session = self._session(signature.access_key)
        if session is None:
            raise ApiError(
                "InvalidClientTokenId",
                "The security token included in the request is invalid.",
                403,
            )
        principal = self.principal(signature)
        verify_presigned(environ, session.secret_access_key, now)
        return principal


def verify_presigned(environ: dict[str, Any], secret: str, now: dt.datetime) -> None:
    """Signature Version 4 in a query string, for services other than S3 (empty body hashed)."""
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    given = query.pop("X-Amz-Signature", "")
    signed_at = dt.datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
    lifetime = min(int(query.get("X-Amz-Expires", "900")), LONGEST_PRESIGNED_SECONDS)
    if now > signed_at + dt.timedelta(seconds=lifetime):
        raise ApiError(
            "SignatureDoesNotMatch",
            f"Signature expired: {query['X-Amz-Date']} is now earlier than "
            f"{(now - dt.timedelta(seconds=lifetime)).strftime('%Y%m%dT%H%M%SZ')}",
            403,
        )
    names = query["X-Amz-SignedHeaders"].split(";")
    headers = "".join(f"{name}:{_header(environ, name)}\n" for name in names)
    encoded = "&".join(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
        for name, value in sorted(query.items())
    )
    canonical = "\n".join(
        [
            environ["REQUEST_METHOD"],
            quote(environ.get("PATH_INFO") or "/", safe="/-_.~"),
            encoded,
            headers,
            query["X-Amz-SignedHeaders"],
            hashlib.sha256(b"").hexdigest(),
        ]
    )
    _, date, region, service, terminator = query["X-Amz-Credential"].split("/")
    scope = f"{date}/{region}/{service}/{terminator}"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{query['X-Amz-Date']}\n{scope}\n{digest}"
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, terminator):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    expected = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, given):
        raise ApiError(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided.",
            403,
        )


def _header(environ: dict[str, Any], name: str) -> str:
    return " ".join(environ.get("HTTP_" + name.upper().replace("-", "_"), "").split())
