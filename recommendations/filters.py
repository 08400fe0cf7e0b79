"""Query parameters of the feed and of similar movies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rest_framework import serializers

from accounts.models import User
from movies.fields import RegionField
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
APPENDABLE = ("reviews", "similar", "state", "videos", "watch_providers")

NEWEST_FEEDBACK_FIRST = Ordering((Key("updated_at", descending=True), Key("id", descending=True)))


class OwnServicesFilters(MovieFilters):
    """The catalogue's filters and, instead of `provider`, the services of the caller's profile."""

    on_my_services = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Only movies that one of the `providers` of the caller's profile offers in its "
        "`region`, or in that of the query. Data by JustWatch.",
    )

    def validate_offers(self, attrs: dict[str, Any]) -> None:
        if not attrs["on_my_services"]:
            super().validate_offers(attrs)
        elif "provider" in attrs:
            message = "Send either provider or on_my_services, not both."
            raise serializers.ValidationError({"provider": [message]})


class FeedQuery(OwnServicesFilters, PageQuery):
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


def add_own_services(query: dict[str, Any], user: User) -> dict[str, Any]:
    """Return a query with `on_my_services` with the user's providers and region instead.

    Raises ValidationError if the profile has no providers, or neither it nor the query a region.
    """
    return _add_services(query, user, user.providers, whose="Your profile has")


def add_group_services(
    query: dict[str, Any], user: User, members: Sequence[User]
) -> dict[str, Any]:
    """Return the query with the providers of all members, in the region of the user.

    Raises ValidationError if no member has providers, or neither the query nor the user a region.
    """
    providers = sorted({provider for member in members for provider in member.providers})
    return _add_services(query, user, providers, whose="The profiles of the group have")


def _add_services(
    query: dict[str, Any], user: User, providers: Sequence[int], *, whose: str
) -> dict[str, Any]:
    region = query.get("region") or user.region
    if not region:
        message = "Your profile has no region. Set region with PATCH /profiles/me/ first."
        raise serializers.ValidationError({"on_my_services": [message]})
    if not providers:
        message = f"{whose} no providers. Set providers with PATCH /profiles/me/ first."
        raise serializers.ValidationError({"on_my_services": [message]})
    return {**query, "provider": providers, "region": region}


class GroupFeedQuery(OwnServicesFilters, PageQuery):
    """The catalogue's filters without those that name a certain movie.

    By these a member could ask whether somebody in the group has seen it.
    """

    # DRF removes a declared field whose name is None in a subclass.
    ids = search = title = tmdb_id = imdb_id = None  # type: ignore[assignment]
    on_my_services = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Only movies that one of the `providers` of any member's profile offers in the "
        "`region` of the caller's, or in that of the query. Data by JustWatch.",
    )
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
        "the first page of each, `videos`, `watch_providers` in `region`, and `state`, which needs a "
        "token.",
    )
    region = RegionField(
        required=False,
        help_text="Of `append=watch_providers`; by default the region of the caller's profile.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        if "region" in attrs and "watch_providers" not in attrs["append"]:
            message = "region is for append=watch_providers. Add that, or leave region out."
            raise serializers.ValidationError({"region": [message]})
        return attrs
