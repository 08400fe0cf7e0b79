"""Query parameters of ratings, reviews and playlists, and what they do to a queryset."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from movies.filters import has_words
from nexus.core.fields import IdField, StrictFloatField
from nexus.core.pagination import Key, Ordering
from nexus.core.query import PageQuery
from social.models import MAX_SCORE, MIN_SCORE, PlaylistQuerySet, RatingQuerySet


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


class ReviewListQuery(PageQuery):
    """Which reviews of a film, and the page."""

    hide_spoilers = serializers.BooleanField(
        default=False, help_text="Leave out reviews marked as telling the plot."
    )


class PlaylistListQuery(PageQuery):
    """What narrows the playlists, their order and the page."""

    owner = serializers.RegexField(
        r"\A[\w.@+-]+\Z", required=False, max_length=150, help_text="A username."
    )
    search = serializers.CharField(
        required=False,
        max_length=200,
        validators=[has_words],
        help_text="Words of the name, in any case.",
    )
    ordering = serializers.ChoiceField(choices=tuple(PLAYLIST_ORDERINGS), default="-created_at")


def filtered_ratings(ratings: RatingQuerySet, params: dict[str, Any]) -> RatingQuerySet:
    """The ratings that pass a validated RatingListQuery."""
    lookups = {"movie": "movie_id", "min_score": "score__gte", "max_score": "score__lte"}
    return ratings.filter(**{lookups[name]: params[name] for name in lookups if name in params})


def filtered_playlists(playlists: PlaylistQuerySet, params: dict[str, Any]) -> PlaylistQuerySet:
    """The playlists that pass a validated PlaylistListQuery."""
    if "owner" in params:
        playlists = playlists.filter(owner__username=params["owner"])
    if "search" in params:
        playlists = playlists.named_like(params["search"])
    return playlists
