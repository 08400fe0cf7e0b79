"""Store movies from TMDb in the catalogue.

TMDb is always called outside a transaction, so that a slow response holds no lock.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from typing import Literal

from django.db import DataError, IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

from movies.dto import MovieData
from movies.models import Collection, GenreName, Movie, Provider
from movies.services.availability import provider_list_replace
from movies.services.catalogue import movie_mark_removed
from movies.services.upsert import UpsertResult, movies_upsert
from nexus.core.cache import client as cache_client
from tmdb import cache
from tmdb.client.errors import TmdbAuthFailed, TmdbError, TmdbNotConfigured, TmdbNotFound
from tmdb.client.http import make_movie_request
from tmdb.gateway import TIME_LIMIT_S, Gateway, time_limit
from tmdb.parsers import SearchPage, parse_movie, select_catalogue_entries

MAX_BULK_IMPORT = 20
# Half of the requests that may be in flight; the other half is for searches at the same time.
BULK_THREADS = 2
# A movie whose details could not be fetched is shown without them, and not retried, for this long.
DETAILS_RETRY_AFTER_S = 30
# A list page that was stored is not stored again for this long, unless its content changes.
STORED_PAGE_TTL_S = 86_400
MAX_REMEMBERED_PAGES = 256
# Storing a movie of a series lets its parts be read again if they were read longer ago than this.
MAX_COLLECTION_AGE = timedelta(days=7)

_LOG = logging.getLogger(__name__)

BulkStatus = Literal["created", "existing", "not_found", "error"]


# --- Imports that members request ----------------------------------------------------------------


def movie_import(*, tmdb_id: int, refresh: bool = False) -> UpsertResult:
    """Store a movie of TMDb with all details, or refresh it if it is stale or `refresh` is set.

    While TMDb fails a stored movie is returned as it is; for a new one TmdbError is raised.
    """
    stored = Movie.objects.filter(tmdb_id=tmdb_id).first()
    if stored is not None and not (refresh or stored.is_refresh_due):
        return UpsertResult(stored, created=False)
    try:
        movie = cache.get_movie(tmdb_id, refresh=refresh)
    except TmdbError as error:
        if stored is None:
            raise
        if isinstance(error, TmdbNotFound):
            movie_mark_removed(movie=stored)
        return UpsertResult(stored, created=False)
    result = movies_upsert_with_series(movies=[movie])[0]
    _request_genre_names()
    return result


def _request_genre_names() -> None:
    """Let the task worker fetch the names of genres in other languages, unless they are stored."""
    if GenreName.objects.exists():
        return
    # By its name, because the tasks import this module.
    deferrer = app.configure_task("tmdb.tasks.sync_genre_names", queueing_lock="sync_genre_names")
    with suppress(AlreadyEnqueued), transaction.atomic():
        deferrer.defer(timestamp=0)


def movie_import_by_imdb_id(*, imdb_id: str, refresh: bool = False) -> UpsertResult:
    """Import a movie by its IMDb id; look up its TMDb id at TMDb if the catalogue lacks it."""
    stored = Movie.objects.filter(imdb_id=imdb_id).first()
    if stored is not None and stored.tmdb_id is not None:
        return movie_import(tmdb_id=stored.tmdb_id, refresh=refresh)
    if stored is not None and not refresh:
        return UpsertResult(stored, created=False)
    try:
        return movie_import(tmdb_id=cache.get_tmdb_id(imdb_id), refresh=refresh)
    except TmdbError:
        if stored is None:
            raise
        return UpsertResult(stored, created=False)


@dataclass(frozen=True)
class BulkImportResult:
    tmdb_id: int
    status: BulkStatus
    movie_id: int | None


def movies_import(*, tmdb_ids: Sequence[int]) -> list[BulkImportResult]:
    """Import up to MAX_BULK_IMPORT movies; return one result per given id, in order.

    All share the time limit of one request; a movie that is not fetched in time is an `error` and
    does not affect the others. Raises TmdbNotConfigured or TmdbAuthFailed if no movie could be
    fetched because of it, and TmdbUnavailable if too many requests wait for TMDb already.
    """
    stored = {movie.tmdb_id: movie for movie in Movie.objects.filter(tmdb_id__in=set(tmdb_ids))}
    missing = [
        tmdb_id
        for tmdb_id in dict.fromkeys(tmdb_ids)
        if tmdb_id not in stored or stored[tmdb_id].is_refresh_due
    ]
    fetched: dict[int, MovieData | TmdbError] = {}
    if missing:
        tmdb_cache = cache.get_cache()
        with tmdb_cache.occupy_waiting_slot():
            fetched = fetch_movies(
                missing, tmdb_cache.gateway, threads=BULK_THREADS, time_limit_s=TIME_LIMIT_S
            )
    upserted = movies_store([movie for movie in fetched.values() if isinstance(movie, MovieData)])
    results = {}
    for tmdb_id in dict.fromkeys(tmdb_ids):
        is_not_found = isinstance(fetched.get(tmdb_id), TmdbNotFound)
        if tmdb_id in upserted:
            status: BulkStatus = "created" if upserted[tmdb_id].created else "existing"
            results[tmdb_id] = BulkImportResult(tmdb_id, status, upserted[tmdb_id].movie.pk)
        elif tmdb_id in stored:
            if is_not_found:
                movie_mark_removed(movie=stored[tmdb_id])
            results[tmdb_id] = BulkImportResult(tmdb_id, "existing", stored[tmdb_id].pk)
        else:
            status = "not_found" if is_not_found else "error"
            results[tmdb_id] = BulkImportResult(tmdb_id, status, None)
    if all(result.status == "error" for result in results.values()):
        for error in fetched.values():
            if isinstance(error, TmdbNotConfigured | TmdbAuthFailed):
                raise error
    return [results[tmdb_id] for tmdb_id in tmdb_ids]


def movie_complete(*, movie: Movie) -> bool:
    """Fetch a movie's details if they are missing or stale; return whether they were stored.

    While TMDb fails the movie stays as it is stored.
    """
    if not movie.is_refresh_due:
        return False
    assert movie.tmdb_id is not None
    failure_key = f"tmdb:details_failed:{movie.tmdb_id}"
    if cache_client.get(failure_key) is not None:
        return False
    try:
        fetched = cache.get_movie(movie.tmdb_id)
    except TmdbNotFound:
        movie_mark_removed(movie=movie)
        return False
    except TmdbError:
        cache_client.set(failure_key, True, ttl_s=DETAILS_RETRY_AFTER_S)
        return False
    movies_upsert_with_series(movies=[fetched])
    return True


def providers_ensure() -> None:
    """Store TMDb's list of providers if there is none yet. Raises TmdbError."""
    if not Provider.objects.exclude(priorities={}).exists():
        provider_list_replace(providers=cache.get_providers())


# --- Fetching and storing several movies ---------------------------------------------------------


def fetch_movies(
    tmdb_ids: Iterable[int], gateway: Gateway, *, threads: int, time_limit_s: float
) -> dict[int, MovieData | TmdbError]:
    """Fetch movies in a few threads within one time limit; return a movie or an error per id."""
    ids = list(tmdb_ids)
    if not ids:
        return {}
    deadline = time.monotonic() + time_limit_s
    fetch = partial(_fetch_movie, gateway=gateway, deadline=deadline)
    with ThreadPoolExecutor(threads, thread_name_prefix="tmdb-movies") as executor:
        return dict(zip(ids, executor.map(fetch, ids), strict=True))


def _fetch_movie(tmdb_id: int, *, gateway: Gateway, deadline: float) -> MovieData | TmdbError:
    try:
        with time_limit(max(0.0, deadline - time.monotonic())):
            return parse_movie(gateway.fetch(make_movie_request(tmdb_id)), tmdb_id=tmdb_id)
    except TmdbError as error:
        return error


def movies_store(movies: Sequence[MovieData]) -> dict[int, UpsertResult]:
    """Store movies in one transaction, or one by one if the database rejects any of them.

    Returns the results by TMDb id; a movie that cannot be stored is logged and left out.
    """
    if not movies:
        return {}
    try:
        return _upsert_by_tmdb_id(movies)
    except (DataError, IntegrityError):
        results: dict[int, UpsertResult] = {}
        for movie in movies:
            try:
                results |= _upsert_by_tmdb_id([movie])
            except (DataError, IntegrityError):
                _LOG.exception("The database rejected TMDb's movie %s.", movie.tmdb_id)
        return results


def _upsert_by_tmdb_id(movies: Sequence[MovieData]) -> dict[int, UpsertResult]:
    results = movies_upsert_with_series(movies=movies)
    return {movie.tmdb_id or 0: result for movie, result in zip(movies, results, strict=True)}


@transaction.atomic
def movies_upsert_with_series(*, movies: Sequence[MovieData]) -> list[UpsertResult]:
    """Store movies of TMDb, and let the task worker complete the series of those with details.

    Returns one result for each movie, in order.
    """
    results = movies_upsert(movies=movies, source=Movie.Source.TMDB)
    tmdb_ids = {
        movie.collection.tmdb_id
        for movie in movies
        if movie.collection is not None and not movie.is_list_entry
    }
    if tmdb_ids:
        _request_collections(tmdb_ids)
    return results


def _request_collections(tmdb_ids: set[int]) -> None:
    """Let the task worker read the parts of series that were not read within MAX_COLLECTION_AGE."""
    due = Collection.objects.filter(
        Q(synced_at=None) | Q(synced_at__lt=timezone.now() - MAX_COLLECTION_AGE),
        tmdb_id__in=tmdb_ids,
    )
    for tmdb_id in due.order_by("tmdb_id").values_list("tmdb_id", flat=True):
        # By its name, because the tasks import this module.
        deferrer = app.configure_task(
            "tmdb.tasks.sync_collection", queueing_lock=f"collection:{tmdb_id}"
        )
        with suppress(AlreadyEnqueued), transaction.atomic():
            deferrer.defer(tmdb_id=tmdb_id)


# --- Pages of TMDb's lists -----------------------------------------------------------------------


class _StoredPages:
    """Remembers which list pages are stored: in Valkey for all workers, and in this process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._expiry_by_key: OrderedDict[str, float] = OrderedDict()

    def contains(self, key: str) -> bool:
        if time.monotonic() < self._expiry_by_key.get(key, 0.0):
            return True
        return cache_client.get(key) is True

    def add(self, key: str) -> None:
        self._expiry_by_key[key] = time.monotonic() + STORED_PAGE_TTL_S
        while len(self._expiry_by_key) > MAX_REMEMBERED_PAGES:
            self._expiry_by_key.popitem(last=False)
        cache_client.set(key, True, ttl_s=STORED_PAGE_TTL_S)


_stored_pages = _StoredPages()


def list_pages_store(pages: Sequence[SearchPage]) -> set[int]:
    """Store the movies of list pages unless they are stored already; return their TMDb ids.

    Adult titles and videos are left out. Pages that are stored already take one query.
    """
    entries = [select_catalogue_entries(page, cache.get_genre_names(page)) for page in pages]
    movies = [movie for page_entries in entries for movie in page_entries.movies]
    tmdb_ids = {movie.tmdb_id for movie in movies if movie.tmdb_id is not None}
    keys = [_make_stored_page_key(page) for page in pages]
    if tmdb_ids and not _are_stored(keys, tmdb_ids):
        with _stored_pages.lock:
            # Another thread may have stored them while this one waited for the lock.
            if not _are_stored(keys, tmdb_ids):
                movies_upsert(movies=movies, source=Movie.Source.TMDB)
                for key in keys:
                    _stored_pages.add(key)
    return tmdb_ids


def _are_stored(keys: Sequence[str], tmdb_ids: set[int]) -> bool:
    if not all(_stored_pages.contains(key) for key in keys):
        return False
    return Movie.objects.filter(tmdb_id__in=tmdb_ids).count() == len(tmdb_ids)


def _make_stored_page_key(page: SearchPage) -> str:
    """Return a key that changes with the content of the page's entries."""
    content = json.dumps([asdict(hit) for hit in page.hits], sort_keys=True, default=str)
    return f"tmdb:stored_page:{hashlib.sha256(content.encode()).hexdigest()[:40]}"
