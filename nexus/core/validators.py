"""Validators of text and URLs that members show to others, for models, forms and serializers."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator

from nexus.core.visible_text import (
    describe_character,
    find_invisible,
    find_url_problem,
    has_visible,
)

_is_https_url = URLValidator(schemes=["https"])


def validate_line(value: str) -> None:
    """Raise ValidationError unless the value is one line of plain text."""
    _validate_visible(value, is_line=True)


def validate_text(value: str) -> None:
    """Raise ValidationError unless the value is plain text, which may have several lines."""
    _validate_visible(value, is_line=False)


def validate_public_url(value: str) -> None:
    """Raise ValidationError unless the value is an https URL without credentials and markup."""
    problem = find_url_problem(value)
    if problem is not None:
        raise ValidationError(problem, code="invalid")
    try:
        _is_https_url(value)
    except ValidationError:
        raise ValidationError("Use an https URL.", code="invalid") from None


def _validate_visible(value: str, *, is_line: bool) -> None:
    char = find_invisible(value, is_line=is_line)
    if char is not None and char in "\t\n\r":
        raise ValidationError("Write this in one line, without tabs.", code="invisible_character")
    if char is not None:
        message = f"Remove the invisible character {describe_character(char)}."
        raise ValidationError(message, code="invisible_character")
    if value and not has_visible(value):
        raise ValidationError("Write at least one visible character.", code="no_visible_character")
