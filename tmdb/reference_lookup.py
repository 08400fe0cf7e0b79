"""Find movies that an imported file names and the catalogue lacks, and store them from TMDb.

settings.IMPORT_MOVIE_LOOKUP names `look_up_movies`, which social calls without importing this app.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from movies.dto import MovieData, MovieReference
from nexus.core.api.exceptions import Problem
from nexus.core.text import split_words
from tmdb.client.errors import TmdbError, TmdbNotFound
from tmdb.client.http import LANGUAGE, make_find_request, make_search_request
from tmdb.gateway import BATCH_MAX_IN_FLIGHT, Gateway, build_batch_gateway, time_limit
from tmdb.parsers import SearchHit, parse_find, parse_search_page
from tmdb.selectors import get_movie_ids
from tmdb.services import fetch_movies, movies_store

# For one call; less than the lease of the import job that waits for it.
TIME_LIMIT_S = 20.0


def look_up_movies(references: Sequence[MovieReference]) -> list[int | None]:
    """Return the catalogue's id of each referenced movie that TMDb has, None for the others.

    New movies are stored. A movie is found by its TMDb id, else by its IMDb id, else by title and
    year if exactly one movie of TMDb has them. Requests use the limits of batch work. Raises
    Problem (503) if TMDb fails or does not respond to all requests within TIME_LIMIT_S.
    """
    deadline = time.monotonic() + TIME_LIMIT_S
    gateway = build_batch_gateway()
    try:
        tmdb_ids = [_find_tmdb_id(gateway, reference, deadline) for reference in references]
        unique_ids = list(dict.fromkeys(tmdb_id for tmdb_id in tmdb_ids if tmdb_id is not None))
        movie_ids = get_movie_ids(unique_ids)
        fetched = fetch_movies(
            [tmdb_id for tmdb_id in unique_ids if tmdb_id not in movie_ids],
            gateway,
            threads=BATCH_MAX_IN_FLIGHT,
            time_limit_s=max(0.0, deadline - time.monotonic()),
        )
    except TmdbError as error:
        raise _make_unavailable_problem() from error
    finally:
        gateway.close()
    movies = []
    for result in fetched.values():
        if isinstance(result, MovieData):
            movies.append(result)
        elif not isinstance(result, TmdbNotFound):
            raise _make_unavailable_problem() from result
    for tmdb_id, upserted in movies_store(movies).items():
        movie_ids[tmdb_id] = upserted.movie.pk
    return [movie_ids.get(tmdb_id) if tmdb_id is not None else None for tmdb_id in tmdb_ids]


def _find_tmdb_id(gateway: Gateway, reference: MovieReference, deadline: float) -> int | None:
    if reference.tmdb_id is not None:
        return reference.tmdb_id
    with time_limit(max(0.0, deadline - time.monotonic())):
        if reference.imdb_id is not None:
            try:
                return parse_find(gateway.fetch(make_find_request(reference.imdb_id)))
            except TmdbNotFound:
                return None
        request = make_search_request(
            query=reference.title,
            page=1,
            language=LANGUAGE,
            include_adult=False,
            year=reference.year,
        )
        page = parse_search_page(gateway.fetch(request))
    matches = {hit.id for hit in page.hits if _is_match(reference, hit)}
    return matches.pop() if len(matches) == 1 else None


def _is_match(reference: MovieReference, hit: SearchHit) -> bool:
    year = hit.release_date.year if hit.release_date else None
    title = split_words(reference.title)
    has_same_title = title in (split_words(hit.title), split_words(hit.original_title))
    return has_same_title and reference.year in (None, year)


def _make_unavailable_problem() -> Problem:
    return Problem(503, "tmdb_unavailable", "TMDb is not available at the moment. Try again later.")
