"""What members do with films: rate, review, and collect them in lists."""

from __future__ import annotations

import uuid
from typing import Self

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchQuery, SearchVector
from django.core.validators import MaxLengthValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Floor

from movies.models import SUMMARY_FIELDS, Movie

MIN_SCORE, MAX_SCORE = 1.0, 5.0
MAX_REVIEW_LENGTH = 10_000
MAX_NAME_LENGTH = 200
MAX_DESCRIPTION_LENGTH = 2000
MAX_NOTE_LENGTH = 500

_MOVIE_COLUMNS = tuple(f"movie__{name}" for name in SUMMARY_FIELDS)


def _name_words() -> SearchVector:
    """The words of a playlist's name, as the index below holds them."""
    return SearchVector("name", config="simple")


class RatingQuerySet(models.QuerySet["Rating"]):
    def with_movie(self) -> Self:
        """With what a MovieSummary shows of each film, in the same query."""
        own = [field.name for field in Rating._meta.concrete_fields if field.name != "movie"]
        return self.select_related("movie").only(*own, *_MOVIE_COLUMNS)

    def with_author(self) -> Self:
        """With the member's name, in the same query."""
        own = [field.name for field in Rating._meta.concrete_fields if field.name != "user"]
        return self.select_related("user").only(*own, "user__username")

    def visible_reviews(self) -> Self:
        """Reviews with words, by active members whose profile is public."""
        return self.exclude(review="").filter(user__visibility="public", user__is_active=True)


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
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.movie} {self.score:g}"


class PlaylistQuerySet(models.QuerySet["Playlist"]):
    def readable_by(self, user_id: int | None) -> Self:
        """What may be opened by its link: all but other members' private lists."""
        return self.filter(
            ~Q(visibility=Playlist.Visibility.PRIVATE) | Q(owner_id=user_id),
            Q(owner__is_active=True),
        )

    def listed_for(self, user_id: int | None) -> Self:
        """What shows in lists: public ones and the member's own."""
        return self.filter(
            Q(visibility=Playlist.Visibility.PUBLIC) | Q(owner_id=user_id),
            Q(owner__is_active=True),
        )

    def named_like(self, text: str) -> Self:
        """Those whose name has all words of the text, in any case."""
        query = SearchQuery(text, config="simple")
        return self.alias(name_words=_name_words()).filter(name_words=query)

    def with_owner(self) -> Self:
        """With the owner's name, in the same query."""
        own = [field.name for field in Playlist._meta.concrete_fields if field.name != "owner"]
        return self.select_related("owner").only(*own, "owner__username")


class Playlist(models.Model):
    class Visibility(models.TextChoices):
        PUBLIC = "public"
        UNLISTED = "unlisted"
        PRIVATE = "private"

    #: Random, so that the link of an unlisted list cannot be guessed.
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="playlists")
    name = models.CharField(max_length=MAX_NAME_LENGTH)
    description = models.TextField(blank=True, max_length=MAX_DESCRIPTION_LENGTH)
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
            # One an ordering; of all lists, because a member's view joins public ones and their own.
            *(
                models.Index(F(column).desc(), F("id").desc(), name=f"playlist_by_{column}")
                for column in ("created_at", "updated_at", "name", "movie_count")
            ),
            models.Index("owner", F("created_at").desc(), F("id").desc(), name="playlist_owner"),
            GinIndex(_name_words(), name="playlist_name_words"),
        ]

    def __str__(self) -> str:
        return self.name


class PlaylistItemQuerySet(models.QuerySet["PlaylistItem"]):
    def with_movie(self) -> Self:
        """With what a MovieSummary shows of each film, in the same query."""
        own = [field.name for field in PlaylistItem._meta.concrete_fields if field.name != "movie"]
        return self.select_related("movie").only(*own, *_MOVIE_COLUMNS)


class PlaylistItem(models.Model):
    playlist = models.ForeignKey(Playlist, models.CASCADE, related_name="items")
    movie = models.ForeignKey(Movie, models.CASCADE, related_name="playlist_items")
    #: From 1, without gaps.
    position = models.PositiveIntegerField()
    note = models.CharField(max_length=MAX_NOTE_LENGTH, blank=True)
    added_at = models.DateTimeField(auto_now_add=True)

    objects = PlaylistItemQuerySet.as_manager()

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
