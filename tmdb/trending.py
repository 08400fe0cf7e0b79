"""Trending movies: TMDb's own list, or this community's ratings while TMDb is unavailable."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from movies.filters import ORDERINGS
from movies.models import Movie, MovieQuerySet
from nexus.core.db.bounded_page import Key, Ordering
from tmdb import cache
from tmdb.cache import CachedValue
from tmdb.parsers import SearchPage
from tmdb.services import list_pages_store

TREND_COLUMNS = {"day": "trend_day", "week": "trend_week"}
# TMDb's page size, and how many of its pages are served.
TMDB_PAGE_SIZE = 20
MAX_TMDB_PAGES = 5


@dataclass(frozen=True)
class TrendingMovies:
    """A slice of TMDb's trend as movies of the catalogue, in TMDb's order."""

    movies: list[Movie]
    #: When TMDb sent the oldest of the pages used.
    as_of: datetime
    is_stale: bool


class TmdbTrend:
    """TMDb's trend of the `day` or `week`. All methods raise TmdbError if a page is unavailable."""

    def __init__(self, window: str) -> None:
        self._window = window
        self._pages = {1: cache.get_trending_page(window, 1)}
        total = self._pages[1].value.total_results
        self.count = min(total, MAX_TMDB_PAGES * TMDB_PAGE_SIZE)

    def get_slice(self, start: int, end: int) -> TrendingMovies:
        """Return the movies at positions `start` to `end` - 1 that the catalogue stores.

        Two queries; a page of TMDb that is new is stored first.
        """
        if start >= self.count:
            # A cursor may point behind the end; the slice is empty and as old as the first page.
            start = end = 0
        end = min(end, self.count)
        first_page, last_page = start // TMDB_PAGE_SIZE + 1, max(end - 1, 0) // TMDB_PAGE_SIZE + 1
        pages = [self._get_page(number) for number in range(first_page, last_page + 1)]
        stored = list_pages_store([page.value for page in pages])
        tmdb_ids = dict.fromkeys(
            hit.id
            for number, page in enumerate(pages, first_page)
            for position, hit in enumerate(page.value.hits, (number - 1) * TMDB_PAGE_SIZE)
            if start <= position < end and hit.id in stored
        )
        movies = {
            movie.tmdb_id: movie for movie in Movie.objects.summaries().filter(tmdb_id__in=tmdb_ids)
        }
        return TrendingMovies(
            movies=[movies[tmdb_id] for tmdb_id in tmdb_ids if tmdb_id in movies],
            as_of=min(page.as_of for page in pages),
            is_stale=any(page.is_stale for page in pages),
        )

    def _get_page(self, number: int) -> CachedValue[SearchPage]:
        if number not in self._pages:
            self._pages[number] = cache.get_trending_page(self._window, number)
        return self._pages[number]


def get_community_trend(window: str) -> tuple[MovieQuerySet, Ordering]:
    """Return the movies that members have recently rated most and their ordering.

    While no movie is rated, all movies by popularity. `window` is a key of TREND_COLUMNS.
    """
    column = TREND_COLUMNS[window]
    movies = Movie.objects.summaries()
    rated = movies.filter(**{f"{column}__isnull": False})
    if not rated.exists():
        return movies, ORDERINGS["-popularity"]
    return rated, Ordering((Key(column, descending=True, nullable=True), Key("id")))
