"""Query parameters of the TMDb endpoints."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from movies.dto import FIRST_YEAR, LAST_YEAR
from nexus.core.api.fields import LanguageField, StrictIntegerField
from nexus.core.api.query_params import PageQuery, QuerySerializer
from tmdb.trending import TREND_COLUMNS

MAX_QUERY_LENGTH = 200
# TMDb serves no page beyond this one.
LAST_PAGE = 500


class TmdbSearchQuery(QuerySerializer):
    """Search words as `query` or `q`, filters and the page."""

    query = serializers.CharField(
        required=False, max_length=MAX_QUERY_LENGTH, help_text="Words of the title; this or `q`."
    )
    q = serializers.CharField(
        required=False, max_length=MAX_QUERY_LENGTH, help_text="Short for `query`."
    )
    page = StrictIntegerField(
        required=False,
        default=1,
        min_value=1,
        max_value=LAST_PAGE,
        help_text="A page has 20 movies.",
    )
    year = StrictIntegerField(required=False, min_value=FIRST_YEAR, max_value=LAST_YEAR)
    language = LanguageField(
        required=False,
        default="en-US",
        help_text="Language of title and overview, like `de` or `pt-BR`.",
    )
    include_adult = serializers.BooleanField(required=False, default=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "query" in attrs and "q" in attrs:
            raise serializers.ValidationError({"q": ["Use either query or q, not both."]})
        if "q" in attrs:
            attrs["query"] = attrs.pop("q")
        if "query" not in attrs:
            missing = {"query": ["This parameter is required."]}
            raise serializers.ValidationError(missing, code="required")
        return attrs


class TrendingQuery(PageQuery):
    """The period and the page."""

    window = serializers.ChoiceField(choices=tuple(TREND_COLUMNS), default="day")
