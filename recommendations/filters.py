"""Query parameters of the feed and of similar movies."""

from __future__ import annotations

from rest_framework import serializers

from movies.filters import MovieFilters
from nexus.core.api.fields import StrictFloatField
from nexus.core.api.query_params import PageQuery
from nexus.core.db.bounded_page import Key, Ordering

NEWEST_FEEDBACK_FIRST = Ordering((Key("updated_at", descending=True), Key("id", descending=True)))


class FeedQuery(MovieFilters, PageQuery):
    """The catalogue's filters, which apply before the feed is limited, and the feed's own."""

    diversity = StrictFloatField(
        required=False,
        default=0.0,
        min_value=0,
        max_value=1,
        help_text="0: best first. Towards 1: the next movie is less similar to those before it.",
    )
    include_watchlist = serializers.BooleanField(
        required=False,
        default=True,
        help_text="Whether titles on the caller's watchlist may show.",
    )


class SimilarQuery(PageQuery):
    exclude_seen = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Leave out movies that the caller has rated or watched. Needs a token.",
    )
