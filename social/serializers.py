"""Ratings, reviews, playlists and statistics as clients send and see them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from movies.serializers import MovieSummarySerializer
from nexus.core.fields import IdField, PlainCharField, StrictFloatField, UTCDateTimeField
from social.models import (
    MAX_DESCRIPTION_LENGTH,
    MAX_NAME_LENGTH,
    MAX_NOTE_LENGTH,
    MAX_REVIEW_LENGTH,
    MAX_SCORE,
    MIN_SCORE,
    Playlist,
)
from social.services import MAX_ITEMS

MAX_IDS = 100


class ScoreField(StrictFloatField):
    """Stars: 1 to 5 in halves."""

    default_error_messages = {"half_stars": "Stars come in halves: 1, 1.5, 2 and so on to 5."}

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("help_text", "Stars, 1 to 5 in halves.")
        super().__init__(min_value=MIN_SCORE, max_value=MAX_SCORE, **kwargs)

    def to_internal_value(self, data: Any) -> float:
        score = super().to_internal_value(data)
        if (score * 2) % 1:
            self.fail("half_stars")
        return score


def movie_ids_field(*, max_length: int = MAX_IDS, **kwargs: Any) -> serializers.ListField:
    return serializers.ListField(child=IdField(), max_length=max_length, **kwargs)


class RatingEditSerializer(serializers.Serializer[Any]):
    """A rating as PUT and PATCH take it; what is left out stays as it is."""

    movie = IdField(required=False, help_text="The film it is of; a rating stays with its film.")
    score = ScoreField()
    review = PlainCharField(required=False, allow_blank=True, max_length=MAX_REVIEW_LENGTH)
    contains_spoilers = serializers.BooleanField(required=False)


class RatingWriteSerializer(RatingEditSerializer):
    """A rating as POST takes it."""

    movie = IdField(help_text="A film's id.")


class ReviewSerializer(serializers.Serializer[Any]):
    """A rating with its words, as the public sees it."""

    id = serializers.IntegerField()
    user = serializers.CharField(source="user.username")
    score = serializers.FloatField()
    review = serializers.CharField()
    contains_spoilers = serializers.BooleanField()
    created_at = UTCDateTimeField()
    updated_at = UTCDateTimeField()


class RatingSerializer(serializers.Serializer[Any]):
    """A rating as its member sees it."""

    id = serializers.IntegerField()
    movie = MovieSummarySerializer()
    score = serializers.FloatField()
    review = serializers.CharField()
    contains_spoilers = serializers.BooleanField()
    created_at = UTCDateTimeField()
    updated_at = UTCDateTimeField()


class PlaylistWriteSerializer(serializers.Serializer[Any]):
    """A playlist as POST, PUT and PATCH take it."""

    name = PlainCharField(max_length=MAX_NAME_LENGTH)
    description = PlainCharField(
        required=False, allow_blank=True, max_length=MAX_DESCRIPTION_LENGTH
    )
    visibility = serializers.ChoiceField(choices=Playlist.Visibility.values, required=False)
    movie_ids = movie_ids_field(
        required=False,
        help_text="The whole content, in order. Left out of an update, the films stay as they are.",
    )


class PlaylistSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    owner = serializers.CharField(source="owner.username")
    name = serializers.CharField()
    description = serializers.CharField()
    visibility = serializers.ChoiceField(choices=Playlist.Visibility.values)
    movie_count = serializers.IntegerField()
    created_at = UTCDateTimeField()
    updated_at = UTCDateTimeField()


class PlaylistItemSerializer(serializers.Serializer[Any]):
    position = serializers.IntegerField(help_text="From 1, without gaps.")
    note = serializers.CharField()
    added_at = UTCDateTimeField()
    movie = MovieSummarySerializer()


class PlaylistItemsAddSerializer(serializers.Serializer[Any]):
    movie_ids = movie_ids_field(allow_empty=False)


class PlaylistItemsAddedSerializer(serializers.Serializer[Any]):
    """What became of the films sent."""

    added = serializers.ListField(child=serializers.IntegerField())
    existing = serializers.ListField(child=serializers.IntegerField())
    not_found = serializers.ListField(child=serializers.IntegerField())


class PlaylistItemNoteSerializer(serializers.Serializer[Any]):
    note = PlainCharField(required=False, allow_blank=True, max_length=MAX_NOTE_LENGTH)


class PlaylistOrderSerializer(serializers.Serializer[Any]):
    movie_ids = movie_ids_field(
        max_length=MAX_ITEMS, help_text="Every film of the playlist, in the new order."
    )


class GenreStatSerializer(serializers.Serializer[Any]):
    genre = serializers.CharField()
    count = serializers.IntegerField()
    average_score = serializers.FloatField()


class DirectorStatSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    count = serializers.IntegerField()
    average_score = serializers.FloatField()


class DecadeStatSerializer(serializers.Serializer[Any]):
    decade = serializers.IntegerField(help_text="Its first year: 1990.")
    count = serializers.IntegerField()
    average_score = serializers.FloatField()


class MonthStatSerializer(serializers.Serializer[Any]):
    month = serializers.CharField(help_text="YYYY-MM")
    count = serializers.IntegerField()


class MovieScoreSerializer(serializers.Serializer[Any]):
    movie = MovieSummarySerializer()
    score = serializers.FloatField()


class StatsSerializer(serializers.Serializer[Any]):
    """A member's ratings in numbers."""

    total_ratings = serializers.IntegerField()
    average_rating = serializers.FloatField(help_text="0.0 without ratings.")
    rating_histogram = serializers.DictField(
        child=serializers.IntegerField(), help_text='"1.0" to "5.0" in halves.'
    )
    watched_count = serializers.IntegerField()
    watch_time_minutes = serializers.IntegerField()
    watch_time_hours = serializers.FloatField()
    top_genres = GenreStatSerializer(many=True)
    top_directors = DirectorStatSerializer(many=True)
    decades = DecadeStatSerializer(many=True)
    months = MonthStatSerializer(many=True, help_text="The last twelve in which a film was rated.")
    highest_rated = MovieScoreSerializer(many=True)
    lowest_rated = MovieScoreSerializer(many=True)
