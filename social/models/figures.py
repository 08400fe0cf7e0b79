"""The results of comparing public figures with the rows they count."""

from __future__ import annotations

from django.db import models


class FiguresCheck(models.Model):
    """One run of social.services.figures.figures_reconcile: how many figures it had to correct."""

    checked_at = models.DateTimeField(auto_now_add=True)
    #: Movies whose rating count, sum or trends differed from their counted ratings.
    movies = models.PositiveIntegerField(default=0)
    #: Playlists whose movie count differed from their items.
    playlists = models.PositiveIntegerField(default=0)
    #: Ratings that were not counted as their member's visibility says.
    ratings = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"Check {self.pk}"
