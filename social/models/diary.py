"""The watchlist, and the history of viewings."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.db import models
from django.utils import timezone

from movies.models import Movie
from social.models.ratings import MOVIE_COLUMNS


class WatchlistItemQuerySet(models.QuerySet["WatchlistItem"]):
    def with_movie(self) -> Self:
        """Join the columns of each movie's summary."""
        return self.select_related("movie").only("user_id", "added_at", *MOVIE_COLUMNS)


class WatchlistItem(models.Model):
    """A movie that a member wants to watch."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="watchlist")
    movie = models.ForeignKey(Movie, models.CASCADE, related_name="watchlist_items")
    added_at = models.DateTimeField(default=timezone.now)

    objects = WatchlistItemQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "movie"], name="watchlist_item_once"),
        ]
        indexes = [
            models.Index(fields=["user", "-added_at", "-id"], name="watchlist_user_newest"),
        ]

    def __str__(self) -> str:
        return f"Watchlist item {self.pk}"


class ViewingQuerySet(models.QuerySet["Viewing"]):
    def with_movie(self) -> Self:
        """Join the columns of each movie's summary."""
        return self.select_related("movie").only("user_id", "watched_at", *MOVIE_COLUMNS)


class Viewing(models.Model):
    """A member watched a movie at a moment. A second row for the same moment is not possible."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="viewings")
    movie = models.ForeignKey(Movie, models.CASCADE, related_name="viewings")
    watched_at = models.DateTimeField()

    objects = ViewingQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "movie", "watched_at"], name="viewing_once_a_moment"
            ),
        ]
        indexes = [
            models.Index(fields=["user", "-watched_at", "-id"], name="viewing_user_newest"),
        ]

    def __str__(self) -> str:
        return f"Viewing {self.pk}"
