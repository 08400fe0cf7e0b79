"""Serializer fields that accept a number only as its plain decimal digits, and unknown fields.

DRF's own fields call int() and float(), which also accept `1_0`, `005`, `١` and `nan`. DRF ignores
fields that a serializer does not have; `find_unknown_fields` finds them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.serializers import BaseSerializer, Field, Serializer
from rest_framework.utils.serializer_helpers import BindingDict

from nexus.core.languages import LanguageTag, find_nearest_languages, parse_language_tag
from nexus.core.validators import validate_line, validate_text

MAX_ID = 2**63 - 1

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})", re.ASCII)
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?", re.ASCII)


class StrictIntegerField(serializers.IntegerField):
    """An integer, or a string of its plain digits; not `true` or `1.0`."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, int) and not isinstance(data, bool):
            return data
        if isinstance(data, str) and _INTEGER.fullmatch(data):
            return int(data)
        raise serializers.ValidationError(self.error_messages["invalid"], code="invalid")


class IdField(StrictIntegerField):
    """A primary key: 1 to 2^63 - 1."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_value=1, max_value=MAX_ID, **kwargs)


class StrictFloatField(serializers.FloatField):
    """A finite number, or a string of its plain decimal digits."""

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, int | float) and not isinstance(data, bool) and abs(data) < 1e15:
            return float(data)
        if isinstance(data, str) and _DECIMAL.fullmatch(data):
            value = float(data)
            if math.isfinite(value):
                return value
        raise serializers.ValidationError(self.error_messages["invalid"], code="invalid")


class StrictCharField(serializers.CharField):
    """A string; DRF's own field accepts numbers too."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class LineField(StrictCharField):
    """One line of text that others see (nexus.core.visible_text)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.validators.append(validate_line)


class TextField(StrictCharField):
    """Text of one or more lines that others see (nexus.core.visible_text)."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.validators.append(validate_text)


class LanguageField(StrictCharField):
    """A known language as a BCP 47 tag; `nexus.core.languages.LanguageTag`, or empty."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=20, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        text = super().to_internal_value(data)
        tag = parse_language_tag(text) if text else LanguageTag()
        if tag is None:
            nearest = ", ".join(find_nearest_languages(text))
            hint = f" Nearest: {nearest}." if nearest else ""
            message = f"Unknown language {text[:20]!r}. Send a tag such as de or pt-BR.{hint}"
            raise serializers.ValidationError(message, code="invalid")
        return tag


class UTCDateTimeField(serializers.DateTimeField):
    """ISO 8601 in UTC with `Z`, to the millisecond."""

    def to_representation(self, value: datetime | None) -> str | None:  # type: ignore[override]
        if value is None:
            return None
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class SharedFieldsSerializer(serializers.Serializer[Any]):
    """A serializer whose instances share their fields, which therefore must not hold request data.

    DRF deep-copies the fields for each instance, which takes longer than validating a query or
    rendering a match score. Not for the body of a PATCH, whose fields depend on `partial`.
    """

    @cached_property
    def fields(self) -> BindingDict:  # type: ignore[override]
        return _build_fields(type(self))


@cache
def _build_fields(serializer: type[serializers.Serializer[Any]]) -> BindingDict:
    fields = BindingDict(serializer())
    for name, field in serializer().get_fields().items():
        fields[name] = field
    return fields


def find_unknown_fields(
    serializer: BaseSerializer[Any], data: Any, *, ignored: Iterable[str] = ()
) -> dict[str, Any]:
    """Return an error for each name in a body that no field has, also in nested objects.

    `ignored` are further names that the body itself may contain.
    """
    if not isinstance(serializer, Serializer) or not isinstance(data, Mapping):
        return {}
    errors: dict[str, Any] = {}
    for name, value in data.items():
        field = serializer.fields.get(name)
        if field is not None:
            if nested := _find_in_field(field, value):
                errors[name] = nested
        elif name not in ignored:
            errors[name] = [make_unknown_field_error(serializer.fields)]
    return errors


def make_unknown_field_error(known: Iterable[str]) -> ErrorDetail:
    """Return the error of a field that is none of these."""
    names = ", ".join(sorted(known))
    hint = f"Use one of: {names}." if names else "Send no body here."
    return ErrorDetail(f"Unknown field. {hint}", "unknown")


def has_localized_texts(serializer: BaseSerializer[Any]) -> bool:
    """Return whether texts in the representation depend on the language of the request.

    The class of the serializer, or of one in it, says so by the attribute `is_localized`.
    """
    child = getattr(serializer, "child", serializer)
    if getattr(child, "is_localized", False):
        return True
    fields = getattr(child, "fields", {}).values()
    return any(has_localized_texts(field) for field in fields if _is_nested(field))


def _is_nested(field: Any) -> bool:
    return isinstance(field, BaseSerializer)


def find_read_only_fields(
    body: type[BaseSerializer[Any]] | None, response: type[BaseSerializer[Any]]
) -> frozenset[str]:
    """Return the fields of a resource that a body may contain although they cannot be written.

    The response is the resource if it has a field of the body, or if no body is needed. Then a client
    may send back what it has read.
    """
    read = frozenset(getattr(response(), "fields", ()))
    if body is None:
        return read
    written = frozenset(getattr(body(), "fields", ()))
    return read - written if read & written else frozenset()


def _find_in_field(field: Field[Any, Any, Any, Any], value: Any) -> dict[str, Any]:
    child: Any = getattr(field, "child", None)
    if child is None or not isinstance(value, list):
        return find_unknown_fields(field, value) if isinstance(field, Serializer) else {}
    errors = {str(place): _find_in_field(child, item) for place, item in enumerate(value)}
    return {place: error for place, error in errors.items() if error}
