"""Where a movie is offered, when it is released, and its videos."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from movies.models.movies import Movie

#: Older offers do not count in filters.
MAX_OFFERS_AGE = timedelta(days=7)


class OffersQuerySet(models.QuerySet["Offers"]):
    def with_any(self, keys: Sequence[int]) -> Self:
        """Select the offers that contain one of these keys and are recent enough for a filter."""
        return self.filter(keys__overlap=list(keys), synced_at__gte=timezone.now() - MAX_OFFERS_AGE)


class Offers(models.Model):
    """The offers of a movie, by their keys (movies.availability).

    A movie that was read in full has one row for all regions, with an empty `region`. A movie that a
    list of a region's providers contained has another row, for that region.
    """

    movie = models.ForeignKey(Movie, models.CASCADE, related_name="offers", db_index=False)
    region = models.CharField(max_length=2, blank=True)
    keys = ArrayField(models.IntegerField(), default=list)
    link = models.CharField(max_length=300, blank=True)
    synced_at = models.DateTimeField()

    objects = OffersQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "offers"
        constraints = [
            models.UniqueConstraint(fields=["movie", "region"], name="offers_movie_region")
        ]
        # docs/adr/0031-offers-are-numbers-in-an-array.md has the query.
        indexes = [GinIndex(fields=["keys"], name="offers_keys")]

    def __str__(self) -> str:
        return f"Offers of movie {self.movie_id} in {self.region or 'all regions'}"


class MovieExtras(models.Model):
    """The videos and release dates of a movie, which few requests read, beside the movie's own row."""

    movie = models.OneToOneField(Movie, models.CASCADE, primary_key=True, related_name="extras")
    #: Objects with the fields of movies.availability.VideoData, the best trailer first.
    videos = models.JSONField(default=list)
    #: For each region its releases: [day, kind, certification, note], the earliest first.
    releases = models.JSONField(default=dict)
    #: The last day of any release, so that a calendar reads only movies with a coming one.
    last_release = models.DateField(null=True)
    #: How often, and when last, the stored releases have changed: calendars tell updates by it.
    revision = models.PositiveIntegerField(default=0, db_default=0)
    changed_at = models.DateTimeField(default=timezone.now, db_default=Now())
    synced_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "movie extras"

    def __str__(self) -> str:
        return f"Extras of movie {self.movie_id}"
