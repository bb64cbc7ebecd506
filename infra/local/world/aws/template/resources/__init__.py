"""The resource types that the reader knows. A type that is not here is an error, not a silence."""

from __future__ import annotations

from . import compute, identity, messaging, operating
from .base import Handler

HANDLERS: dict[str, Handler] = {
    **identity.HANDLERS,
    **compute.HANDLERS,
    **messaging.HANDLERS,
    **operating.HANDLERS,
}
