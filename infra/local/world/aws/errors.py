"""Errors that the played services answer with; `wire` turns them into each protocol's form."""

from __future__ import annotations

from moto.core.exceptions import ServiceException


class ApiError(ServiceException):
    """An error code and message as the API reference names them.

    `status` is the HTTP status where the service model does not say it (unmodelled codes such as
    ValidationError are 400 everywhere).
    """

    def __init__(self, code: str, message: str, status: int | None = None, **members: object):
        super().__init__(code, message)
        self.status = status
        for name, value in members.items():
            setattr(self, name, value)


def validation_error(message: str) -> ApiError:
    """The query protocol's ValidationError (Auto Scaling, STS)."""
    return ApiError("ValidationError", message, 400)


class NotPlayed(ApiError):
    """An operation that this endpoint does not play. Never a silent success."""

    def __init__(self, service: str, operation: str):
        super().__init__(
            "NotPlayedHere",
            f"{service}:{operation} is not played by the local AWS endpoint",
            501,
        )
