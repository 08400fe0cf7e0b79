"""What members do with films: rate, review, and collect them in lists."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.core.validators import MaxLengthValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Floor

from movies.models import Movie

MIN_SCORE, MAX_SCORE = 1.0, 5.0
MAX_REVIEW_LENGTH = 10_000


class RatingQuerySet(models.QuerySet["Rating"]):
    def visible_reviews(self) -> RatingQuerySet:
        """Reviews with words, by active members whose profile is public."""
        return self.exclude(review="").filter(
            user__visibility="public", user__is_active=True
        )


class Rating(models.Model):
    """One member's stars for one film, with a review where they wrote one."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="ratings")
    movie = models.ForeignKey(Movie, models.CASCADE, related_name="ratings")
    score = models.FloatField("stars, 1 to 5 in halves")
    review = models.TextField(blank=True, validators=[MaxLengthValidator(MAX_REVIEW_LENGTH)])
    contains_spoilers = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    objects = RatingQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "movie"], name="rating_once_per_movie"),
            models.CheckConstraint(
                condition=Q(score__gte=MIN_SCORE, score__lte=MAX_SCORE, score=Floor(F("score") * 2) / 2),
                name="rating_score_half_stars",
            ),
        ]
        indexes = [
            models.Index("user", F("created_at").desc(), F("id").desc(), name="rating_user_newest"),
            models.Index("movie", F("created_at").desc(), F("id").desc(), name="rating_movie_newest"),
            models.Index(
                "movie",
                F("created_at").desc(),
                F("id").desc(),
                condition=~Q(review=""),
                name="rating_movie_reviews",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.movie} {self.score:g}"


class PlaylistQuerySet(models.QuerySet["Playlist"]):
    def readable_by(self, user_id: int | None) -> PlaylistQuerySet:
        """What may be opened by its link: all but other members' private lists."""
        return self.filter(
            ~Q(visibility=Playlist.Visibility.PRIVATE) | Q(owner_id=user_id),
            Q(owner__is_active=True),
        )

    def listed_for(self, user_id: int | None) -> PlaylistQuerySet:
        """What shows in lists: public ones and the member's own."""
        return self.filter(
            Q(visibility=Playlist.Visibility.PUBLIC) | Q(owner_id=user_id),
            Q(owner__is_active=True),
        )


class Playlist(models.Model):
    class Visibility(models.TextChoices):
        PUBLIC = "public"
        UNLISTED = "unlisted"
        PRIVATE = "private"

    #: Random, so that the link of an unlisted list cannot be guessed.
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="playlists")
    name = models.CharField(max_length=200)
    description = models.TextField(blank=True, max_length=2000)
    visibility = models.CharField(max_length=10, choices=Visibility, default=Visibility.PUBLIC)
    #: One more with each change of its items; the ETag that a reorder must match.
    version = models.PositiveIntegerField(default=1, editable=False)
    movie_count = models.PositiveIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = PlaylistQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="playlist_name_not_empty"),
        ]
        indexes = [
            models.Index(
                F("created_at").desc(),
                F("id").desc(),
                condition=Q(visibility="public"),
                name="playlist_public_newest",
            ),
            models.Index("owner", F("created_at").desc(), F("id").desc(), name="playlist_owner"),
        ]

    def __str__(self) -> str:
        return self.name


class PlaylistItem(models.Model):
    playlist = models.ForeignKey(Playlist, models.CASCADE, related_name="items")
    movie = models.ForeignKey(Movie, models.CASCADE, related_name="playlist_items")
    #: From 1, without gaps.
    position = models.PositiveIntegerField()
    note = models.CharField(max_length=500, blank=True)
    added_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["playlist", "movie"], name="playlist_item_once"),
            models.UniqueConstraint(
                fields=["playlist", "position"],
                name="playlist_item_position",
                # A reorder passes through doubles on its way.
                deferrable=models.Deferrable.DEFERRED,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.position}. {self.movie}"
