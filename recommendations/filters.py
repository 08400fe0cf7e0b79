"""Query parameters of the feed and of similar movies."""

from __future__ import annotations

from rest_framework import serializers

from movies.filters import MovieFilters
from nexus.core.api.fields import StrictFloatField
from nexus.core.api.query_params import (
    CommaSeparatedField,
    IdListField,
    PageQuery,
    QuerySerializer,
)
from nexus.core.db.bounded_page import Key, Ordering

#: What the detail of a movie may contain besides the movie.
APPENDABLE = ("reviews", "similar", "state")

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


class GroupFeedQuery(MovieFilters, PageQuery):
    """The catalogue's filters without those that name a certain movie.

    By these a member could ask whether somebody in the group has seen it.
    """

    # DRF removes a declared field whose name is None in a subclass.
    ids = search = title = tmdb_id = imdb_id = None  # type: ignore[assignment]
    include_seen = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Whether movies that a member has rated or watched may show.",
    )


class SimilarQuery(PageQuery):
    exclude_seen = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Leave out movies that the caller has rated or watched. Needs a token.",
    )


class MovieStatesQuery(QuerySerializer):
    ids = IdListField(help_text="At most 100 ids of movies, separated by commas.")


class MovieDetailQuery(QuerySerializer):
    append = CommaSeparatedField(
        required=False,
        default=list,
        child=serializers.ChoiceField(
            choices=APPENDABLE,
            error_messages={
                "invalid_choice": f"This cannot be appended. Use some of: {', '.join(APPENDABLE)}."
            },
        ),
        help_text="What to add in the same response, separated by commas: `similar` and `reviews`, "
        "the first page of each, and `state`, which needs a token.",
    )
