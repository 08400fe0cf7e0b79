"""Stars, reviews, and what members report of reviews."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.core.validators import MaxLengthValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Floor
from django.utils import timezone

from movies.models import SMALL_COLUMNS, Movie
from social.models.follows import member_visible_to

MIN_SCORE, MAX_SCORE = 1.0, 5.0
MAX_REVIEW_LENGTH = 10_000
MAX_COMMENT_LENGTH = 1000

MOVIE_COLUMNS = tuple(f"movie__{name}" for name in SMALL_COLUMNS)


class RatingQuerySet(models.QuerySet["Rating"]):
    def with_movie(self) -> Self:
        """With what a MovieSummary shows of each film, in the same query."""
        own = [field.name for field in Rating._meta.concrete_fields if field.name != "movie"]
        return self.select_related("movie").only(*own, *MOVIE_COLUMNS)

    def with_movie_and_author(self) -> Self:
        """With what a MovieSummary shows of each film and the member's name, in the same query."""
        theirs = ("movie", "user")
        own = [field.name for field in Rating._meta.concrete_fields if field.name not in theirs]
        return self.select_related("movie", "user").only(*own, *MOVIE_COLUMNS, "user__username")

    def with_author(self) -> Self:
        """With the member's name, in the same query."""
        own = [field.name for field in Rating._meta.concrete_fields if field.name != "user"]
        return self.select_related("user").only(*own, "user__username")

    def visible_to(self, viewer_id: int | None) -> Self:
        """Ratings by members whom the viewer may see."""
        return self.filter(member_visible_to(viewer_id, "user"))

    def reviews_visible_to(self, viewer_id: int | None) -> Self:
        """Reviews with words, not hidden by a moderator, by members whom the viewer may see."""
        return self.exclude(review="").filter(hidden_at__isnull=True).visible_to(viewer_id)


class Rating(models.Model):
    """One member's stars for one film, with a review where they wrote one."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="ratings")
    movie = models.ForeignKey(Movie, models.CASCADE, related_name="ratings")
    score = models.FloatField("stars, 1 to 5 in halves")
    review = models.TextField(blank=True, validators=[MaxLengthValidator(MAX_REVIEW_LENGTH)])
    contains_spoilers = models.BooleanField(default=False)
    #: When a moderator hid the review; the stars still count.
    hidden_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: When the first words came, where there are any and that was after the stars; for the feed.
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
        ]
        indexes = [
            # The engine reads thousands of these for one feed, from the index alone.
            models.Index(
                fields=["user", "-created_at", "-id"],
                include=["movie", "score"],
                name="rating_user_newest",
            ),
            models.Index(
                fields=["movie", "-created_at", "-id"],
                include=["user", "score"],
                name="rating_movie_newest",
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
    def public_review(self) -> str:
        """The review as others see it: empty where a moderator hid it."""
        return "" if self.hidden_at else self.review


class ReviewReport(models.Model):
    """What one member holds against another's review, until a moderator has looked."""

    class Reason(models.TextChoices):
        SPOILER = "spoiler", "tells the plot without a mark"
        ABUSE = "abuse", "insults or threatens"
        SPAM = "spam", "advertises"
        OTHER = "other", "something else"

    class State(models.TextChoices):
        OPEN = "open", "open"
        UPHELD = "upheld", "upheld, the review is hidden"
        DISMISSED = "dismissed", "dismissed"

    rating = models.ForeignKey(Rating, models.CASCADE, related_name="reports")
    reporter = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="reports")
    reason = models.CharField(max_length=10, choices=Reason)
    comment = models.CharField(max_length=MAX_COMMENT_LENGTH, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    created_at = models.DateTimeField(default=timezone.now)
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["rating", "reporter"], name="report_once_per_member"),
            models.CheckConstraint(
                condition=Q(state="open", resolved_at__isnull=True)
                | (~Q(state="open") & Q(resolved_at__isnull=False)),
                name="report_resolved_or_open",
            ),
        ]
        indexes = [
            # The queue: the oldest open ones first.
            models.Index(
                fields=["created_at", "id"], condition=Q(state="open"), name="report_queue"
            ),
        ]

    def __str__(self) -> str:
        return f"Report {self.pk} ({self.reason})"
