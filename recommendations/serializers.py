"""Scores, recommendations and feedback in responses and bodies."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from movies.serializers import MovieSerializer, MovieSummarySerializer
from nexus.core.api.fields import SharedFieldsSerializer, UTCDateTimeField
from nexus.core.api.views import PageOf
from recommendations.filters import APPENDABLE
from recommendations.models import Feedback
from social.serializers.ratings import ReviewSerializer
from tmdb.serializers import VideoSerializer, WatchProvidersSerializer


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
    is_localized = True

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


class MemberScoreSerializer(SharedFieldsSerializer):
    username = serializers.CharField()
    match_score = serializers.FloatField(
        help_text="0 to 100: the probability in percent that the member gives 4 stars or more."
    )


class GroupRecommendationSerializer(SharedFieldsSerializer):
    movie = MovieSummarySerializer()
    group_score = serializers.FloatField(
        help_text="0 to 100: the probability in percent that all members give 4 stars or more."
    )
    members = MemberScoreSerializer(
        many=True, help_text="The match score of each member, in the order of joining."
    )
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


class RatingStateSerializer(SharedFieldsSerializer):
    id = serializers.IntegerField()
    score = serializers.FloatField(allow_null=True)
    has_review = serializers.BooleanField()


class MovieStateSerializer(SharedFieldsSerializer):
    """A movie as the caller sees it."""

    movie_id = serializers.IntegerField()
    rating = RatingStateSerializer(allow_null=True, help_text="The caller's rating.")
    watchlisted_at = UTCDateTimeField(
        allow_null=True, help_text="When it was put on the caller's watchlist; null if it is not."
    )
    watched_count = serializers.IntegerField(help_text="The caller's viewings of it.")
    last_watched_at = UTCDateTimeField(allow_null=True)
    feedback = serializers.ChoiceField(choices=Feedback.Kind.choices, allow_null=True)
    match_score = serializers.FloatField(
        help_text="0 to 100, as in `/movies/{id}/match_score/`, also for a movie that is rated."
    )


# The first page of a list; `next` is the second page of the list's own URL.
SimilarPageSerializer = PageOf(SimilarSerializer).get_page_serializer()
ReviewPageSerializer = PageOf(ReviewSerializer).get_page_serializer()


class MovieDetailSerializer(MovieSerializer):
    """A movie with what `append` names."""

    similar = SimilarPageSerializer(required=False, help_text="Only with `append=similar`.")
    reviews = ReviewPageSerializer(required=False, help_text="Only with `append=reviews`.")
    state = MovieStateSerializer(required=False, help_text="Only with `append=state`.")
    videos = VideoSerializer(
        many=True,
        required=False,
        allow_null=True,
        help_text="Only with `append=videos`; null while TMDb is unavailable and none are stored.",
    )
    watch_providers = WatchProvidersSerializer(
        required=False,
        allow_null=True,
        help_text="Only with `append=watch_providers`; null while TMDb is unavailable and none are "
        "stored.",
    )

    class Meta(MovieSerializer.Meta):
        fields = (*MovieSerializer.Meta.fields, *APPENDABLE)
        read_only_fields = MovieSerializer.Meta.fields
        swagger_schema_fields = {"x-optional": list(APPENDABLE)}
