"""The texts of movies, and the names of genres, in other languages than English."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Self

from django.db import models
from django.utils import timezone

from movies.models.movies import MAX_AGE, Movie


class TranslationQuerySet(models.QuerySet["Translation"]):
    def unexpired(self) -> Self:
        """Select the translations that TMDb's terms still allow to be stored."""
        return self.filter(synced_at__gt=get_oldest_allowed_sync())

    def read_titles(self, movie_ids: Iterable[int]) -> dict[int, list[tuple[str, str]]]:
        """Return the languages and titles of the translations of movies, for their search words."""
        titles: dict[int, list[tuple[str, str]]] = {}
        rows = self.filter(movie__in=list(movie_ids)).exclude(title="")
        for movie_id, language, title in rows.order_by("movie", "language", "region").values_list(
            "movie_id", "language", "title"
        ):
            titles.setdefault(movie_id, []).append((language, title))
        return titles


class Translation(models.Model):
    """The texts of a movie in one language, as TMDb has them; a text that it lacks is empty.

    A movie has at most `movies.dto.MAX_TRANSLATIONS`. None is English of the USA, which the movie itself has.
    """

    movie = models.ForeignKey(Movie, models.CASCADE, related_name="translations", db_index=False)
    #: ISO 639-1.
    language = models.CharField(max_length=3)
    #: ISO 3166-1; TMDb has Portuguese of Portugal and of Brazil.
    region = models.CharField(max_length=2, blank=True)
    title = models.CharField(max_length=500, blank=True)
    overview = models.TextField(blank=True)
    tagline = models.CharField(max_length=1000, blank=True)
    synced_at = models.DateTimeField()

    objects = TranslationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["movie", "language", "region"], name="translation_language_unique"
            )
        ]

    def __str__(self) -> str:
        return f"Translation {self.pk} ({self.language})"


class GenreName(models.Model):
    """TMDb's name of a genre in one language. `genre` is the name that movies are stored with."""

    genre = models.CharField(max_length=100)
    language = models.CharField(max_length=3)
    region = models.CharField(max_length=2, blank=True)
    name = models.CharField(max_length=100)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["language", "region", "genre"], name="genre_name_unique"
            )
        ]

    def __str__(self) -> str:
        return self.name


def get_oldest_allowed_sync() -> datetime:
    return timezone.now() - MAX_AGE
