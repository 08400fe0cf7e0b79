"""Cache-aside around the client: fresh copies first, then TMDb, and an old copy in its trouble."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import requests
from django.conf import settings

from movies.facts import MovieFacts
from nexus.core import cache
from tmdb import parse
from tmdb.client import Client
from tmdb.errors import TmdbAdult, TmdbError, TmdbNotFound, TmdbUnusable

T = TypeVar("T")

_MISSING, _ADULT = "missing", "adult"


@dataclass(frozen=True)
class SearchTerms:
    """What one page of a search depends on, and all that it depends on."""

    query: str
    page: int
    language: str
    include_adult: bool
    year: int | None = None


def search_key(terms: SearchTerms) -> str:
    # Case and spacing make no difference to TMDb; accents may.
    folded = " ".join(terms.query.casefold().split())
    parts = [folded, terms.page, terms.language, terms.include_adult, terms.year]
    # Hashed: what somebody searched for may hold anything, of any length.
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]
    return f"tmdb:search:{digest}"


def missing_key(tmdb_id: int) -> str:
    return f"tmdb:missing:{tmdb_id}"


@lru_cache(maxsize=4)
def client_for(base_url: str, credential: str) -> Client:
    """The client of these settings; one a process, so that its connections and slots are shared."""
    return Client(requests.Session(), base_url=base_url, credential=credential)


def search(terms: SearchTerms) -> parse.SearchPage:
    """A page of TMDb's search, no older than its TTL unless TMDb is in trouble.

    Raises TmdbError where there is trouble and no copy.
    """
    key = search_key(terms)
    stored_at, page = _stored_page(key)
    if page is not None and 0 <= time.time() - stored_at < cache.TTL_S["tmdb_search"]:
        return page
    try:
        return _flights.fly(key, lambda: _fetched_search(key, terms))
    except TmdbError:
        if page is None:
            raise
        return page


def movie(tmdb_id: int) -> MovieFacts:
    """A film as TMDb has it now; only that it has none is remembered, for a short time.

    Raises TmdbNotFound where TMDb does not know it, TmdbAdult where it is not for the catalogue,
    and any other TmdbError where TMDb is in trouble.
    """
    key = missing_key(tmdb_id)
    known = cache.get(key)
    if known == _MISSING:
        raise TmdbNotFound("unknown to TMDb")
    if known == _ADULT:
        raise TmdbAdult("an adult title")
    return _flights.fly(f"tmdb:movie:{tmdb_id}", lambda: _fetched_movie(key, tmdb_id))


def _stored_page(key: str) -> tuple[float, parse.SearchPage | None]:
    """When the copy was stored, and the copy; what cannot be read is none."""
    entry = cache.get(key)
    if not isinstance(entry, dict) or not isinstance(entry.get("stored_at"), int | float):
        return 0.0, None
    try:
        return entry["stored_at"], parse.search_page(entry.get("page"))
    except TmdbUnusable:
        return 0.0, None


def _fetched_search(key: str, terms: SearchTerms) -> parse.SearchPage:
    document = _client().search_movies(
        query=terms.query,
        page=terms.page,
        language=terms.language,
        include_adult=terms.include_adult,
        year=terms.year,
    )
    page = parse.search_page(document)
    entry = {"stored_at": time.time(), "page": page.as_plain()}
    cache.put(key, entry, ttl_s=cache.TTL_S["tmdb_search"] + cache.TTL_S["tmdb_stale"])
    return page


def _fetched_movie(key: str, tmdb_id: int) -> MovieFacts:
    try:
        return parse.movie(_client().movie(tmdb_id), tmdb_id=tmdb_id)
    except TmdbNotFound as error:
        reason = _ADULT if isinstance(error, TmdbAdult) else _MISSING
        cache.put(key, reason, ttl_s=cache.TTL_S["tmdb_missing"])
        raise


def _client() -> Client:
    return client_for(settings.TMDB_BASE_URL, settings.TMDB_TOKEN)


class _Flights:
    """One call at a time for one key in this process: who comes meanwhile shares its outcome."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, Future[Any]] = {}

    def fly(self, key: str, fetch: Callable[[], T]) -> T:
        with self._lock:
            flight = self._running.get(key)
            if flight is None:
                own: Future[Any] = Future()
                self._running[key] = own
        if flight is not None:
            result: T = flight.result()
            return result
        try:
            found = fetch()
        except BaseException as error:
            self._land(key)
            own.set_exception(error)
            raise
        self._land(key)
        own.set_result(found)
        return found

    def _land(self, key: str) -> None:
        with self._lock:
            del self._running[key]


_flights = _Flights()
