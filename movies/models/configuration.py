"""TMDb's configuration lists: genres, languages, regions and providers."""

from __future__ import annotations

from django.db import models


class Genre(models.Model):
    """A genre in TMDb's list. `nexus.core.genres` has those that the recommender knows."""

    tmdb_id = models.PositiveIntegerField(primary_key=True)
    name = models.CharField(max_length=100, unique=True)

    def __str__(self) -> str:
        return self.name


class Language(models.Model):
    """A language by its ISO 639-1 code. `name` is its name in itself, and may be empty."""

    code = models.CharField(max_length=3, primary_key=True)
    english_name = models.CharField(max_length=100)
    name = models.CharField(max_length=100, blank=True)

    def __str__(self) -> str:
        return self.english_name


class Region(models.Model):
    """A country or territory by its ISO 3166-1 code, as TMDb lists them."""

    code = models.CharField(max_length=2, primary_key=True)
    english_name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.english_name


class Provider(models.Model):
    """A company that shows movies, under TMDb's id."""

    id = models.PositiveIntegerField(primary_key=True)
    name = models.CharField(max_length=200)
    logo_path = models.CharField(max_length=200, blank=True)
    #: Its place in the list of each region where it is offered; empty once TMDb has dropped it.
    priorities = models.JSONField(default=dict)

    def __str__(self) -> str:
        return self.name
