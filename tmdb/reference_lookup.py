"""Films that somebody's file names and the catalogue does not have, brought in from TMDb.

settings.IMPORT_MOVIE_LOOKUP names `look_up_movies`, which social calls without knowing this app.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from movies.dto import MovieReference
from movies.models import Movie
from nexus.core.api.exceptions import Problem
from nexus.core.text import split_words
from tmdb import parsers as parse
from tmdb.cache import batch_client
from tmdb.client.errors import TmdbError, TmdbNotFound
from tmdb.client.http import Client, within
from tmdb.services import films_fetch, films_store

# All that one call may take, which is less than the lease of those who wait for it.
BUDGET_S = 20.0
REQUESTS_AT_ONCE = 2
_LANGUAGE = "en-US"


def look_up_movies(references: Sequence[MovieReference]) -> list[int | None]:
    """The catalogue's id of each film that TMDb has, stored where it was not; None for the others.

    By TMDb's id, else IMDb's, else title and year where TMDb has one such film. With the manners of
    batch work: within the rate budget, leaving room for those who wait. Raises Problem (503) where
    TMDb cannot be asked or does not get through them in BUDGET_S.
    """
    deadline = time.monotonic() + BUDGET_S
    client = batch_client()
    try:
        wanted = [_tmdb_id(client, reference, deadline) for reference in references]
        ids = list(dict.fromkeys(each for each in wanted if each is not None))
        known = dict(Movie.objects.filter(tmdb_id__in=ids).values_list("tmdb_id", "id"))
        fetched = films_fetch(
            [each for each in ids if each not in known],
            client.movie,
            at_once=REQUESTS_AT_ONCE,
            budget_s=max(0.0, deadline - time.monotonic()),
        )
    except TmdbError as error:
        raise _unavailable() from error
    finally:
        client.close()
    facts = []
    for each in fetched.values():
        if not isinstance(each, TmdbError):
            facts.append(each)
        elif not isinstance(each, TmdbNotFound):
            raise _unavailable() from each
    for tmdb_id, upserted in films_store(facts).items():
        known[tmdb_id] = upserted.movie.pk
    return [known.get(each) if each is not None else None for each in wanted]


def _tmdb_id(client: Client, reference: MovieReference, deadline: float) -> int | None:
    if reference.tmdb_id is not None:
        return reference.tmdb_id
    with within(max(0.0, deadline - time.monotonic())):
        if reference.imdb_id is not None:
            return parse.found_id(client.find(reference.imdb_id))
        page = parse.search_page(
            client.search_movies(
                query=reference.title,
                page=1,
                language=_LANGUAGE,
                include_adult=False,
                year=reference.year,
            )
        )
    alike = {hit.id for hit in page.hits if _is_meant(reference, hit)}
    return alike.pop() if len(alike) == 1 else None


def _is_meant(reference: MovieReference, hit: parse.SearchHit) -> bool:
    year = hit.release_date.year if hit.release_date else None
    title = split_words(reference.title)
    same_title = title in (split_words(hit.title), split_words(hit.original_title))
    return same_title and reference.year in (None, year)


def _unavailable() -> Problem:
    return Problem(503, "tmdb_unavailable", "TMDb cannot be asked at the moment.")
