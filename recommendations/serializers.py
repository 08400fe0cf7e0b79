"""Scores, recommendations and feedback in responses and bodies."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from movies.serializers import MovieSummarySerializer
from nexus.core.api.fields import SharedFieldsSerializer, UTCDateTimeField
from recommendations.models import Feedback


class ComponentSerializer(serializers.Serializer[Any]):
    points = serializers.FloatField(help_text="What this part adds to the baseline, in percent.")
    weight = serializers.FloatField(help_text="Its share of all that moved the score, 0 to 1.")
    evidence = serializers.ListField(child=serializers.CharField())


class ComponentsSerializer(serializers.Serializer[Any]):
    genre_affinity = ComponentSerializer()
    rating_history = ComponentSerializer()
    popularity = ComponentSerializer()


class CounterfactualMovieSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    title = serializers.CharField()


class CounterfactualSerializer(serializers.Serializer[Any]):
    movie = CounterfactualMovieSerializer(help_text="A movie the caller rated.")
    your_score = serializers.FloatField(help_text="The caller's stars for it.")
    match_score_without = serializers.FloatField(
        help_text="What match_score would be without this rating."
    )


class MatchScoreSerializer(SharedFieldsSerializer):
    movie_id = serializers.IntegerField()
    title = serializers.CharField()
    match_score = serializers.FloatField(
        help_text="0 to 100: the probability in percent that the caller gives 4 stars or more."
    )
    confidence = serializers.FloatField(help_text="0 to 1; grows with the caller's ratings.")
    baseline = serializers.FloatField(
        help_text="The score before all signals; with the three points it adds up to match_score."
    )
    components = ComponentsSerializer()
    because = serializers.ListField(child=serializers.CharField())
    counterfactuals = CounterfactualSerializer(
        many=True, help_text="The ratings without which the score would differ most, at most three."
    )
    algorithm = serializers.CharField()


class RecommendationSerializer(SharedFieldsSerializer):
    movie = MovieSummarySerializer()
    match_score = serializers.FloatField()
    reasons = serializers.ListField(child=serializers.CharField())


class SimilarSerializer(SharedFieldsSerializer):
    movie = MovieSummarySerializer()
    similarity = serializers.FloatField(help_text="0 to 1.")
    reasons = serializers.ListField(child=serializers.CharField())


class FeedbackWriteSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(
        choices=Feedback.Kind.choices,
        help_text="`hide`: never show it; `less` or `more`: movies like it less or more often.",
    )

    class Meta:
        swagger_schema_fields = {"example": {"kind": "less"}}


class FeedbackSerializer(serializers.Serializer[Any]):
    movie = MovieSummarySerializer()
    kind = serializers.ChoiceField(choices=Feedback.Kind.choices)
    created_at = UTCDateTimeField()
    updated_at = UTCDateTimeField()


class OnboardingSerializer(serializers.Serializer[Any]):
    movie = MovieSummarySerializer()
    reasons = serializers.ListField(child=serializers.CharField())
