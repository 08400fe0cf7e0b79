"""Scores and recommendations as clients see them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from movies.serializers import MovieSummarySerializer


class ComponentSerializer(serializers.Serializer[Any]):
    points = serializers.FloatField(help_text="What this part adds to the baseline, in percent.")
    weight = serializers.FloatField(help_text="Its share of all that moved the score, 0 to 1.")
    evidence = serializers.ListField(child=serializers.CharField())


class ComponentsSerializer(serializers.Serializer[Any]):
    genre_affinity = ComponentSerializer()
    rating_history = ComponentSerializer()
    popularity = ComponentSerializer()


class MatchScoreSerializer(serializers.Serializer[Any]):
    movie_id = serializers.IntegerField()
    title = serializers.CharField()
    match_score = serializers.FloatField(
        help_text="0 to 100: the chance in percent that the caller gives 4 stars or more."
    )
    confidence = serializers.FloatField(help_text="0 to 1; grows with the caller's ratings.")
    baseline = serializers.FloatField(
        help_text="The score of nobody for nothing; with the three points it adds up to match_score."
    )
    components = ComponentsSerializer()
    because = serializers.ListField(child=serializers.CharField())
    algorithm = serializers.CharField()


class RecommendationSerializer(serializers.Serializer[Any]):
    movie = MovieSummarySerializer()
    match_score = serializers.FloatField()
    reasons = serializers.ListField(child=serializers.CharField())


class SimilarSerializer(serializers.Serializer[Any]):
    movie = MovieSummarySerializer()
    similarity = serializers.FloatField(help_text="0 to 1.")
    reasons = serializers.ListField(child=serializers.CharField())
