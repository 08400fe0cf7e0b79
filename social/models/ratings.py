"""Ratings with their reviews."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.core.validators import MaxLengthValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Floor

from accounts.models import build_counted_filter
from movies.models import LIST_COLUMNS, Movie
from nexus.core.validators import validate_text
from social.models.follows import build_visibility_filter

MIN_SCORE, MAX_SCORE = 1.0, 5.0
MAX_REVIEW_LENGTH = 10_000

MOVIE_COLUMNS = tuple(f"movie__{name}" for name in LIST_COLUMNS)


class RatingQuerySet(models.QuerySet["Rating"]):
    def with_movie(self) -> Self:
        """Join the columns of each movie's summary."""
        return self.select_related("movie").only(*_list_columns_except("movie"), *MOVIE_COLUMNS)

    def with_movie_and_author(self) -> Self:
        """Join the columns of each movie's summary and the member's username."""
        columns = _list_columns_except("movie", "user")
        return self.select_related("movie", "user").only(*columns, *MOVIE_COLUMNS, "user__username")

    def with_author(self) -> Self:
        """Join the member's username."""
        return self.select_related("user").only(*_list_columns_except("user"), "user__username")

    def visible_to(self, viewer_id: int | None) -> Self:
        """Keep ratings by members whom the viewer may see."""
        return self.filter(build_visibility_filter(viewer_id, "user"))

    def with_review_by(self, user_id: int) -> Self:
        """Keep a member's ratings that have a review."""
        return self.filter(user_id=user_id).exclude(review="")

    def counted_wrongly(self) -> Self:
        """Keep ratings that are counted although their member is not, and the other way round.

        A rating without a score never counts.
        """
        member_counted = build_counted_filter("user") & Q(score__isnull=False)
        return self.filter(
            (Q(is_counted=True) & ~member_counted) | (Q(is_counted=False) & member_counted)
        )

    def without_hidden(self) -> Self:
        """Leave out ratings of which a moderator has hidden everything: the review, without a score."""
        return self.exclude(score=None, hidden_at__isnull=False)

    def reviews_visible_to(self, viewer_id: int | None) -> Self:
        """Keep reviews that are not hidden, by members whom the viewer may see."""
        return self.exclude(review="").filter(hidden_at__isnull=True).visible_to(viewer_id)


def _list_columns_except(*names: str) -> list[str]:
    return [field.name for field in Rating._meta.concrete_fields if field.name not in names]


class Rating(models.Model):
    """A member's score for a movie, or a review of it, or both."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="ratings")
    movie = models.ForeignKey(Movie, models.CASCADE, related_name="ratings")
    score = models.FloatField("stars, 1 to 5 in halves", null=True, blank=True)
    review = models.TextField(
        blank=True, validators=[MaxLengthValidator(MAX_REVIEW_LENGTH), validate_text]
    )
    contains_spoilers = models.BooleanField(default=False)
    #: Whether public figures and trainings count the score: there is one, and User.is_counted when it
    #: was written. After a change of visibility social.services.figures brings it up to date, with the
    #: movie's figures.
    is_counted = models.BooleanField(default=True, db_default=True, editable=False)
    #: When a moderator hid the review, copied from HiddenReview. That does not change whether the
    #: score counts.
    hidden_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: When the review was written, if that was after the score or there is none. The feed shows it at
    #: this time.
    reviewed_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    objects = RatingQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "movie"], name="rating_once_per_movie"),
            models.CheckConstraint(
                condition=Q(
                    score__gte=MIN_SCORE, score__lte=MAX_SCORE, score=Floor(F("score") * 2) / 2
                ),
                name="rating_score_half_stars",
            ),
            models.CheckConstraint(
                condition=Q(score__isnull=False) | ~Q(review=""), name="rating_score_or_review"
            ),
            models.CheckConstraint(
                condition=Q(score__isnull=False) | Q(is_counted=False),
                name="rating_counted_has_score",
            ),
        ]
        indexes = [
            # Recommendations read thousands of scores for one request, from this index alone.
            models.Index(
                fields=["user", "-created_at", "-id"],
                include=["movie", "score"],
                name="rating_user_newest",
            ),
            # A movie's figures are recounted from this index alone.
            models.Index(
                fields=["movie"],
                include=["score", "created_at"],
                condition=Q(is_counted=True),
                name="rating_movie_counted",
            ),
            models.Index(
                "movie",
                F("created_at").desc(),
                F("id").desc(),
                condition=~Q(review=""),
                name="rating_movie_reviews",
            ),
            models.Index(
                "user",
                F("reviewed_at").desc(),
                F("id").desc(),
                condition=Q(reviewed_at__isnull=False, hidden_at__isnull=True),
                name="rating_user_reviewed",
            ),
        ]

    def __str__(self) -> str:
        return f"Rating {self.pk}"

    @property
    def counted_score(self) -> float | None:
        """The score as public figures count it: None if they do not."""
        return self.score if self.is_counted else None

    def set_score(self, score: float | None, *, is_member_counted: bool) -> None:
        """Set the score, and whether it counts: if it is the first one, as the member does."""
        if score is None or self.score is None:
            self.is_counted = score is not None and is_member_counted
        self.score = score

    def settle_reviewed_at(self) -> None:
        """Set `reviewed_at` after the score or the review has changed."""
        if not self.review:
            self.reviewed_at = None
        elif self.score is None and self.reviewed_at is None:
            self.reviewed_at = self.created_at
        elif self.score is not None and self.reviewed_at == self.created_at:
            self.reviewed_at = None

    @property
    def public_review(self) -> str:
        """The review as others see it: empty if a moderator hid it."""
        return "" if self.hidden_at else self.review
