"""Cursors: the position of a row in a list, as opaque text.

A cursor is the JSON array of the values that order the list, in URL-safe base64. What comes back from
a client is parsed into the types of those columns, and accepted only if this service would write it
exactly so. Everything else is a 400 with the code `bad_cursor`.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import (
    CharField,
    DateField,
    DateTimeField,
    Field,
    FloatField,
    GeneratedField,
    IntegerField,
    QuerySet,
    TextField,
    UUIDField,
)
from rest_framework.exceptions import ErrorDetail, ValidationError

from nexus.core.db.bounded_page import Ordering, to_json

MAX_OFFSET = 2**31


class CursorError(ValidationError):
    """The 400 for a cursor that this list has not made."""

    problem_code = "bad_cursor"

    def __init__(self) -> None:
        message = "This cursor was not made by this list. Begin with cursor=."
        super().__init__({"cursor": [ErrorDetail(message, self.problem_code)]})


def encode_cursor(values: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> list[Any]:
    """Return the values of a cursor as plain JSON data. Raises CursorError."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        values = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
        # PostgreSQL has no text with a NUL or a lone surrogate, and JSON has no NaN.
        text = json.dumps(values, allow_nan=False, ensure_ascii=False)
        text.encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise CursorError from error
    if not isinstance(values, list) or "\\u0000" in text:
        raise CursorError
    return values


def decode_offset(cursor: str) -> int:
    """Return the offset of a cursor of a list in memory. Raises CursorError."""
    values = decode_cursor(cursor)
    if len(values) != 1 or type(values[0]) is not int or not 0 <= values[0] < MAX_OFFSET:
        raise CursorError
    return values[0]


def decode_position(cursor: str, queryset: QuerySet[Any], ordering: Ordering) -> list[Any]:
    """Return the position of a cursor, in the types of the columns. Raises CursorError."""
    values = decode_cursor(cursor)
    if len(values) != len(ordering.keys):
        raise CursorError
    return [
        None
        if value is None and key.nullable
        else parse_value(value, _find_field(queryset, key.name))
        for key, value in zip(ordering.keys, values, strict=True)
    ]


def parse_value(value: Any, field: Field[Any, Any]) -> Any:
    """Return the value of a column that `to_json` has made this value of. Raises CursorError."""
    try:
        parsed = _get_parser(field)(value)
        field.run_validators(parsed)
    except (
        ValueError,
        TypeError,
        AttributeError,
        OverflowError,
        DjangoValidationError,
    ) as error:
        raise CursorError from error
    if to_json(parsed) != value or type(to_json(parsed)) is not type(value):
        raise CursorError
    return parsed


def parse_moment(text: str) -> datetime:
    """Return the moment in UTC. Raises ValueError or OverflowError."""
    return datetime.fromisoformat(text).astimezone(UTC)


def _find_field(queryset: QuerySet[Any], name: str) -> Field[Any, Any]:
    source: Any = queryset.query.annotations.get(name) or queryset.model._meta.get_field(name)
    is_computed = name in queryset.query.annotations or isinstance(source, GeneratedField)
    field: Field[Any, Any] = source.output_field if is_computed else source
    return field


def _parse_float(value: Any) -> float:
    if not math.isfinite(value):
        raise ValueError(value)
    return float(value)


_PARSERS: dict[type[Field[Any, Any]], Callable[[Any], Any]] = {
    # Django's DateTimeField is a DateField, so it comes first.
    DateTimeField: parse_moment,
    DateField: date.fromisoformat,
    UUIDField: UUID,
    FloatField: _parse_float,
    IntegerField: int,
    CharField: str,
    TextField: str,
}


def _get_parser(field: Field[Any, Any]) -> Callable[[Any], Any]:
    for kind, parser in _PARSERS.items():
        if isinstance(field, kind):
            return parser
    raise NotImplementedError(f"Lists cannot be ordered by a {type(field).__name__}.")
