"""What can be wrong with a template."""

from __future__ import annotations

from ..errors import ApiError


class TemplateError(ApiError):
    """Says which part of the template is wrong, in the words of the person who wrote it."""

    def __init__(self, message: str):
        super().__init__("TemplateError", message, 400)
