"""Moderation: reports of reviews, and which reviews are hidden.

Neither depends on the rating's row, so that a member cannot undo moderation by deleting a review and
posting it again.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from movies.models import Movie
from nexus.core.validators import validate_text
from social.models.ratings import Rating

MAX_COMMENT_LENGTH = 1000


class HiddenReview(models.Model):
    """A moderator's decision to hide what this member writes about this movie.

    It holds for the review that was reported and for any that replaces it. `Rating.hidden_at` is a
    copy, which queries read.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="hidden_reviews", db_index=False
    )
    movie = models.ForeignKey(Movie, models.CASCADE, related_name="hidden_reviews")
    hidden_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "movie"], name="hidden_review_once"),
        ]

    def __str__(self) -> str:
        return f"Hidden review {self.pk}"


class ReviewReport(models.Model):
    """A member's complaint about another member's review, for the moderators.

    It keeps a copy of what was reported, which survives edits and the deletion of the review.
    """

    class Reason(models.TextChoices):
        SPOILER = "spoiler", "spoilers without a warning"
        ABUSE = "abuse", "insults or threats"
        SPAM = "spam", "advertising"
        OTHER = "other", "something else"

    class State(models.TextChoices):
        OPEN = "open", "open"
        UPHELD = "upheld", "upheld (the review is hidden)"
        DISMISSED = "dismissed", "dismissed"

    #: Null after the author has deleted it.
    rating = models.ForeignKey(Rating, models.SET_NULL, related_name="reports", null=True)
    # Null only in reports that the previous release wrote during a deploy.
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        related_name="reports_received",
        null=True,
        db_index=False,
    )
    movie = models.ForeignKey(
        Movie, models.CASCADE, related_name="review_reports", null=True, db_index=False
    )
    #: The review and its spoiler mark when it was reported.
    review = models.TextField(blank=True, db_default="")
    contains_spoilers = models.BooleanField(default=False, db_default=False)
    reporter = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="reports")
    reason = models.CharField(max_length=10, choices=Reason)
    comment = models.CharField(
        max_length=MAX_COMMENT_LENGTH, blank=True, validators=[validate_text]
    )
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
            # The moderation queue: the oldest open report first.
            models.Index(
                fields=["created_at", "id"], condition=Q(state="open"), name="report_queue"
            ),
            models.Index(fields=["author", "movie"], name="report_author_movie"),
            models.Index(fields=["movie"], name="report_movie"),
        ]

    def __str__(self) -> str:
        return f"Report {self.pk} ({self.reason})"
