"""TMDb's lists for somebody who waits: read through the cache, stored in the catalogue once a copy.

Each film of a list gets its id here that way, and can be rated and scored. What a list does not say
of it is fetched when it is first asked for.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from movies.models import Movie
from movies.services.upsert import movies_upsert
from nexus.core.cache import client as core_cache
from tmdb import aside
from tmdb import parsers as parse
from tmdb.aside import Cached
from tmdb.cache import client
from tmdb.client.errors import TmdbError, TmdbNotFound, TmdbUnusable
from tmdb.parsers import SearchPage

# TMDb cuts its lists into pages of this length; ours reach this many of them deep.
PAGE_SIZE = 20
MAX_PAGES = 5
# A page that was stored is not stored again for this long, unless it says something new.
STORED_TTL_S = 86_400
_REMEMBERED_PAGES = 256
# The lists are asked for in one language; regions and adult titles are not asked for at all.
_LANGUAGE = "en-US"


def list_key(name: str, page: int) -> str:
    return f"tmdb:list:{name}:{_LANGUAGE}:{page}"


def find_key(imdb_id: str) -> str:
    return f"tmdb:find:{imdb_id}"


def genres_key() -> str:
    return f"tmdb:genres:{_LANGUAGE}"


def trending_page(window: str, page: int) -> Cached[SearchPage]:
    """A page of what TMDb's visitors look at; `window` is `day` or `week`. Raises TmdbError."""
    return aside.cached(
        list_key(f"trending-{window}", page),
        kind="list",
        fetch=_plain(lambda: client().trending(window=window, page=page)),
        read=parse.search_page,
    )


def found_tmdb_id(imdb_id: str) -> int:
    """TMDb's id of the film with this id of IMDb's. Raises TmdbError; TmdbNotFound for none."""

    def fetch() -> int:
        tmdb_id = parse.found_id(client().find(imdb_id))
        if tmdb_id is None:
            raise TmdbNotFound("unknown to TMDb")
        return tmdb_id

    return aside.cached(find_key(imdb_id), kind="find", fetch=fetch, read=_as_id).value


def alike_pages(tmdb_id: int) -> list[SearchPage]:
    """What TMDb recommends beside a film, then what it finds similar, as far as copies are held.

    TMDb is never waited for: what is missing or stale is fetched in the background, for the next
    who asks.
    """
    asked: dict[str, Callable[[], Any]] = {
        "recommendations": lambda: client().recommendations(tmdb_id),
        "similar": lambda: client().similar(tmdb_id),
    }
    pages = []
    for name, ask in asked.items():
        key = list_key(f"{name}-{tmdb_id}", 1)
        copy = aside.peek(key, read=parse.search_page)
        if copy is None or copy.stale:
            aside.refresh(key, kind="list", fetch=_plain(ask))
        if copy is not None:
            pages.append(copy.value)
    return pages


def genre_names(page: SearchPage) -> dict[int, str]:
    """The catalogue's names of genre ids it does not know, by TMDb's own list; none in trouble."""
    if not page.unknown_genres:
        return {}

    def fetch() -> dict[str, Any]:
        document = client().genres(language=_LANGUAGE)
        parse.genre_names(document)
        return {"genres": document["genres"][:200]}

    try:
        return aside.cached(genres_key(), kind="genres", fetch=fetch, read=parse.genre_names).value
    except TmdbError:
        return {}


def pages_store(pages: Sequence[SearchPage]) -> set[int]:
    """TMDb's ids of the films of some pages that are for the catalogue, and in it.

    What is new of the pages is stored in one upsert, the first time they are seen; from then on
    they are only read, in one query.
    """
    named = [parse.list_page(page, genre_names(page)) for page in pages]
    marks = [_mark(page) for page in pages]
    tmdb_ids = {fact.tmdb_id for each in named for fact in each.facts if fact.tmdb_id is not None}

    def is_stored() -> bool:
        held = Movie.objects.filter(tmdb_id__in=tmdb_ids)
        return all(_stored.knows(mark) for mark in marks) and held.count() == len(tmdb_ids)

    if tmdb_ids and not is_stored():
        with _stored.lock:
            # Who waited for the lock finds them stored.
            if not is_stored():
                facts = [fact for each in named for fact in each.facts]
                movies_upsert(movies=facts, source=Movie.Source.TMDB)
                for mark in marks:
                    _stored.remember(mark)
    return tmdb_ids


def _plain(ask: Callable[[], Any]) -> Callable[[], dict[str, Any]]:
    """`ask` for a page, checked, as the JSON data that search_page reads back."""
    return partial(_checked_page, ask)


def _checked_page(ask: Callable[[], Any]) -> dict[str, Any]:
    return parse.search_page(ask()).as_plain()


def _as_id(value: Any) -> int:
    if type(value) is not int or value < 1:
        raise TmdbUnusable("a copy that is not an id")
    return value


def _mark(page: SearchPage) -> str:
    """The same for the same content."""
    content = json.dumps(page.as_plain()["results"], sort_keys=True)
    return f"tmdb:stored:{hashlib.sha256(content.encode()).hexdigest()[:40]}"


class _Stored:
    """Which pages have been stored: by all workers, and by this one where there is no cache."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._pages: OrderedDict[str, float] = OrderedDict()

    def knows(self, mark: str) -> bool:
        if time.monotonic() < self._pages.get(mark, 0.0):
            return True
        return core_cache.get(mark) is True

    def remember(self, mark: str) -> None:
        self._pages[mark] = time.monotonic() + STORED_TTL_S
        while len(self._pages) > _REMEMBERED_PAGES:
            self._pages.popitem(last=False)
        core_cache.set(mark, True, ttl_s=STORED_TTL_S)


_stored = _Stored()
