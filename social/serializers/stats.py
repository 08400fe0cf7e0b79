"""The response of a member's statistics."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from movies.serializers import MovieSummarySerializer


class GenreStatSerializer(serializers.Serializer[Any]):
    genre = serializers.CharField()
    count = serializers.IntegerField()
    average_score = serializers.FloatField()


class DirectorStatSerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    count = serializers.IntegerField()
    average_score = serializers.FloatField()


class DecadeStatSerializer(serializers.Serializer[Any]):
    decade = serializers.IntegerField(help_text="Its first year, such as 1990.")
    count = serializers.IntegerField()
    average_score = serializers.FloatField()


class MonthStatSerializer(serializers.Serializer[Any]):
    month = serializers.CharField(help_text="YYYY-MM")
    count = serializers.IntegerField()


class MovieScoreSerializer(serializers.Serializer[Any]):
    movie = MovieSummarySerializer()
    score = serializers.FloatField()


class LovedGenreSerializer(GenreStatSerializer):
    shrunk_score = serializers.FloatField(
        help_text="Its average if five more ratings had the member's own average."
    )


class StreakSerializer(serializers.Serializer[Any]):
    """Consecutive days (UTC) with a viewing."""

    current_days = serializers.IntegerField(help_text="0 unless it ends today or yesterday.")
    longest_days = serializers.IntegerField()


class ComparisonSerializer(serializers.Serializer[Any]):
    """Averages over the movies that at least five other members rated."""

    films = serializers.IntegerField()
    own_average = serializers.FloatField(allow_null=True)
    others_average = serializers.FloatField(allow_null=True)


class StatsSerializer(serializers.Serializer[Any]):
    """Statistics of a member's ratings and viewings."""

    year = serializers.IntegerField(allow_null=True, help_text="Null for all years.")
    total_ratings = serializers.IntegerField()
    average_rating = serializers.FloatField(help_text="0.0 without ratings.")
    rating_histogram = serializers.DictField(
        child=serializers.IntegerField(), help_text='"1.0" to "5.0" in halves.'
    )
    watched_count = serializers.IntegerField(help_text="Movies watched, each counted once.")
    viewing_count = serializers.IntegerField(
        help_text="A rated movie without a viewing counts once."
    )
    watch_time_minutes = serializers.IntegerField()
    watch_time_hours = serializers.FloatField()
    top_genres = GenreStatSerializer(many=True, help_text="By the number of rated movies.")
    loved_genres = LovedGenreSerializer(many=True, help_text="By shrunk_score.")
    top_directors = DirectorStatSerializer(many=True)
    decades = DecadeStatSerializer(many=True)
    months = MonthStatSerializer(many=True, help_text="The last twelve months with a rating.")
    streak = StreakSerializer()
    compared_with_others = ComparisonSerializer()
    highest_rated = MovieScoreSerializer(many=True)
    lowest_rated = MovieScoreSerializer(many=True)
