"""Query parameters of ratings, reviews and playlists, and what they do to a queryset."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import Subquery
from rest_framework import serializers

from accounts.models import User
from movies.dto import FIRST_YEAR, LAST_YEAR
from movies.filters import validate_has_word
from nexus.core.api.fields import IdField, StrictFloatField, StrictIntegerField
from nexus.core.api.pagination import bad_cursor, decode_cursor
from nexus.core.api.query_params import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, PageQuery, QuerySerializer
from nexus.core.db.bounded_page import Key, Ordering
from nexus.core.db.lookups import without_case
from social.models import MAX_SCORE, MIN_SCORE, PlaylistQuerySet, RatingQuerySet
from social.selectors.feed import FEED_START, KINDS, PUBLISHED, FeedPosition


def _both_ways(*names: str) -> dict[str, Ordering]:
    """Each name ascending and, with `-`, descending; ids run along, so one index serves both."""
    return {
        sign + name: Ordering((Key(name, bool(sign)), Key("id", bool(sign))))
        for name in names
        for sign in ("", "-")
    }


RATING_ORDERINGS = _both_ways("created_at", "score")
PLAYLIST_ORDERINGS = _both_ways("created_at", "updated_at", "name", "movie_count")
NEWEST_FIRST = RATING_ORDERINGS["-created_at"]
FOLLOWS_NEWEST_FIRST = Ordering((Key("created_at", True), Key("id", True)))
WATCHLIST_NEWEST_FIRST = Ordering((Key("added_at", True), Key("id", True)))
VIEWINGS_NEWEST_FIRST = Ordering((Key("watched_at", True), Key("id", True)))
BY_POSITION = Ordering((Key("position"),))


class RatingListQuery(PageQuery):
    """What narrows the caller's ratings, their order and the page."""

    movie = IdField(required=False)
    min_score = StrictFloatField(required=False, min_value=MIN_SCORE, max_value=MAX_SCORE)
    max_score = StrictFloatField(required=False, min_value=MIN_SCORE, max_value=MAX_SCORE)
    ordering = serializers.ChoiceField(choices=tuple(RATING_ORDERINGS), default="-created_at")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        if attrs.get("min_score", MIN_SCORE) > attrs.get("max_score", MAX_SCORE):
            message = "min_score is above max_score: nothing can match."
            raise serializers.ValidationError({"min_score": [message]})
        return attrs


class ViewingListQuery(PageQuery):
    """Of which film, and the page."""

    movie = IdField(required=False)


class StatsQuery(QuerySerializer):
    year = StrictIntegerField(
        required=False,
        min_value=FIRST_YEAR,
        max_value=LAST_YEAR,
        help_text="A year in review, in UTC; all years without.",
    )


class FeedQuery(QuerySerializer):
    """Where in the feed, and how much of it."""

    page_size = StrictIntegerField(
        required=False, default=DEFAULT_PAGE_SIZE, min_value=1, max_value=MAX_PAGE_SIZE
    )
    cursor = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=1000,
        help_text="Empty or left out to begin, then as `next` has it.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs["after"] = parse_feed_cursor(attrs)
        return attrs


def parse_feed_cursor(query: dict[str, Any]) -> FeedPosition:
    """Return the position that the cursor names, or FEED_START. Raises ValidationError (400)."""
    position = decode_cursor(query)
    if position is None:
        return FEED_START
    if len(position) != 3 or not all(isinstance(part, str) for part in position):
        raise bad_cursor()
    at, kind, key = position
    try:
        moment = datetime.fromisoformat(at).astimezone(UTC)
        object_id = str(UUID(key) if kind == PUBLISHED else IdField().run_validation(key))
    except (ValueError, OverflowError, serializers.ValidationError) as error:
        raise bad_cursor() from error
    if kind not in KINDS:
        raise bad_cursor()
    return FeedPosition(moment, kind, object_id)


class ReviewListQuery(PageQuery):
    """Which reviews of a film, and the page."""

    hide_spoilers = serializers.BooleanField(
        default=False, help_text="Leave out reviews marked as telling the plot."
    )


class MemberPlaylistsQuery(PageQuery):
    """What narrows a member's playlists, their order and the page."""

    search = serializers.CharField(
        required=False,
        max_length=200,
        validators=[validate_has_word],
        help_text="Words of the name, in any case.",
    )
    ordering = serializers.ChoiceField(choices=tuple(PLAYLIST_ORDERINGS), default="-created_at")


class PlaylistListQuery(MemberPlaylistsQuery):
    """What narrows the playlists, their order and the page."""

    owner = serializers.RegexField(
        r"\A[\w.@+-]+\Z", required=False, max_length=150, help_text="A username, in any case."
    )


def filter_ratings(ratings: RatingQuerySet, params: dict[str, Any]) -> RatingQuerySet:
    """The ratings that pass a validated RatingListQuery."""
    lookups = {"movie": "movie_id", "min_score": "score__gte", "max_score": "score__lte"}
    return ratings.filter(**{lookups[name]: params[name] for name in lookups if name in params})


def filter_playlists(playlists: PlaylistQuerySet, params: dict[str, Any]) -> PlaylistQuerySet:
    """The playlists that pass a validated PlaylistListQuery."""
    if "owner" in params:
        owner = User.objects.filter(username__lower=without_case(params["owner"]))
        playlists = playlists.filter(owner_id=Subquery(owner.values("id")[:1]))
    if "search" in params:
        playlists = playlists.named_like(params["search"])
    return playlists
