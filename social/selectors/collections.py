"""Series of movies as a viewer sees them: which parts they have seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import F

from movies.filters import annotate_release
from movies.models import Collection, Movie
from movies.serializers import SUMMARY_COLUMNS
from nexus.core.api.exceptions import NotFound
from social.models import Rating, Viewing

#: More movies than any series has.
MAX_PARTS = 500


@dataclass(frozen=True)
class SeriesForViewer:
    """A series in release order; `seen_ids` is None without a viewer."""

    collection: Collection
    #: Rows of SUMMARY_COLUMNS.
    movies: list[dict[str, Any]]
    seen_ids: set[int] | None


def get_series(*, collection_id: int, viewer_id: int | None) -> SeriesForViewer:
    """Return at most the first MAX_PARTS movies of a series, in three queries, two without a viewer.

    Raises NotFound if there is no such series.
    """
    collection = Collection.objects.filter(pk=collection_id).first()
    if collection is None:
        raise NotFound
    parts = annotate_release(Movie.objects.filter(collection=collection))
    ordered = parts.order_by(F("released").asc(nulls_last=True), "id")
    movies = list(ordered.values(*SUMMARY_COLUMNS)[:MAX_PARTS])
    if viewer_id is None:
        return SeriesForViewer(collection, movies, None)
    ids = [movie["id"] for movie in movies]
    return SeriesForViewer(collection, movies, find_seen_movies(viewer_id, ids))


def find_seen_movies(user_id: int, movie_ids: list[int]) -> set[int]:
    """Return which of these movies a member has rated or watched, in one query."""
    rated = Rating.objects.filter(user_id=user_id, movie__in=movie_ids).values_list("movie")
    watched = Viewing.objects.filter(user_id=user_id, movie__in=movie_ids).values_list("movie")
    return {movie_id for (movie_id,) in rated.union(watched)}
