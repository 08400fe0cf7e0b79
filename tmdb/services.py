"""Writes to the catalogue of what TMDb says."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from django.db import DataError, IntegrityError

from movies.dto import MovieData
from movies.models import Movie
from movies.selectors import get_movie_detail
from movies.services.catalogue import movie_mark_removed
from movies.services.upsert import UpsertResult, movies_upsert
from nexus.core.cache import client as core_cache
from tmdb import aside, cache
from tmdb import parsers as parse
from tmdb import trending as lists
from tmdb.client.errors import TmdbAuthFailed, TmdbError, TmdbNotConfigured, TmdbNotFound
from tmdb.client.http import BUDGET_S, within

BULK_MAX = 20
# Half of what may be in flight: who searches meanwhile is not held up.
BULK_AT_ONCE = 2
# A film whose details could not be had is shown without them, and not asked for, for this long.
TRIED_TTL_S = 30

_LOG = logging.getLogger(__name__)

BulkStatus = Literal["created", "existing", "not_found", "error"]


@dataclass(frozen=True)
class BulkImported:
    """What became of one film of a bulk import."""

    tmdb_id: int
    status: BulkStatus
    movie_id: int | None


def movie_import(*, tmdb_id: int, refresh: bool = False) -> UpsertResult:
    """Have the film of this TMDb id in the catalogue, complete, brought up to date where stale.

    A film that is held is served as it is while TMDb is in trouble; for a new one TmdbError is
    raised. TMDb is asked outside of any transaction, so that its slowness holds no lock.
    """
    known = Movie.objects.filter(tmdb_id=tmdb_id).first()
    if known is not None and not (refresh or known.is_refresh_due):
        return UpsertResult(known, created=False)
    try:
        facts = cache.movie(tmdb_id, anew=refresh)
    except TmdbError as error:
        if known is None:
            raise
        if isinstance(error, TmdbNotFound):
            movie_mark_removed(movie=known)
        return UpsertResult(known, created=False)
    return movies_upsert(movies=[facts], source=Movie.Source.TMDB)[0]


def movie_import_by_imdb_id(*, imdb_id: str, refresh: bool = False) -> UpsertResult:
    """The same for an id of IMDb's, which TMDb is asked for unless the catalogue knows it."""
    known = Movie.objects.filter(imdb_id=imdb_id).first()
    if known is not None and known.tmdb_id is not None:
        return movie_import(tmdb_id=known.tmdb_id, refresh=refresh)
    if known is not None and not refresh:
        return UpsertResult(known, created=False)
    try:
        return movie_import(tmdb_id=lists.found_tmdb_id(imdb_id), refresh=refresh)
    except TmdbError:
        if known is None:
            raise
        return UpsertResult(known, created=False)


def movies_import(*, tmdb_ids: Sequence[int]) -> list[BulkImported]:
    """Have these films in the catalogue; one result for each id given, in order.

    All within the budget of one request; what it does not reach is an `error`, and one film's
    trouble is its own. Raises TmdbNotConfigured or TmdbAuthFailed where that kept every film away,
    and TmdbUnavailable where too many requests wait for TMDb already.
    """
    known = {movie.tmdb_id: movie for movie in Movie.objects.filter(tmdb_id__in=set(tmdb_ids))}
    asked = [
        tmdb_id
        for tmdb_id in dict.fromkeys(tmdb_ids)
        if tmdb_id not in known or known[tmdb_id].is_refresh_due
    ]
    found: dict[int, MovieData | TmdbError] = {}
    if asked:
        with aside.place():
            found = films_fetch(
                asked, cache.client().movie, at_once=BULK_AT_ONCE, budget_s=BUDGET_S
            )
    stored = films_store([each for each in found.values() if isinstance(each, MovieData)])
    results = {}
    for tmdb_id in dict.fromkeys(tmdb_ids):
        error = found.get(tmdb_id)
        if tmdb_id in stored:
            status: BulkStatus = "created" if stored[tmdb_id].created else "existing"
            results[tmdb_id] = BulkImported(tmdb_id, status, stored[tmdb_id].movie.pk)
        elif tmdb_id in known:
            if isinstance(error, TmdbNotFound):
                movie_mark_removed(movie=known[tmdb_id])
            results[tmdb_id] = BulkImported(tmdb_id, "existing", known[tmdb_id].pk)
        else:
            status = "not_found" if isinstance(error, TmdbNotFound) else "error"
            results[tmdb_id] = BulkImported(tmdb_id, status, None)
    if all(each.status == "error" for each in results.values()):
        for each in found.values():
            if isinstance(each, TmdbNotConfigured | TmdbAuthFailed):
                raise each
    return [results[tmdb_id] for tmdb_id in tmdb_ids]


def movie_shown(movie_id: int) -> Movie | None:
    """A film with people and collection, completed or refreshed where it wants that.

    TMDb is asked once, within the budget of a request; in its trouble the film is as it is held.
    """
    film = get_movie_detail(movie_id)
    if film is None or not film.is_refresh_due:
        return film
    assert film.tmdb_id is not None
    tried = f"tmdb:tried:{film.tmdb_id}"
    if core_cache.get(tried) is not None:
        return film
    try:
        facts = cache.movie(film.tmdb_id)
    except TmdbNotFound:
        movie_mark_removed(movie=film)
        return film
    except TmdbError:
        core_cache.set(tried, True, ttl_s=TRIED_TTL_S)
        return film
    movies_upsert(movies=[facts], source=Movie.Source.TMDB)
    return get_movie_detail(movie_id)


def films_fetch(
    tmdb_ids: Iterable[int], ask: Callable[[int], Any], *, at_once: int, budget_s: float
) -> dict[int, MovieData | TmdbError]:
    """What TMDb says of each film, or why it does not: a few at a time, all within the budget."""
    deadline = time.monotonic() + budget_s

    def fetch(tmdb_id: int) -> MovieData | TmdbError:
        try:
            with within(max(0.0, deadline - time.monotonic())):
                return parse.movie(ask(tmdb_id), tmdb_id=tmdb_id)
        except TmdbError as error:
            return error

    wanted = list(tmdb_ids)
    if not wanted:
        return {}
    with ThreadPoolExecutor(at_once, thread_name_prefix="tmdb-films") as threads:
        return dict(zip(wanted, threads.map(fetch, wanted), strict=True))


def films_store(facts: Sequence[MovieData]) -> dict[int, UpsertResult]:
    """Store films in one transaction, or each in its own where one of them cannot be stored.

    By TMDb's id; a film that cannot be stored is left out, and written to the log.
    """
    if not facts:
        return {}
    try:
        return _upserted(facts)
    except (DataError, IntegrityError):
        stored: dict[int, UpsertResult] = {}
        for fact in facts:
            try:
                stored |= _upserted([fact])
            except (DataError, IntegrityError):
                _LOG.exception("TMDb's film %s cannot be stored.", fact.tmdb_id)
        return stored


def _upserted(facts: Sequence[MovieData]) -> dict[int, UpsertResult]:
    done = movies_upsert(movies=facts, source=Movie.Source.TMDB)
    return {fact.tmdb_id or 0: each for fact, each in zip(facts, done, strict=True)}
