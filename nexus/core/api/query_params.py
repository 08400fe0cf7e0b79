"""Query parameters as serializers that reject unknown and repeated names."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request

from nexus.core.api.fields import (
    IdField,
    LanguageField,
    SharedFieldsSerializer,
    StrictIntegerField,
)
from nexus.core.db.bounded_page import MAX_LIST_DEPTH

DEFAULT_PAGE_SIZE = 20
MAX_PAGE_SIZE = 100
# Different values of one filter. Repeats of a value do not count.
MAX_FILTER_VALUES = 20
MAX_IDS = 100


class DistinctListField(serializers.ListField):
    """The values of a parameter that may be repeated: each different value once, in their order.

    Raises ValidationError if more than `max_values` differ, so that a query string cannot ask for an
    unlimited number of conditions.
    """

    def __init__(self, *, max_values: int = MAX_FILTER_VALUES, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_values = max_values

    def to_internal_value(self, data: Any) -> list[Any]:
        values = list(dict.fromkeys(super().to_internal_value(data)))
        if len(values) > self.max_values:
            message = f"{len(values)} different values. Send at most {self.max_values}."
            raise ValidationError(message, code="max_length")
        return values

    def run_child_validation(self, data: Any) -> list[Any]:
        # Errors name the parameter; DRF's would name the position of the value in it.
        return [self.child.run_validation(value) for value in data]


class CommaSeparatedField(DistinctListField):
    """Different values in one parameter, separated by commas; errors quote the value that is wrong."""

    def to_internal_value(self, data: Any) -> list[Any]:
        return super().to_internal_value(data.split(",") if isinstance(data, str) else data)

    def run_child_validation(self, data: Any) -> list[Any]:
        return [self._validate_value(value) for value in data]

    def _validate_value(self, value: Any) -> Any:
        try:
            return self.child.run_validation(value)
        except ValidationError as error:
            details: Any = error.detail
            messages = [ErrorDetail(f"{value!r}: {each}", each.code) for each in details]
            raise ValidationError(messages) from error


class IdListField(CommaSeparatedField):
    """At most MAX_IDS ids: `1,2,3`."""

    child = IdField(
        error_messages={"invalid": "This is not an id. Send ids separated by commas: 1,2,3."}
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_values=MAX_IDS, **kwargs)


class QuerySerializer(SharedFieldsSerializer):
    """The query parameters of one action."""

    #: Names that may be repeated; their fields take a list.
    repeatable: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, request: Request) -> dict[str, Any]:
        """Return the validated parameters. Raises ValidationError (400) that names each bad one."""
        fields = cls().fields
        errors: dict[str, Any] = {}
        data: dict[str, Any] = {}
        for name, values in request.query_params.lists():
            if name not in fields:
                known = f"Use one of: {', '.join(sorted(fields))}." if fields else "Send none here."
                errors[name] = [ErrorDetail(f"Unknown parameter. {known}", "unknown")]
            elif len(values) > 1 and name not in cls.repeatable:
                errors[name] = [ErrorDetail("Repeated parameter. Send it once.", "repeated")]
            else:
                data[name] = values if name in cls.repeatable else values[0]
        query = cls(data=data)
        if not query.is_valid():
            errors = {**query.errors, **errors}
        if errors:
            raise ValidationError(errors)
        validated: dict[str, Any] = query.validated_data
        return validated


class LanguageQuery(QuerySerializer):
    """The language of titles, overviews, taglines and genre names.

    The contract of each action that shows movies has it (nexus.core.api.views).
    """

    language = LanguageField(
        required=False,
        help_text="BCP 47: `de`, `pt-BR`. Titles, overviews, taglines and names of genres are in this "
        "language where TMDb has them, else in English; `Content-Language` says what was served. "
        "Without it responses about the caller are in the language of the profile, and others in "
        "English.",
    )


class NoQuery(QuerySerializer):
    """For actions without query parameters."""


class PageQuery(QuerySerializer):
    """Which page of a list: by number, or by cursor."""

    page = StrictIntegerField(
        required=False,
        min_value=1,
        help_text=f"From 1. Pages reach the first {MAX_LIST_DEPTH:,} rows; use `cursor` beyond.",
    )
    page_size = StrictIntegerField(
        required=False, default=DEFAULT_PAGE_SIZE, min_value=1, max_value=MAX_PAGE_SIZE
    )
    cursor = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=1000,
        help_text="Reads a list of any length: empty to start, then from `next`.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "page" in attrs and "cursor" in attrs:
            raise ValidationError({"cursor": ["Send either page or cursor, not both."]})
        if attrs.get("page", 1) * attrs["page_size"] > MAX_LIST_DEPTH:
            message = f"Pages reach the first {MAX_LIST_DEPTH:,} rows. Use cursor= to read further."
            raise ValidationError({"page": [message]}, code="too_deep")
        return attrs
