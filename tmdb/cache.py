"""TMDb's responses in Valkey: one function per resource, over a stale-while-revalidate cache.

Services and selectors call these functions; on a miss the cache calls `tmdb.gateway`. Rules:

- A fresh copy is returned. A stale copy is returned, too, and the task worker refreshes it (tmdb.tasks).
- On a miss one request over all workers fetches the resource, and the others wait for its result.
- TmdbNotFound is cached briefly; no other error is cached.
- Few requests may wait for TMDb; the others get TmdbUnavailable at once.

While Valkey is down each process fetches for itself, still once per key at a time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, Generic, Literal, TypeGuard, TypeVar

from django.conf import settings
from django.db import DatabaseError, transaction
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from prometheus_client import Counter, Histogram

from movies.availability import ProviderData
from movies.dto import MovieData
from nexus.core.cache import client as cache_client
from nexus.core.cache import locks
from tmdb import parsers
from tmdb.client.errors import (
    TmdbAdultTitle,
    TmdbError,
    TmdbInvalidResponse,
    TmdbNotFound,
    TmdbUnavailable,
    TmdbVideo,
)
from tmdb.client.http import (
    LANGUAGE,
    TmdbRequest,
    make_find_request,
    make_genres_request,
    make_movie_request,
    make_providers_request,
    make_recommendations_request,
    make_search_request,
    make_similar_request,
    make_trending_request,
)
from tmdb.gateway import (
    MIN_TIME_LEFT_S,
    TIME_LIMIT_S,
    Gateway,
    build_gateway,
    compute_deadline,
    time_limit,
)
from tmdb.parsers import SearchPage

T = TypeVar("T")
Source = Literal["fresh", "stale", "tmdb"]
ResourceKind = Literal["search", "list", "find", "genres", "providers", "movie"]

# For how many seconds a copy is fresh.
TTL_S: dict[ResourceKind, int] = {
    "search": 3_600,
    "list": 3_600,
    "find": 86_400,
    "genres": 604_800,
    # The catalogue stores it, and tmdb.sync.configuration renews it.
    "providers": 60,
    # The catalogue stores the movie; this copy serves requests at the same time.
    "movie": 60,
}
NOT_FOUND_TTL_S = 300
# For how much longer a copy may be served stale; a movie is never served stale.
STALE_TTL_S = 86_400
# Each TTL varies by this share, so that copies stored together do not expire together.
TTL_JITTER = 0.1

# Longer than almost every successful fetch; a worker that dies is replaced while others still wait.
LOCK_TTL_S = 2.5
# The poll interval of a request that waits for another worker's fetch, at first and at most.
POLL_S = (0.02, 0.1)
# A stale copy is queued for the task worker this often at most.
REFRESH_INTERVAL_S = 10.0
# For how long the task worker finds what it should request.
REFRESH_REQUEST_TTL_S = 3_600
# Per process. Two workers then wait for four requests, as many as the circuit breaker lets through.
MAX_WAITING = 2
# Requests beyond MAX_WAITING may share a running fetch of their key until it is this old. TMDb
# usually responds within 0.1 s, so that a crowd is served together, and does not wait for a slow fetch.
SHARED_FETCH_WAIT_S = 0.5
READ_COUNTS_WINDOW_S = 3600

READS = Counter(
    "nexus_tmdb_reads_total",
    "Reads of TMDb's cached responses: fresh (hits), stale (stale_hits) and absent (misses).",
    ["outcome"],
)
COPY_AGE = Histogram(
    "nexus_tmdb_copy_age_seconds",
    "Age of the cached copies that were served.",
    buckets=(60, 600, 3600, 6 * 3600, 86_400, 2 * 86_400, 7 * 86_400),
)
_NOT_FOUND_ERRORS = {error.__name__: error for error in (TmdbNotFound, TmdbAdultTitle, TmdbVideo)}
_MAX_TIMESTAMP = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class TmdbResource(Generic[T]):
    """A response of TMDb: its cache key, the kind that decides its TTL, its request and parser."""

    key: str
    kind: ResourceKind
    request: TmdbRequest
    parse: Callable[[Any], T]


@dataclass(frozen=True)
class CachedValue(Generic[T]):
    """A parsed response and its source: a fresh copy, a stale copy, or TMDb just now."""

    value: T
    source: Source
    #: When TMDb sent it.
    as_of: datetime
    age_s: int

    @property
    def is_stale(self) -> bool:
        return self.source == "stale"


# --- Resources -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class SearchTerms:
    """Everything that a page of a search depends on."""

    query: str
    page: int
    language: str
    include_adult: bool
    year: int | None = None

    @property
    def cache_key(self) -> str:
        # TMDb ignores case and spacing, but not always accents.
        query = " ".join(self.query.casefold().split())
        terms = [query, self.page, self.language, self.include_adult, self.year]
        # Hashed, because a query may contain any characters and be long.
        digest = hashlib.sha256(json.dumps(terms).encode()).hexdigest()[:40]
        return f"tmdb:search:{digest}"


def search_movies(terms: SearchTerms) -> CachedValue[SearchPage]:
    """Return a page of TMDb's search. Raises TmdbError."""
    request = make_search_request(
        query=terms.query,
        page=terms.page,
        language=terms.language,
        include_adult=terms.include_adult,
        year=terms.year,
    )
    resource = TmdbResource(terms.cache_key, "search", request, parsers.parse_search_page)
    return get_cache().get(resource)


def get_movie(tmdb_id: int, *, refresh: bool = False) -> MovieData:
    """Return a movie; with `refresh` as TMDb has it now, not from a copy. Raises TmdbError."""
    parse = partial(parsers.parse_movie, tmdb_id=tmdb_id)
    resource = TmdbResource(f"tmdb:movie:{tmdb_id}", "movie", make_movie_request(tmdb_id), parse)
    return get_cache().get(resource, refresh=refresh).value


def get_tmdb_id(imdb_id: str) -> int:
    """Return TMDb's id of the movie with an IMDb id. Raises TmdbError; TmdbNotFound for none."""
    request = make_find_request(imdb_id)
    resource = TmdbResource(f"tmdb:find:{imdb_id}", "find", request, parsers.parse_find)
    return get_cache().get(resource).value


def get_trending_page(window: str, page: int) -> CachedValue[SearchPage]:
    """Return a page of TMDb's trend of the `day` or `week`. Raises TmdbError."""
    request = make_trending_request(window=window, page=page)
    return get_cache().get(_make_list_resource(f"trending-{window}", request, page=page))


def get_cached_related_pages(tmdb_id: int) -> list[SearchPage]:
    """Return the cached pages of TMDb's recommendations for a movie and of its similar movies.

    Never waits for TMDb: the task worker fetches an absent or stale page for later requests.
    """
    cache = get_cache()
    pages = []
    for resource in (
        _make_list_resource(f"recommendations-{tmdb_id}", make_recommendations_request(tmdb_id)),
        _make_list_resource(f"similar-{tmdb_id}", make_similar_request(tmdb_id)),
    ):
        copy = cache.get_without_waiting(resource)
        if copy is not None:
            pages.append(copy.value)
    return pages


def get_genre_names(page: SearchPage) -> dict[int, str]:
    """Return the catalogue's names of a page's unknown genre ids from TMDb's list of genres.

    Empty if the page has no unknown genre or TMDb is unavailable.
    """
    if not page.unknown_genres:
        return {}
    key = f"tmdb:genres:{LANGUAGE}"
    resource = TmdbResource(key, "genres", make_genres_request(), parsers.parse_genre_names)
    try:
        return get_cache().get(resource).value
    except TmdbError:
        return {}


def get_providers() -> list[ProviderData]:
    """Return all providers with their regions. Raises TmdbError."""
    request = make_providers_request()
    key = f"tmdb:providers:{LANGUAGE}"
    resource = TmdbResource(key, "providers", request, parsers.parse_provider_list)
    return get_cache().get(resource).value


def _make_list_resource(
    name: str, request: TmdbRequest, *, page: int = 1
) -> TmdbResource[SearchPage]:
    key = f"tmdb:list:{name}:{LANGUAGE}:{page}"
    return TmdbResource(key, "list", request, parsers.parse_search_page)


def get_cache() -> StaleWhileRevalidateCache:
    """Return this process's cache for the TMDb of the settings."""
    return build_cache(settings.TMDB_BASE_URL, settings.TMDB_TOKEN)


@lru_cache(maxsize=4)
def build_cache(base_url: str, credential: str) -> StaleWhileRevalidateCache:
    return StaleWhileRevalidateCache(build_gateway(base_url=base_url, credential=credential))


def get_read_counts() -> dict[str, int]:
    """Return the reads of the last one to two hours: fresh hits, stale hits and misses."""
    window = int(time.time() // READ_COUNTS_WINDOW_S)
    counts = [cache_client.get_fields(_make_read_counts_key(n)) for n in (window, window - 1)]
    names = ("hits", "stale_hits", "misses")
    return {name: sum(count.get(name, 0) for count in counts) for name in names}


# --- Cache ---------------------------------------------------------------------------------------


@dataclass
class _RunningFetch:
    """A fetch of this process that other requests for the same key wait for."""

    result: Future[Any] = field(default_factory=Future)
    started: float = field(default_factory=time.monotonic)


class StaleWhileRevalidateCache:
    """The rules of this module for one gateway, within one process and across all workers.

    A miss goes through three steps: `_fetch_in_one_thread` lets one thread of this process fetch a key,
    `_fetch_in_one_worker` one process of all, and `_fetch` calls the gateway and stores the copy.
    """

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._lock = threading.Lock()
        self._fetches: dict[str, _RunningFetch] = {}
        self._waiting = 0

    def get(self, resource: TmdbResource[T], *, refresh: bool = False) -> CachedValue[T]:
        """Return the resource from its copy or from TMDb; with `refresh` only from TMDb.

        Raises TmdbNotFound if TMDb has no such movie, and another TmdbError if TMDb fails and there
        is no copy.
        """
        started = time.time()
        if not refresh:
            copy = self._read_and_count(resource)
            if copy is not None:
                if copy.is_stale:
                    _request_refresh(resource)
                return copy
        _count_read("misses")
        with time_limit(TIME_LIMIT_S):
            return self._fetch_in_one_thread(resource, stored_after=started if refresh else 0.0)

    def get_without_waiting(self, resource: TmdbResource[T]) -> CachedValue[T] | None:
        """Return the fresh or stale copy, or None; unless it is fresh, the task worker fetches it."""
        try:
            copy = _read_copy(resource)
        except TmdbNotFound:
            return None
        if copy is None or copy.is_stale:
            _request_refresh(resource)
        return copy

    def refresh(self, key: str) -> None:
        """Fetch the resource with this key, if a read has requested it and no process fetches it."""
        resource = _read_requested_resource(key)
        if resource is None:
            return
        token = locks.acquire_lock(_make_lock_key(resource), ttl_s=LOCK_TTL_S)
        if token is None or token == locks.UNSHARED_LOCK:
            return
        try:
            with time_limit(TIME_LIMIT_S):
                self._fetch(resource)
        except TmdbError:
            # The gateway has logged it, and the stale copy remains.
            pass
        finally:
            locks.release_lock(_make_lock_key(resource), token)

    @contextmanager
    def occupy_waiting_slot(self) -> Iterator[None]:
        """Count the block as one of the MAX_WAITING requests that may wait for TMDb.

        For a caller that uses the gateway directly. Raises TmdbUnavailable if all slots are occupied.
        """
        with self._lock:
            if self._waiting >= MAX_WAITING:
                raise _make_too_many_waiting_error()
            self._waiting += 1
        try:
            yield
        finally:
            with self._lock:
                self._waiting -= 1

    def _read_and_count(self, resource: TmdbResource[T]) -> CachedValue[T] | None:
        try:
            copy = _read_copy(resource)
        except TmdbNotFound:
            _count_read("hits")
            raise
        if copy is not None:
            COPY_AGE.observe(copy.age_s)
            _count_read("stale_hits" if copy.is_stale else "hits")
        return copy

    def _fetch_in_one_thread(
        self, resource: TmdbResource[T], *, stored_after: float
    ) -> CachedValue[T]:
        """Fetch the resource, or wait for a thread of this process that is fetching it."""
        with self._lock:
            has_slot = self._waiting < MAX_WAITING
            fetch = self._fetches.get(resource.key)
            is_first = fetch is None
            if fetch is None:
                if not has_slot:
                    raise _make_too_many_waiting_error()
                fetch = self._fetches[resource.key] = _RunningFetch()
            self._waiting += has_slot
        try:
            if is_first:
                return self._fetch_and_share(fetch, resource, stored_after=stored_after)
            shared: CachedValue[T] = _wait_for(
                fetch, TIME_LIMIT_S if has_slot else SHARED_FETCH_WAIT_S
            )
            return shared
        finally:
            with self._lock:
                self._waiting -= has_slot

    def _fetch_and_share(
        self, fetch: _RunningFetch, resource: TmdbResource[T], *, stored_after: float
    ) -> CachedValue[T]:
        """Fetch the resource and give the result or the error to the threads that wait for it."""
        try:
            value = self._fetch_in_one_worker(resource, stored_after=stored_after)
        except BaseException as error:
            self._end_fetch(resource.key)
            fetch.result.set_exception(error)
            raise
        self._end_fetch(resource.key)
        fetch.result.set_result(value)
        return value

    def _end_fetch(self, key: str) -> None:
        with self._lock:
            del self._fetches[key]

    def _fetch_in_one_worker(
        self, resource: TmdbResource[T], *, stored_after: float
    ) -> CachedValue[T]:
        """Fetch the resource, or wait for the copy of a worker that is fetching it."""
        deadline = compute_deadline(TIME_LIMIT_S)
        poll_s, max_poll_s = POLL_S
        while True:
            token = locks.acquire_lock(_make_lock_key(resource), ttl_s=LOCK_TTL_S)
            try:
                # Only now, because the last holder of the lock has stored a copy before releasing it.
                copy = _read_copy(resource, stored_after=stored_after)
                if copy is not None:
                    return copy
                if token is not None:
                    return self._fetch(resource)
            finally:
                if token is not None:
                    locks.release_lock(_make_lock_key(resource), token)
            if time.monotonic() + poll_s > deadline - MIN_TIME_LEFT_S:
                raise TmdbUnavailable("another worker's request takes too long", retry_after_s=1)
            time.sleep(poll_s)
            poll_s = min(poll_s * 1.5, max_poll_s)

    def _fetch(self, resource: TmdbResource[T]) -> CachedValue[T]:
        """Fetch the resource from TMDb and store it."""
        try:
            document = self.gateway.fetch(resource.request)
            value = resource.parse(document)
        except TmdbNotFound as error:
            _store_copy(resource.key, {"not_found": type(error).__name__}, NOT_FOUND_TTL_S, 0)
            raise
        jitter = random.uniform(1 - TTL_JITTER, 1 + TTL_JITTER)  # noqa: S311 (not a secret)
        ttl_s = max(1, round(TTL_S[resource.kind] * jitter))
        stale_ttl_s = 0 if resource.kind == "movie" else STALE_TTL_S
        stored_at = _store_copy(resource.key, {"document": document}, ttl_s, stale_ttl_s)
        return CachedValue(value, "tmdb", datetime.fromtimestamp(stored_at, UTC), age_s=0)


def _wait_for(fetch: _RunningFetch, max_wait_s: float) -> Any:
    """Return the result of another thread's fetch; stop waiting when it is `max_wait_s` old."""
    deadline = min(compute_deadline(TIME_LIMIT_S), fetch.started + max_wait_s)
    try:
        return fetch.result.result(timeout=max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        raise _make_too_many_waiting_error() from None


def _make_too_many_waiting_error() -> TmdbUnavailable:
    return TmdbUnavailable("too many requests wait for TMDb", retry_after_s=1)


# --- Refreshes in the task worker ----------------------------------------------------------------

# Movies are missing here: a movie is never served stale.
_PARSERS: dict[str, Callable[[Any], Any]] = {
    "search": parsers.parse_search_page,
    "list": parsers.parse_search_page,
    "find": parsers.parse_find,
    "genres": parsers.parse_genre_names,
    "providers": parsers.parse_provider_list,
}


def _request_refresh(resource: TmdbResource[Any]) -> None:
    """Let the task worker fetch the resource, unless that was requested a moment ago.

    The job names the key alone; the request, which may contain what somebody searches for, is in the
    cache.
    """
    token = locks.acquire_lock(_make_request_key(resource.key) + ":lock", ttl_s=REFRESH_INTERVAL_S)
    if token is None or token == locks.UNSHARED_LOCK:
        return
    request = {"kind": resource.kind, **asdict(resource.request)}
    cache_client.set(_make_request_key(resource.key), request, ttl_s=REFRESH_REQUEST_TTL_S)
    # By its name, because the task imports this module.
    deferrer = app.configure_task("tmdb.tasks.refresh_copy", queueing_lock=resource.key)
    try:
        with transaction.atomic():
            deferrer.defer(key=resource.key)
    except AlreadyEnqueued:
        pass
    except (ConnectorException, DatabaseError) as error:
        # The stale copy needs no database.
        _LOG.warning("The refresh of %s was not queued: %s", resource.key, error)


def _read_requested_resource(key: str) -> TmdbResource[Any] | None:
    request = cache_client.get(_make_request_key(key))
    if not isinstance(request, dict) or request.get("kind") not in _PARSERS:
        return None
    kind = request.pop("kind")
    try:
        return TmdbResource(key, kind, TmdbRequest(**request), _PARSERS[kind])
    except TypeError:
        return None


def _make_request_key(key: str) -> str:
    return f"{key}:request"


# --- Copies --------------------------------------------------------------------------------------


def _read_copy(resource: TmdbResource[T], *, stored_after: float = 0.0) -> CachedValue[T] | None:
    """Return the copy stored after a time, or None. Raises TmdbNotFound if that is cached."""
    copy = cache_client.get(resource.key)
    if not isinstance(copy, dict):
        return None
    now = time.time()
    stored_at, fresh_until = copy.get("stored_at"), copy.get("fresh_until")
    if not _is_timestamp(stored_at) or not _is_timestamp(fresh_until):
        return None
    if not stored_after <= stored_at <= now + 1:
        return None
    is_fresh = now < fresh_until
    if "not_found" in copy:
        if not is_fresh:
            return None
        error_class = _NOT_FOUND_ERRORS.get(str(copy["not_found"]), TmdbNotFound)
        raise error_class("TMDb had no such movie a moment ago")
    try:
        value = resource.parse(copy.get("document"))
    except (TmdbInvalidResponse, TmdbNotFound):
        return None
    return CachedValue(
        value,
        "fresh" if is_fresh else "stale",
        as_of=datetime.fromtimestamp(stored_at, UTC),
        age_s=max(0, int(now - stored_at)),
    )


def _is_timestamp(value: Any) -> TypeGuard[float]:
    # NaN fails the comparison, too.
    return isinstance(value, int | float) and 0 <= value < _MAX_TIMESTAMP


def _store_copy(key: str, content: dict[str, Any], ttl_s: int, stale_ttl_s: int) -> float:
    """Store a copy and return its time, `stored_at`."""
    now = time.time()
    copy = {"stored_at": now, "fresh_until": now + ttl_s, **content}
    cache_client.set(key, copy, ttl_s=ttl_s + stale_ttl_s)
    return now


def _make_lock_key(resource: TmdbResource[T]) -> str:
    return f"{resource.key}:lock"


def _count_read(outcome: str) -> None:
    READS.labels(outcome).inc()
    window = int(time.time() // READ_COUNTS_WINDOW_S)
    cache_client.incr_field(_make_read_counts_key(window), outcome, ttl_s=2 * READ_COUNTS_WINDOW_S)


def _make_read_counts_key(window: int) -> str:
    return f"tmdb:read_counts:{window}"
