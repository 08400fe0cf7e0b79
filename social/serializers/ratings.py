"""Requests and responses of ratings, reviews and reports."""

from __future__ import annotations

from typing import Any

from drf_yasg.utils import swagger_serializer_method
from rest_framework import serializers

from movies.serializers import MovieSummarySerializer
from nexus.core.api.fields import (
    IdField,
    SharedFieldsSerializer,
    StrictFloatField,
    TextField,
    UTCDateTimeField,
)
from social.models import (
    MAX_COMMENT_LENGTH,
    MAX_REVIEW_LENGTH,
    MAX_SCORE,
    MIN_SCORE,
    Rating,
    ReviewReport,
)

SCORE_HELP = "1 to 5 in half stars; null if the movie is not scored."


class ScoreField(StrictFloatField):
    """A score: 1 to 5 in steps of 0.5."""

    class Meta:
        swagger_schema_fields = {"multipleOf": 0.5}

    default_error_messages = {"half_stars": "Scores have steps of 0.5: 1, 1.5, 2 and so on to 5."}

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("help_text", "1 to 5 in steps of 0.5.")
        super().__init__(min_value=MIN_SCORE, max_value=MAX_SCORE, **kwargs)

    def to_internal_value(self, data: Any) -> float:
        score = super().to_internal_value(data)
        if (score * 2) % 1:
            self.fail("half_stars")
        return score


class RatedMovieField(IdField):
    """The rated movie's id, or its MovieSummary as a rating contains it."""

    def to_internal_value(self, data: Any) -> int:
        return super().to_internal_value(data.get("id") if isinstance(data, dict) else data)


class RatingEditSerializer(serializers.Serializer[Any]):
    """The body of PUT and PATCH of a rating. Fields that are not sent do not change."""

    movie: IdField = RatedMovieField(
        required=False, help_text="The rated movie's id. It cannot change."
    )
    score = ScoreField(
        allow_null=True, help_text="1 to 5 in steps of 0.5. Null removes it, if there is a review."
    )
    review = TextField(required=False, allow_blank=True, max_length=MAX_REVIEW_LENGTH)
    contains_spoilers = serializers.BooleanField(required=False)

    class Meta:
        swagger_schema_fields = {
            "example": {"score": 4.5, "review": "Better every time.", "contains_spoilers": False}
        }


class RatingWriteSerializer(RatingEditSerializer):
    """The body of POST of a rating: a score or a review, or both."""

    movie = IdField(help_text="A movie's id.")
    score = ScoreField(
        required=False,
        allow_null=True,
        help_text="1 to 5 in steps of 0.5. Null removes it, if there is a review.",
    )
    keep_in_watchlist = serializers.BooleanField(
        default=False, help_text="A rated movie leaves the caller's watchlist, unless this is true."
    )

    class Meta:
        swagger_schema_fields = {
            "example": {
                "movie": 1,
                "score": 4.5,
                "review": "Better every time.",
                "contains_spoilers": False,
            }
        }


class ReviewSerializer(SharedFieldsSerializer):
    """A review of a movie, with its score if it has one."""

    id = serializers.IntegerField()
    user = serializers.CharField(source="user.username")
    score = serializers.FloatField(allow_null=True, help_text=SCORE_HELP)
    review = serializers.CharField()
    contains_spoilers = serializers.BooleanField()
    created_at = UTCDateTimeField()
    updated_at = UTCDateTimeField()


class PublicRatingSerializer(SharedFieldsSerializer):
    """A rating as others see it.

    Needs `Rating.objects.with_movie_and_author()`.
    """

    id = serializers.IntegerField()
    user = serializers.CharField(source="user.username")
    movie = MovieSummarySerializer()
    score = serializers.FloatField(allow_null=True, help_text=SCORE_HELP)
    review = serializers.CharField(
        source="public_review", help_text="Empty without a review, or if a moderator hid it."
    )
    contains_spoilers = serializers.BooleanField()
    created_at = UTCDateTimeField()
    updated_at = UTCDateTimeField()


class ReportWriteSerializer(serializers.Serializer[Any]):
    reason = serializers.ChoiceField(choices=ReviewReport.Reason.values)
    comment = TextField(required=False, allow_blank=True, max_length=MAX_COMMENT_LENGTH)

    class Meta:
        swagger_schema_fields = {"example": {"reason": "spam", "comment": "An advertisement."}}


class ReportSerializer(serializers.Serializer[Any]):
    """The caller's report of a review."""

    rating = serializers.IntegerField(source="rating_id")
    reason = serializers.ChoiceField(choices=ReviewReport.Reason.values)
    comment = serializers.CharField()
    created_at = UTCDateTimeField()


class RatingSerializer(SharedFieldsSerializer):
    """A rating as its author sees it.

    Needs `Rating.objects.with_movie()`.
    """

    id = serializers.IntegerField()
    movie = MovieSummarySerializer()
    score = serializers.FloatField(allow_null=True, help_text=SCORE_HELP)
    review = serializers.CharField()
    contains_spoilers = serializers.BooleanField()
    review_hidden = serializers.SerializerMethodField(
        help_text="Whether a moderator hid the review from everybody but its author."
    )
    created_at = UTCDateTimeField()
    updated_at = UTCDateTimeField()

    @swagger_serializer_method(serializers.BooleanField())
    def get_review_hidden(self, rating: Rating) -> bool:
        return rating.hidden_at is not None
