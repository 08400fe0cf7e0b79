"""TMDb's JSON in the catalogue's terms; its vocabulary ends here. Free of Django.

What comes out fits its column, is finite and in range. What cannot be used raises TmdbUnusable.
Source: https://developer.themoviedb.org/reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, TypeVar

from movies.facts import (
    FIRST_YEAR,
    LAST_YEAR,
    MAX_COUNT,
    MAX_POPULARITY,
    MAX_RUNTIME_MIN,
    NEWEST_ID,
    CollectionFacts,
    MovieFacts,
    PersonFacts,
)
from nexus.core.genres import genre_of_id, in_tmdb_order
from tmdb.errors import TmdbAdult, TmdbUnusable

MAX_CAST = 20
MAX_DIRECTORS = 20
MAX_KEYWORDS = 100
# The columns of movies.models.
MAX_TITLE = 500
MAX_NAME = 300
MAX_CHARACTER = 500
MAX_TAGLINE = 1000
MAX_STATUS = 50
MAX_LANGUAGE = 10
MAX_PATH = 200
MAX_OVERVIEW = 20_000
MAX_KEYWORD = 200

_IMDB_ID = re.compile(r"tt[0-9]{7,10}", re.ASCII)
_IMAGE_PATH = re.compile(r"/[A-Za-z0-9_.-]+", re.ASCII)
_DATE = re.compile(r"([0-9]{4})-[0-9]{2}-[0-9]{2}", re.ASCII)
_UNWANTED = re.compile("[\x00\ud800-\udfff]")

T = TypeVar("T")


@dataclass(frozen=True)
class SearchHit:
    """A film as a search of TMDb's finds it; the names are TMDb's."""

    id: int
    title: str
    original_title: str
    overview: str
    release_date: date | None
    genre_ids: tuple[int, ...]
    original_language: str
    popularity: float
    vote_average: float
    vote_count: int
    adult: bool
    video: bool
    poster_path: str | None
    backdrop_path: str | None

    @property
    def genres(self) -> list[str]:
        """The names of the genres that the catalogue knows, in TMDb's order."""
        return _genre_names(self.genre_ids)


@dataclass(frozen=True)
class SearchPage:
    hits: tuple[SearchHit, ...]
    total_results: int
    total_pages: int

    def as_plain(self) -> dict[str, Any]:
        """As JSON data in TMDb's own shape, so that `search_page` reads it back."""
        results = [asdict(hit) for hit in self.hits]
        for each in results:
            released = each["release_date"]
            each["release_date"] = released.isoformat() if released else None
            each["genre_ids"] = list(each["genre_ids"])
        return {
            "results": results,
            "total_results": self.total_results,
            "total_pages": self.total_pages,
        }


def search_page(document: Any) -> SearchPage:
    """A page of /search/movie; a hit that makes no sense is left out.

    Raises TmdbUnusable where it is no such page, or no hit of it makes sense.
    """
    page = _object(document, "a page")
    results = page.get("results")
    if not isinstance(results, list):
        raise TmdbUnusable("a page without results")
    hits = _usable(_hit, results)
    if results and not hits:
        raise TmdbUnusable("a page of which no film can be read")
    return SearchPage(
        hits=tuple(hits),
        total_results=_whole(page.get("total_results"), "total_results", MAX_COUNT),
        total_pages=_whole(page.get("total_pages"), "total_pages", MAX_COUNT),
    )


def movie(document: Any, *, tmdb_id: int) -> MovieFacts:
    """The film of /movie/{id} with credits and keywords appended.

    Raises TmdbUnusable where it is not that film, TmdbAdult where it is not for this catalogue.
    """
    film = _object(document, "a film")
    if _id(film) != tmdb_id:
        raise TmdbUnusable("a film other than the one asked for")
    if _flag(film, "adult"):
        raise TmdbAdult("an adult title")
    credits_ = _object(film.get("credits") or {}, "credits")
    keywords = _object(film.get("keywords") or {}, "keywords")
    released = _date(film, "release_date")
    return MovieFacts(
        tmdb_id=tmdb_id,
        imdb_id=_imdb_id(film),
        title=_name(film, "title", MAX_TITLE),
        original_title=_text(film, "original_title", MAX_TITLE),
        original_language=_language(film),
        release_date=released,
        release_year=released.year if released else None,
        genres=tuple(_genre_names(_usable(_id, _list(film, "genres")))),
        runtime_min=_runtime_min(film),
        overview=_text(film, "overview", MAX_OVERVIEW),
        tagline=_text(film, "tagline", MAX_TAGLINE),
        status=_text(film, "status", MAX_STATUS),
        keywords=_keywords(keywords),
        collection=_collection(film),
        poster_path=_image_path(film, "poster_path") or "",
        backdrop_path=_image_path(film, "backdrop_path") or "",
        vote_average=_number(film, "vote_average", highest=10.0),
        vote_count=_count(film, "vote_count"),
        popularity=_number(film, "popularity", highest=MAX_POPULARITY),
        directors=_directors(credits_),
        cast=_cast(credits_),
    )


def _hit(document: Any) -> SearchHit:
    film = _object(document, "a film")
    return SearchHit(
        id=_id(film),
        title=_name(film, "title", MAX_TITLE),
        original_title=_text(film, "original_title", MAX_TITLE),
        overview=_text(film, "overview", MAX_OVERVIEW),
        release_date=_date(film, "release_date"),
        genre_ids=tuple(_whole(each, "genre_ids", NEWEST_ID) for each in _list(film, "genre_ids")),
        original_language=_language(film),
        popularity=_number(film, "popularity", highest=MAX_POPULARITY),
        vote_average=_number(film, "vote_average", highest=10.0),
        vote_count=_count(film, "vote_count"),
        adult=_flag(film, "adult"),
        video=_flag(film, "video"),
        poster_path=_image_path(film, "poster_path"),
        backdrop_path=_image_path(film, "backdrop_path"),
    )


def _directors(credits_: dict[str, Any]) -> tuple[PersonFacts, ...]:
    crew = [each for each in _list(credits_, "crew") if isinstance(each, dict)]
    directors = [each for each in crew if each.get("job") == "Director"]
    return tuple(_usable(_person, directors)[:MAX_DIRECTORS])


def _cast(credits_: dict[str, Any]) -> tuple[PersonFacts, ...]:
    cast = [each for each in _list(credits_, "cast") if isinstance(each, dict)]
    return tuple(_usable(_person, sorted(cast, key=_billing))[:MAX_CAST])


def _billing(member: dict[str, Any]) -> int:
    order = member.get("order")
    # Who has no place in the billing stands behind those who have.
    return order if type(order) is int and order >= 0 else NEWEST_ID


def _person(document: Any) -> PersonFacts:
    person = _object(document, "a person")
    return PersonFacts(
        name=_name(person, "name", MAX_NAME),
        tmdb_id=_id(person),
        character=_text(person, "character", MAX_CHARACTER),
    )


def _collection(film: dict[str, Any]) -> CollectionFacts | None:
    found = film.get("belongs_to_collection")
    if found is None:
        return None
    collection = _object(found, "belongs_to_collection")
    return CollectionFacts(tmdb_id=_id(collection), name=_name(collection, "name", MAX_TITLE))


def _keywords(document: dict[str, Any]) -> tuple[str, ...]:
    names = _usable(
        lambda each: _name(_object(each, "a keyword"), "name", MAX_KEYWORD).lower(),
        _list(document, "keywords"),
    )
    return tuple(dict.fromkeys(names))[:MAX_KEYWORDS]


def _runtime_min(film: dict[str, Any]) -> int | None:
    """Minutes; 0 is TMDb's way to say that it does not know."""
    minutes = film.get("runtime")
    if minutes is None:
        return None
    return _whole(minutes, "runtime", MAX_RUNTIME_MIN) or None


def _imdb_id(film: dict[str, Any]) -> str | None:
    found = _text(film, "imdb_id", MAX_NAME)
    return found if _IMDB_ID.fullmatch(found) else None


def _genre_names(tmdb_ids: list[int] | tuple[int, ...]) -> list[str]:
    names = (genre_of_id(tmdb_id) for tmdb_id in tmdb_ids)
    return in_tmdb_order(name for name in names if name is not None)


# --- One value of an object ----------------------------------------------------------------------


def _usable(read: Callable[[Any], T], documents: list[Any]) -> list[T]:
    """What can be read; one bad entry of a list is left out and spoils nothing."""
    found = []
    for document in documents:
        try:
            found.append(read(document))
        except TmdbUnusable:
            continue
    return found


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TmdbUnusable(f"{what} that is not an object")
    return value


def _list(source: dict[str, Any], name: str) -> list[Any]:
    value = source.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise TmdbUnusable(f"{name} that is not a list")
    return value


def _text(source: dict[str, Any], name: str, longest: int) -> str:
    """The text, cut to its column and freed of what PostgreSQL cannot store; null is empty."""
    value = source.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TmdbUnusable(f"{name} that is not a text")
    return _UNWANTED.sub("", value).strip()[:longest].rstrip()


def _name(source: dict[str, Any], name: str, longest: int) -> str:
    value = _text(source, name, longest)
    if not value:
        raise TmdbUnusable(f"no {name}")
    return value


def _language(film: dict[str, Any]) -> str:
    return _text(film, "original_language", MAX_LANGUAGE).lower()


def _image_path(film: dict[str, Any], name: str) -> str | None:
    """`/name.jpg`, or None: what is more than one plain name would lead elsewhere in an address."""
    path = _text(film, name, MAX_PATH + 1)
    return path if _IMAGE_PATH.fullmatch(path) and len(path) <= MAX_PATH else None


def _date(source: dict[str, Any], name: str) -> date | None:
    """The day; None where TMDb knows none, or one that no film can have."""
    text = _text(source, name, MAX_NAME)
    found = _DATE.fullmatch(text)
    if found is None or not FIRST_YEAR <= int(found[1]) <= LAST_YEAR:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _flag(source: dict[str, Any], name: str) -> bool:
    value = source.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise TmdbUnusable(f"{name} that is neither true nor false")
    return value


def _whole(value: Any, name: str, highest: int) -> int:
    if type(value) is not int or not 0 <= value <= highest:
        raise TmdbUnusable(f"{name} that is not a whole number from 0 to {highest}")
    return value


def _id(document: Any) -> int:
    """TMDb's id of the thing. Raises TmdbUnusable where it is no positive number."""
    tmdb_id = _whole(_object(document, "a thing").get("id"), "id", NEWEST_ID)
    if tmdb_id == 0:
        raise TmdbUnusable("id 0")
    return tmdb_id


def _count(source: dict[str, Any], name: str) -> int:
    value = source.get(name)
    return 0 if value is None else _whole(value, name, MAX_COUNT)


def _number(source: dict[str, Any], name: str, *, highest: float) -> float:
    value = source.get(name)
    if value is None:
        return 0.0
    # NaN and infinity fail the comparison as well.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest:
        raise TmdbUnusable(f"{name} that is not a number from 0 to {highest:g}")
    return float(value)
