"""Reads across TMDb and the catalogue."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from movies.filters import ORDERINGS
from movies.models import Movie, MovieQuerySet
from nexus.core.db.bounded_page import Key, Ordering
from tmdb import aside, cache
from tmdb import trending as lists
from tmdb.aside import Cached
from tmdb.parsers import SearchHit, SearchPage

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
    #: Since TMDb said so.
    age_s: int


def tmdb_search(terms: cache.SearchTerms) -> FoundPage:
    """A page of TMDb's search with what the catalogue holds of it now: one query.

    Raises TmdbError.
    """
    found = cache.search(terms)
    page = found.value
    movie_ids = movie_ids_of(hit.id for hit in page.hits)
    return FoundPage(
        films=[FoundFilm(hit, movie_ids.get(hit.id)) for hit in page.hits],
        total_results=page.total_results,
        total_pages=page.total_pages,
        age_s=found.age_s,
    )


def tmdb_status() -> dict[str, Any]:
    """How this service stands with TMDb, for all workers together, without asking TMDb."""
    gate = cache.gate().look()
    counts = aside.hit_counts()
    reads = sum(counts.values())
    answered = counts["hits"] + counts["stale_hits"]
    last = gate.last_success
    return {
        "configured": bool(settings.TMDB_TOKEN),
        "breaker": {"state": gate.breaker, "retry_after_s": gate.retry_after_s},
        "requests_left": gate.requests_left,
        "budget_per_s": gate.budget_per_s,
        "cache": {**counts, "hit_rate": round(answered / reads, 4) if reads else None},
        "last_success": datetime.fromtimestamp(last, UTC) if last is not None else None,
    }


def movie_ids_of(tmdb_ids: Iterable[int]) -> dict[int, int]:
    """The catalogue's ids by TMDb's, of those it holds."""
    held = Movie.objects.filter(tmdb_id__in=list(tmdb_ids)).values_list("tmdb_id", "id")
    return {tmdb_id: movie_id for tmdb_id, movie_id in held if tmdb_id is not None}


@dataclass(frozen=True)
class TrendingFilms:
    """A stretch of TMDb's trend, as films of the catalogue in TMDb's order."""

    films: list[Movie]
    as_of: datetime
    stale: bool


class TmdbTrend:
    """TMDb's trend of a window, as deep as it is read here. Raises TmdbError where it is not held."""

    def __init__(self, window: str) -> None:
        self._window = window
        self._pages = {1: lists.trending_page(window, 1)}
        total = self._pages[1].value.total_results
        self.count = min(total, lists.MAX_PAGES * lists.PAGE_SIZE)

    def films(self, start: int, end: int) -> TrendingFilms:
        """Those from `start` to before `end`, less what TMDb lists and this catalogue does not take.

        Two queries; a page that is seen for the first time is stored.
        """
        # A cursor may lead beyond the end; the first page then tells the age of nothing.
        start, end = (start, min(end, self.count)) if start < self.count else (0, 0)
        first, last = start // lists.PAGE_SIZE + 1, max(end - 1, 0) // lists.PAGE_SIZE + 1
        pages = [self._page(number) for number in range(first, last + 1)]
        taken = lists.pages_store([page.value for page in pages])
        behind = (first - 1) * lists.PAGE_SIZE
        places = {
            behind + index * lists.PAGE_SIZE + place: hit.id
            for index, page in enumerate(pages)
            for place, hit in enumerate(page.value.hits)
            if hit.id in taken
        }
        wanted = dict.fromkeys(places[place] for place in sorted(places) if start <= place < end)
        held = {
            movie.tmdb_id: movie for movie in Movie.objects.summaries().filter(tmdb_id__in=wanted)
        }
        return TrendingFilms(
            films=[held[tmdb_id] for tmdb_id in wanted if tmdb_id in held],
            as_of=min(page.as_of for page in pages),
            stale=any(page.stale for page in pages),
        )

    def _page(self, number: int) -> Cached[SearchPage]:
        if number not in self._pages:
            self._pages[number] = lists.trending_page(self._window, number)
        return self._pages[number]


def rank_related_movies(movie: Movie) -> dict[int, int]:
    """The places, from 0, of films that TMDb recommends beside one or finds similar, by id here.

    From copies alone; empty until there is one.
    """
    if movie.tmdb_id is None or not settings.TMDB_TOKEN:
        return {}
    pages = lists.alike_pages(movie.tmdb_id)
    if not pages:
        return {}
    taken = lists.pages_store(pages)
    ordered = dict.fromkeys(hit.id for page in pages for hit in page.hits if hit.id in taken)
    movie_ids = movie_ids_of(ordered)
    places = [movie_ids[tmdb_id] for tmdb_id in ordered if tmdb_id in movie_ids]
    return {movie_id: place for place, movie_id in enumerate(places) if movie_id != movie.pk}


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
