"""Find movies that an imported file names and the catalogue lacks, and store them from TMDb.

settings.IMPORT_MOVIE_LOOKUP names `look_up_movies`, which social calls without importing this app.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from movies.dto import LookupResult, MovieData, MovieReference
from movies.search import make_sort_title
from movies.titles import make_title_key
from nexus.core.api.exceptions import Problem
from tmdb.client.errors import TmdbError, TmdbNotFound
from tmdb.client.http import LANGUAGE, make_find_request, make_search_request
from tmdb.gateway import BATCH_MAX_IN_FLIGHT, Gateway, build_batch_gateway, time_limit
from tmdb.parsers import (
    find_other_media,
    parse_find,
    parse_search_page,
    select_catalogue_entries,
)
from tmdb.selectors import get_movie_ids
from tmdb.services import fetch_movies, movies_store

# For one call; less than the lease of the import job that waits for it.
TIME_LIMIT_S = 20.0
MAX_CANDIDATES = 5
# Of the movies that TMDb finds by a translated or alternative title.
MAX_OTHER_TITLES = 3


@dataclass(frozen=True)
class _Match:
    """The movie of TMDb that a reference means, or the entries of a search that it may mean."""

    tmdb_id: int | None = None
    entries: tuple[MovieData, ...] = ()
    query: str = ""
    other_media: str = ""


def look_up_movies(references: Sequence[MovieReference]) -> list[LookupResult]:
    """Return what TMDb says about each reference; its movies are stored.

    A movie is found by its TMDb id, else by its IMDb id, else by title and year if exactly one movie
    of TMDb has them. Other movies of the title are candidates. Requests use the limits of batch work.
    Raises Problem (503) if TMDb fails or does not respond to all requests within TIME_LIMIT_S.
    """
    deadline = time.monotonic() + TIME_LIMIT_S
    gateway = build_batch_gateway()
    try:
        unique = list(dict.fromkeys(references))
        matches = dict(zip(unique, _look_up_all(unique, gateway, deadline), strict=True))
        movie_ids = _store_movies(list(matches.values()), gateway, deadline)
        # TMDb has deleted some ids, but may have the movie under another one.
        deleted = [
            reference
            for reference in unique
            if reference.tmdb_id is not None
            and reference.tmdb_id not in movie_ids
            and (reference.imdb_id or reference.title)
        ]
        others = _look_up_all([replace(item, tmdb_id=None) for item in deleted], gateway, deadline)
        for reference, other in zip(deleted, others, strict=True):
            query = f"{matches[reference].query}, then {other.query}"
            matches[reference] = _drop_certainty(replace(other, query=query))
        if deleted:
            movie_ids |= _store_movies([matches[item] for item in deleted], gateway, deadline)
    except TmdbError as error:
        raise _make_unavailable_problem() from error
    finally:
        gateway.close()
    return [_make_result(matches[reference], movie_ids) for reference in references]


def _look_up_all(
    references: Sequence[MovieReference], gateway: Gateway, deadline: float
) -> list[_Match]:
    look_up = partial(_look_up, gateway=gateway, deadline=deadline)
    with ThreadPoolExecutor(BATCH_MAX_IN_FLIGHT, thread_name_prefix="tmdb-lookup") as executor:
        return list(executor.map(look_up, references))


def _look_up(reference: MovieReference, *, gateway: Gateway, deadline: float) -> _Match:
    if reference.tmdb_id is not None:
        return _Match(reference.tmdb_id, query=f"the TMDb id {reference.tmdb_id}")
    with time_limit(max(0.0, deadline - time.monotonic())):
        if reference.imdb_id is None:
            return _search(reference, gateway)
        document = gateway.fetch(make_find_request(reference.imdb_id))
        query = f"the IMDb id {reference.imdb_id}"
        try:
            return _Match(parse_find(document), query=query)
        except TmdbNotFound:
            other_media = find_other_media(document)
            if other_media or not reference.title:
                return _Match(query=query, other_media=other_media)
        match = _search(reference, gateway)
        return _drop_certainty(replace(match, query=f"{query}, then {match.query}"))


def _drop_certainty(match: _Match) -> _Match:
    """Make a movie found by its title a candidate, because the reference has another id."""
    return replace(match, tmdb_id=None) if match.entries else match


def _search(reference: MovieReference, gateway: Gateway) -> _Match:
    """Search for a title: in the year, and about it if that year has no movie of the title."""
    year = "without a year" if reference.year is None else f"({reference.year})"
    query = f"“{reference.title[:80]}” {year}"
    entries = _search_page(reference, gateway, year=reference.year)
    similar = [entry for entry in entries if _is_similar(reference, entry)]
    if not similar and reference.year is not None:
        others = _search_page(reference, gateway, year=None)
        others = tuple(entry for entry in others if _is_about_year(reference.year, entry))
        similar = [entry for entry in others if _is_similar(reference, entry)]
        entries = entries or others
    certain = [entry for entry in similar if _is_certain(reference, entry)]
    if len(certain) == 1:
        return _Match(certain[0].tmdb_id, tuple(certain), query)
    chosen = similar[:MAX_CANDIDATES] or entries[:MAX_OTHER_TITLES]
    return _Match(None, tuple(chosen), query)


def _search_page(
    reference: MovieReference, gateway: Gateway, *, year: int | None
) -> tuple[MovieData, ...]:
    request = make_search_request(
        query=reference.title, page=1, language=LANGUAGE, include_adult=False, year=year
    )
    return select_catalogue_entries(parse_search_page(gateway.fetch(request))).movies


def _is_similar(reference: MovieReference, entry: MovieData) -> bool:
    title = make_sort_title(reference.title)
    return title in (make_sort_title(entry.title), make_sort_title(entry.original_title))


def _is_about_year(year: int, entry: MovieData) -> bool:
    return entry.release_year is None or abs(entry.release_year - year) <= 1


def _is_certain(reference: MovieReference, entry: MovieData) -> bool:
    key = make_title_key(reference.title)
    has_title = key in (make_title_key(entry.title), make_title_key(entry.original_title))
    return has_title and reference.year is not None and entry.release_year == reference.year


def _store_movies(matches: Sequence[_Match], gateway: Gateway, deadline: float) -> dict[int, int]:
    """Store the movies and candidates of some matches; return their ids in the catalogue."""
    certain = {match.tmdb_id for match in matches if match.tmdb_id is not None}
    entries = {entry.tmdb_id: entry for match in matches for entry in match.entries}
    movie_ids = get_movie_ids({*certain, *(tmdb_id for tmdb_id in entries if tmdb_id)})
    fetched = fetch_movies(
        [tmdb_id for tmdb_id in certain if tmdb_id not in movie_ids],
        gateway,
        threads=BATCH_MAX_IN_FLIGHT,
        time_limit_s=max(0.0, deadline - time.monotonic()),
    )
    movies = [
        entry
        for tmdb_id, entry in entries.items()
        if tmdb_id not in movie_ids and tmdb_id not in fetched
    ]
    for result in fetched.values():
        if isinstance(result, MovieData):
            movies.append(result)
        elif not isinstance(result, TmdbNotFound):
            raise result
    for tmdb_id, upserted in movies_store(movies).items():
        movie_ids[tmdb_id] = upserted.movie.pk
    return movie_ids


def _make_result(match: _Match, movie_ids: dict[int, int]) -> LookupResult:
    candidates = (movie_ids.get(entry.tmdb_id or 0) for entry in match.entries)
    return LookupResult(
        movie_id=movie_ids.get(match.tmdb_id or 0),
        candidates=tuple(movie_id for movie_id in candidates if movie_id is not None),
        query=match.query,
        other_media=match.other_media,
    )


def _make_unavailable_problem() -> Problem:
    return Problem(503, "tmdb_unavailable", "TMDb is not available at the moment. Try again later.")
