"""Query parameters of social's lists, and the filters and orderings that they select."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models import CharField, DateTimeField, Subquery, UUIDField
from rest_framework import serializers

from accounts.models import User
from movies.dto import FIRST_YEAR, LAST_YEAR
from movies.filters import validate_has_word
from nexus.core.api.cursors import CursorError, decode_cursor, parse_value
from nexus.core.api.fields import IdField, StrictFloatField, StrictIntegerField
from nexus.core.api.query_params import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, PageQuery, QuerySerializer
from nexus.core.db.bounded_page import Key, Ordering
from nexus.core.db.lookups import without_case
from social.models import MAX_SCORE, MIN_SCORE, PlaylistQuerySet, RatingQuerySet
from social.selectors.feed import FEED_START, KINDS, PUBLISHED, FeedPosition


def _build_orderings(*names: str, nullable: Collection[str] = ()) -> dict[str, Ordering]:
    """Return an ascending and, with `-`, a descending ordering for every column.

    Ids have the same direction as the column, so that one index serves both orderings.
    """
    return {
        sign + name: Ordering(
            (
                Key(name, descending=sign == "-", nullable=name in nullable),
                Key("id", descending=sign == "-"),
            )
        )
        for name in names
        for sign in ("", "-")
    }


RATING_ORDERINGS = _build_orderings("created_at", "score", nullable=("score",))
PLAYLIST_ORDERINGS = _build_orderings("created_at", "updated_at", "name", "movie_count")
NEWEST_FIRST = RATING_ORDERINGS["-created_at"]
FOLLOWS_NEWEST_FIRST = Ordering((Key("created_at", descending=True), Key("id", descending=True)))
WATCHLIST_NEWEST_FIRST = Ordering((Key("added_at", descending=True), Key("id", descending=True)))
# Needs Viewing.objects.with_moment(). Viewings on unknown days come last.
VIEWINGS_NEWEST_FIRST = Ordering(
    (
        Key("watched_on", descending=True, nullable=True),
        Key("moment", descending=True),
        Key("id", descending=True),
    )
)
GROUPS_NEWEST_FIRST = Ordering((Key("joined_at", descending=True), Key("id", descending=True)))
BY_POSITION = Ordering((Key("position"),))


class RatingListQuery(PageQuery):
    """Filters, ordering and page of a list of ratings."""

    movie = IdField(required=False)
    min_score = StrictFloatField(required=False, min_value=MIN_SCORE, max_value=MAX_SCORE)
    max_score = StrictFloatField(required=False, min_value=MIN_SCORE, max_value=MAX_SCORE)
    ordering = serializers.ChoiceField(choices=tuple(RATING_ORDERINGS), default="-created_at")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs = super().validate(attrs)
        if attrs.get("min_score", MIN_SCORE) > attrs.get("max_score", MAX_SCORE):
            message = "min_score is greater than max_score, so no rating can match."
            raise serializers.ValidationError({"min_score": [message]})
        return attrs


class ViewingListQuery(PageQuery):
    """Filter and page of the list of viewings."""

    movie = IdField(required=False)


class StatsQuery(QuerySerializer):
    year = StrictIntegerField(
        required=False,
        min_value=FIRST_YEAR,
        max_value=LAST_YEAR,
        help_text="Only ratings and viewings of this year (UTC). Default: all years.",
    )


class ActivityFeedQuery(QuerySerializer):
    """Position and page size of the feed."""

    page_size = StrictIntegerField(
        required=False, default=DEFAULT_PAGE_SIZE, min_value=1, max_value=MAX_PAGE_SIZE
    )
    cursor = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=1000,
        help_text="Not sent or empty for the first page, then as in `next`.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs["after"] = parse_feed_cursor(attrs.get("cursor", ""))
        return attrs


def parse_feed_cursor(cursor: str) -> FeedPosition:
    """Return the position that a cursor names; an empty one names FEED_START. Raises CursorError (400)."""
    if not cursor:
        return FEED_START
    values = decode_cursor(cursor)
    if len(values) != 3 or values[1] not in KINDS:
        raise CursorError
    at, kind, object_id = values
    moment = parse_value(at, DateTimeField())
    if kind == PUBLISHED:
        parse_value(object_id, UUIDField())
    else:
        try:
            parse_value(object_id, CharField())
            IdField().run_validation(object_id)
        except serializers.ValidationError as error:
            raise CursorError from error
    return FeedPosition(moment, kind, object_id)


class ReviewListQuery(PageQuery):
    """Filter and page of a movie's reviews."""

    hide_spoilers = serializers.BooleanField(
        default=False, help_text="Leave out reviews that contain spoilers."
    )


class MemberPlaylistsQuery(PageQuery):
    """Filter, ordering and page of a member's playlists."""

    search = serializers.CharField(
        required=False,
        max_length=200,
        validators=[validate_has_word],
        help_text="Words of the name, in any case.",
    )
    ordering = serializers.ChoiceField(choices=tuple(PLAYLIST_ORDERINGS), default="-created_at")


class PlaylistListQuery(MemberPlaylistsQuery):
    """Filters, ordering and page of the list of playlists."""

    owner = serializers.RegexField(
        r"\A[\w.@+-]+\Z", required=False, max_length=150, help_text="A username, in any case."
    )


def filter_ratings(ratings: RatingQuerySet, params: dict[str, Any]) -> RatingQuerySet:
    """Keep the ratings that match a validated RatingListQuery."""
    lookups = {"movie": "movie_id", "min_score": "score__gte", "max_score": "score__lte"}
    return ratings.filter(**{lookups[name]: params[name] for name in lookups if name in params})


def filter_playlists(playlists: PlaylistQuerySet, params: dict[str, Any]) -> PlaylistQuerySet:
    """Keep the playlists that match a validated PlaylistListQuery."""
    if "owner" in params:
        owner = User.objects.filter(username__lower=without_case(params["owner"]))
        playlists = playlists.filter(owner_id=Subquery(owner.values("id")[:1]))
    if "search" in params:
        playlists = playlists.named_like(params["search"])
    return playlists
