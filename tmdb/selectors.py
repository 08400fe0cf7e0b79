"""Reads that combine TMDb's responses with the catalogue."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from movies.models import Movie
from tmdb import cache
from tmdb.parsers import SearchHit
from tmdb.services import list_pages_store


@dataclass(frozen=True)
class SearchResult:
    """A hit of TMDb's search and the id of the movie in this catalogue, if it is stored."""

    hit: SearchHit
    movie_id: int | None

    @property
    def in_library(self) -> bool:
        return self.movie_id is not None


@dataclass(frozen=True)
class SearchResultPage:
    results: list[SearchResult]
    total_results: int
    total_pages: int
    age_s: int


def search_tmdb(terms: cache.SearchTerms) -> SearchResultPage:
    """Return a page of TMDb's search with the ids of the stored movies; one query.

    Raises TmdbError.
    """
    copy = cache.search_movies(terms)
    page = copy.value
    movie_ids = get_movie_ids(hit.id for hit in page.hits)
    return SearchResultPage(
        results=[SearchResult(hit, movie_ids.get(hit.id)) for hit in page.hits],
        total_results=page.total_results,
        total_pages=page.total_pages,
        age_s=copy.age_s,
    )


def get_tmdb_status() -> dict[str, Any]:
    """Return the breaker, rate limit and cache of all workers together, without calling TMDb."""
    breaker = cache.get_cache().gateway.get_status()
    counts = cache.get_read_counts()
    reads = sum(counts.values())
    hits = counts["hits"] + counts["stale_hits"]
    last_success = breaker.last_success
    return {
        "configured": bool(settings.TMDB_TOKEN),
        "breaker": {"state": breaker.state, "retry_after_s": breaker.retry_after_s},
        "requests_left": breaker.requests_left,
        "budget_per_s": breaker.requests_per_s,
        "cache": {**counts, "hit_rate": round(hits / reads, 4) if reads else None},
        "last_success": datetime.fromtimestamp(last_success, UTC) if last_success else None,
    }


def get_movie_ids(tmdb_ids: Iterable[int]) -> dict[int, int]:
    """Return the ids of the stored movies by TMDb id."""
    rows = Movie.objects.filter(tmdb_id__in=list(tmdb_ids)).values_list("tmdb_id", "id")
    return {tmdb_id: movie_id for tmdb_id, movie_id in rows if tmdb_id is not None}


def rank_related_movies(movie: Movie) -> dict[int, int]:
    """Return the ranks, from 0, of the movies TMDb relates to one, by movie id.

    TMDb's recommendations come first, then its similar movies. Reads cached copies only: the result
    is empty until the first background fetch has ended.
    """
    if movie.tmdb_id is None or not settings.TMDB_TOKEN:
        return {}
    pages = cache.get_cached_related_pages(movie.tmdb_id)
    if not pages:
        return {}
    stored = list_pages_store(pages)
    tmdb_ids = dict.fromkeys(hit.id for page in pages for hit in page.hits if hit.id in stored)
    movie_ids = get_movie_ids(tmdb_ids)
    ranked = [movie_ids[tmdb_id] for tmdb_id in tmdb_ids if tmdb_id in movie_ids]
    return {movie_id: rank for rank, movie_id in enumerate(ranked) if movie_id != movie.pk}
