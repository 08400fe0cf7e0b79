"""Query parameters as a serializer: unknown names are refused, and each one is named in its 400."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.request import Request

from nexus.core.api.fields import SharedFieldsSerializer, StrictIntegerField

DEFAULT_PAGE_SIZE = 20
MAX_PAGE_SIZE = 100
MAX_LIST_DEPTH = 10_000


class QuerySerializer(SharedFieldsSerializer):
    """The query parameters of one call."""

    #: Names that may stand more than once; their fields take a list.
    repeatable: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, request: Request) -> dict[str, Any]:
        """The validated parameters. Raises ValidationError (400) that names each wrong one."""
        fields = cls().fields
        errors: dict[str, Any] = {}
        data: dict[str, Any] = {}
        for name, values in request.query_params.lists():
            if name not in fields:
                known = ", ".join(sorted(fields)) or "none"
                errors[name] = [ErrorDetail(f"Unknown parameter. Known here: {known}.", "unknown")]
            elif len(values) > 1 and name not in cls.repeatable:
                errors[name] = [ErrorDetail("This parameter may stand once.", "repeated")]
            else:
                data[name] = values if name in cls.repeatable else values[0]
        query = cls(data=data)
        if not query.is_valid():
            errors = {**query.errors, **errors}
        if errors:
            raise ValidationError(errors)
        validated: dict[str, Any] = query.validated_data
        return validated


class NoQuery(QuerySerializer):
    """For calls that take no query parameter."""


class PageQuery(QuerySerializer):
    """Which part of a list."""

    page = StrictIntegerField(
        required=False,
        min_value=1,
        help_text=f"From 1; a list reaches {MAX_LIST_DEPTH} rows deep by page.",
    )
    page_size = StrictIntegerField(
        required=False, default=DEFAULT_PAGE_SIZE, min_value=1, max_value=MAX_PAGE_SIZE
    )
    cursor = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=1000,
        help_text="Empty to begin, then as `next` has it: reads to any depth.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "page" in attrs and "cursor" in attrs:
            raise ValidationError({"cursor": ["Use either page or cursor."]})
        if attrs.get("page", 1) * attrs["page_size"] > MAX_LIST_DEPTH:
            message = (
                f"A list reaches {MAX_LIST_DEPTH} rows deep by page. For deeper reads use cursor=."
            )
            raise ValidationError({"page": [message]}, code="too_deep")
        return attrs
