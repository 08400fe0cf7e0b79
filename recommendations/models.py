"""Trainings with what they learned, and members' feedback on recommendations."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from movies.models import LIST_COLUMNS, Movie

_MOVIE_COLUMNS = tuple(f"movie__{name}" for name in LIST_COLUMNS)


class Training(models.Model):
    """A run of train_recommender. The active one is what requests are served with."""

    class State(models.TextChoices):
        #: Being computed or stored. The next run deletes what a killed run left.
        BUILDING = "building", "being made"
        READY = "ready", "ready"
        REFUSED = "refused", "refused: worse than the active one"

    state = models.CharField(max_length=10, choices=State, default=State.BUILDING)
    #: At most one training is active, by a constraint below.
    active = models.BooleanField(default=False, editable=False)
    algorithm = models.CharField(max_length=50)
    parameters = models.JSONField(default=dict)
    #: Only ratings changed since then were used; null: all.
    ratings_since = models.DateTimeField(null=True)
    newest_rating_at = models.DateTimeField(null=True)
    rating_count = models.PositiveIntegerField(default=0)
    member_count = models.PositiveIntegerField(default=0)
    movie_count = models.PositiveIntegerField(default=0, db_column="film_count")
    #: Figures on its own held-out members, and reports of evaluate_recommender.
    metrics = models.JSONField(default=dict)
    duration_s = models.FloatField("duration in seconds", null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    activated_at = models.DateTimeField(null=True)

    # What every score needs, in the memory of each process: recommender.queries.ModelHeader.
    totals = models.JSONField(default=dict)
    coefficients = models.JSONField(default=dict)
    movies = models.BinaryField("its movies' numbers", default=b"", db_column="films")
    factor_gram = models.BinaryField(
        "Gram matrix of the ranking's vectors", default=b"", db_default=b""
    )

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["active"], condition=Q(active=True), name="training_one_active"
            ),
            models.CheckConstraint(
                condition=Q(active=False) | Q(state="ready"), name="training_active_is_ready"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.algorithm}, training {self.pk}"


class MovieFactors(models.Model):
    """What a training learned of one movie: lists of movies with weights, and vectors.

    Written by training.store, and read by recommender.queries. The movie is named by its id and not by a foreign key:
    it may be deleted under a training, whose rows are never written again, and no movie is in use
    because it was learned from.
    """

    pk = models.CompositePrimaryKey("training_id", "movie_id")
    # The primary key begins with it, so it needs no index of its own.
    training = models.ForeignKey(Training, models.CASCADE, related_name="factors", db_index=False)
    movie_id = models.BigIntegerField()
    feed_sources = models.BinaryField("what speaks for it in the feed")
    feed_targets = models.BinaryField("what it speaks for in the feed of those who rated it")
    taste = models.BinaryField("the movies most like it by who liked them")
    vectors = models.BinaryField("its vectors of both factorizations", default=b"", db_default=b"")

    class Meta:
        # The former name of the table: workers of the release before read it during a deploy.
        db_table = "recommendations_filmfactors"
        verbose_name_plural = "movie factors"

    def __str__(self) -> str:
        return f"movie {self.movie_id} in training {self.training_id}"


class FeedbackQuerySet(models.QuerySet["Feedback"]):
    def with_movie(self) -> Self:
        """Read the columns that a MovieSummary shows in the same query."""
        own = [field.name for field in Feedback._meta.concrete_fields if field.name != "movie"]
        return self.select_related("movie").only(*own, *_MOVIE_COLUMNS)


class Feedback(models.Model):
    """A member's feedback on a movie as a recommendation, whether or not they have seen it."""

    class Kind(models.TextChoices):
        HIDE = "hide", "never show it"
        LESS = "less", "less like this"
        MORE = "more", "more like this"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="feedback")
    movie = models.ForeignKey(Movie, models.CASCADE, related_name="feedback")
    kind = models.CharField(max_length=4, choices=Kind)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    objects = FeedbackQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "feedback"
        constraints = [
            models.UniqueConstraint(fields=["user", "movie"], name="feedback_once_per_movie"),
            models.CheckConstraint(
                condition=Q(kind__in=["hide", "less", "more"]), name="feedback_kind_known"
            ),
        ]
        indexes = [
            models.Index(
                "user", F("updated_at").desc(), F("id").desc(), name="feedback_user_newest"
            ),
        ]

    def __str__(self) -> str:
        return f"Feedback {self.pk}"
