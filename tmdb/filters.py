"""The query parameters of TMDb's calls."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from movies.dto import FIRST_YEAR, LAST_YEAR
from nexus.core.api.fields import StrictIntegerField
from nexus.core.api.query_params import PageQuery, QuerySerializer
from tmdb.selectors import TREND_COLUMNS

MAX_QUERY = 200
# TMDb gives no page beyond.
LAST_PAGE = 500


class TmdbSearchQuery(QuerySerializer):
    """What to look for at TMDb, under `query` or `q`, and which page of it."""

    query = serializers.CharField(
        required=False, max_length=MAX_QUERY, help_text="Words of the title; this or `q`."
    )
    q = serializers.CharField(
        required=False, max_length=MAX_QUERY, help_text="The same as `query`, shorter to type."
    )
    page = StrictIntegerField(
        required=False, default=1, min_value=1, max_value=LAST_PAGE, help_text="Of 20 films each."
    )
    year = StrictIntegerField(required=False, min_value=FIRST_YEAR, max_value=LAST_YEAR)
    language = serializers.RegexField(
        r"\A[A-Za-z]{2}(-[A-Za-z]{2})?\Z",
        required=False,
        default="en-US",
        help_text="Of title and overview, like `en` or `en-US`.",
    )
    include_adult = serializers.BooleanField(required=False, default=False)

    def validate_language(self, value: str) -> str:
        language, _, country = value.partition("-")
        return f"{language.lower()}-{country.upper()}" if country else language.lower()

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "query" in attrs and "q" in attrs:
            raise serializers.ValidationError({"q": ["Use either query or q."]})
        if "q" in attrs:
            attrs["query"] = attrs.pop("q")
        if "query" not in attrs:
            missing = {"query": ["This parameter is required."]}
            raise serializers.ValidationError(missing, code="required")
        return attrs


class TrendingQuery(PageQuery):
    """Over which time, and which part of the list."""

    window = serializers.ChoiceField(choices=tuple(TREND_COLUMNS), default="day")
