"""What is kept of TMDb, under which key, and how it is asked for what is not."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import requests
from django.conf import settings

from movies.dto import MovieData
from tmdb import parsers as parse
from tmdb.aside import Cached as Cached
from tmdb.aside import cached as cached
from tmdb.client.http import BATCH_BUDGET_S, BATCH_RETRIES, Client
from tmdb.gateway import SharedGate


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


def movie_key(tmdb_id: int) -> str:
    return f"tmdb:movie:{tmdb_id}"


@lru_cache(maxsize=4)
def client_for(base_url: str, credential: str) -> Client:
    """The client of these settings; one a process, so that its connections and slots are shared."""
    gate = gate_for(base_url, credential)
    return Client(requests.Session(), base_url=base_url, credential=credential, gate=gate)


@lru_cache(maxsize=4)
def gate_for(base_url: str, credential: str) -> SharedGate:
    return SharedGate(base_url=base_url, credential=credential, processes=settings.WEB_CONCURRENCY)


def batch_client() -> Client:
    """A client for commands: it waits for its turn, leaves room for those who wait, tries longer."""
    base_url, credential = settings.TMDB_BASE_URL, settings.TMDB_TOKEN
    gate = SharedGate(
        base_url=base_url, credential=credential, processes=settings.WEB_CONCURRENCY, patient=True
    )
    return Client(
        requests.Session(),
        base_url=base_url,
        credential=credential,
        budget_s=BATCH_BUDGET_S,
        retries=BATCH_RETRIES,
        gate=gate,
    )


def gate() -> SharedGate:
    """The gate of the settings' credential."""
    return gate_for(settings.TMDB_BASE_URL, settings.TMDB_TOKEN)


def search(terms: SearchTerms) -> Cached[parse.SearchPage]:
    """A page of TMDb's search. Raises TmdbError where there is trouble and no copy."""

    def fetch() -> dict[str, Any]:
        document = client().search_movies(
            query=terms.query,
            page=terms.page,
            language=terms.language,
            include_adult=terms.include_adult,
            year=terms.year,
        )
        return parse.search_page(document).as_plain()

    return cached(search_key(terms), kind="search", fetch=fetch, read=parse.search_page)


def movie(tmdb_id: int, *, anew: bool = False) -> MovieData:
    """A film as TMDb has it now, or with `anew` false had it a moment ago.

    Raises TmdbNotFound where TMDb does not know it, TmdbAdult where it is not for the catalogue,
    and any other TmdbError where TMDb is in trouble.
    """

    def read(document: Any) -> MovieData:
        return parse.movie(document, tmdb_id=tmdb_id)

    def fetch() -> Any:
        document = client().movie(tmdb_id)
        read(document)
        return document

    return cached(movie_key(tmdb_id), kind="movie", fetch=fetch, read=read, anew=anew).value


def client() -> Client:
    """The client for requests that wait."""
    return client_for(settings.TMDB_BASE_URL, settings.TMDB_TOKEN)
