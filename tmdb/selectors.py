"""Reads across TMDb and the catalogue."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from movies.filters import ORDERINGS
from movies.models import Movie, MovieQuerySet
from nexus.core.pagination import Key, Ordering
from tmdb import cache
from tmdb.parse import SearchHit

TREND_COLUMNS = {"day": "trend_day", "week": "trend_week"}


@dataclass(frozen=True)
class FoundFilm:
    """A hit of TMDb's, and the id it has here where the catalogue holds it."""

    hit: SearchHit
    movie_id: int | None

    @property
    def in_library(self) -> bool:
        return self.movie_id is not None


@dataclass(frozen=True)
class FoundPage:
    films: list[FoundFilm]
    total_results: int
    total_pages: int


def tmdb_search(terms: cache.SearchTerms) -> FoundPage:
    """A page of TMDb's search with what the catalogue holds of it now: one query.

    Raises TmdbError.
    """
    page = cache.search(terms)
    movie_ids = movie_ids_of(hit.id for hit in page.hits)
    return FoundPage(
        films=[FoundFilm(hit, movie_ids.get(hit.id)) for hit in page.hits],
        total_results=page.total_results,
        total_pages=page.total_pages,
    )


def movie_ids_of(tmdb_ids: Iterable[int]) -> dict[int, int]:
    """The catalogue's ids by TMDb's, of those it holds."""
    held = Movie.objects.filter(tmdb_id__in=list(tmdb_ids)).values_list("tmdb_id", "id")
    return {tmdb_id: movie_id for tmdb_id, movie_id in held if tmdb_id is not None}


def trending(window: str) -> tuple[MovieQuerySet, Ordering]:
    """The films that members rate most of late, with their order; by popularity while none is.

    `window` is a key of TREND_COLUMNS.
    """
    column = TREND_COLUMNS[window]
    movies = Movie.objects.summaries()
    rated = movies.filter(**{f"{column}__isnull": False})
    if not rated.exists():
        return movies, ORDERINGS["-popularity"]
    return rated, Ordering((Key(column, descending=True, nullable=True), Key("id")))
