"""TMDb's JSON in the catalogue's terms; its vocabulary ends here. Free of Django.

What comes out fits its column, is finite and in range. What cannot be used raises TmdbUnusable.
Source: https://developer.themoviedb.org/reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any, TypeVar

from movies.dto import (
    FIRST_YEAR,
    LAST_YEAR,
    MAX_COUNT,
    MAX_POPULARITY,
    MAX_RUNTIME_MIN,
    MAX_TMDB_ID,
    CollectionData,
    MovieData,
    PersonData,
)
from nexus.core.genres import find_genre, find_genre_by_id, sort_genres
from tmdb.client.errors import TmdbAdult, TmdbUnusable, TmdbVideo

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
class Refused:
    """What of TMDb's is not stored, and why."""

    tmdb_id: int | None
    reason: str


@dataclass(frozen=True)
class SearchPage:
    """A page of a search, or of any other list of films."""

    hits: tuple[SearchHit, ...]
    total_results: int
    total_pages: int
    #: What could not be read; not kept by `as_plain`.
    refused: tuple[Refused, ...] = field(default=(), compare=False)

    @property
    def unknown_genres(self) -> set[int]:
        """The genre ids of its films that the catalogue does not know."""
        return {
            genre_id
            for hit in self.hits
            for genre_id in hit.genre_ids
            if find_genre_by_id(genre_id) is None
        }

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
    """A page of /search/movie or of another list; a hit that makes no sense is left out.

    Raises TmdbUnusable where it is no such page, or no hit of it makes sense.
    """
    page = _object(document, "a page")
    results = page.get("results")
    if not isinstance(results, list):
        raise TmdbUnusable("a page without results")
    hits, refused = [], []
    for each in results:
        try:
            hits.append(_hit(each))
        except TmdbUnusable as error:
            refused.append(Refused(_id_or_none(each), str(error)))
    if results and not hits:
        raise TmdbUnusable("a page of which no film can be read")
    return SearchPage(
        hits=tuple(hits),
        total_results=_whole(page.get("total_results"), "total_results", MAX_COUNT),
        total_pages=_whole(page.get("total_pages"), "total_pages", MAX_COUNT),
        refused=tuple(refused),
    )


_NO_NAMES: Mapping[int, str] = {}


def listed(hit: SearchHit, genre_names: Mapping[int, str] = _NO_NAMES) -> MovieData:
    """What an entry of a list says of a film, with the catalogue's names of further genre ids.

    Raises TmdbAdult and TmdbVideo where it is not for this catalogue.
    """
    if hit.adult:
        raise TmdbAdult("an adult title")
    if hit.video:
        raise TmdbVideo("a video, not a film")
    return MovieData(
        tmdb_id=hit.id,
        title=hit.title,
        original_title=hit.original_title,
        original_language=hit.original_language,
        release_date=hit.release_date,
        release_year=hit.release_date.year if hit.release_date else None,
        genres=tuple(_genre_names(hit.genre_ids, genre_names)),
        overview=hit.overview,
        poster_path=hit.poster_path or "",
        backdrop_path=hit.backdrop_path or "",
        vote_average=hit.vote_average,
        vote_count=hit.vote_count,
        popularity=hit.popularity,
        is_list_entry=True,
    )


@dataclass(frozen=True)
class ListPage:
    """A page of a list as facts in TMDb's order, and what of it is not stored."""

    facts: tuple[MovieData, ...]
    refused: tuple[Refused, ...]
    total_pages: int


def list_page(page: SearchPage, genre_names: Mapping[int, str] = _NO_NAMES) -> ListPage:
    """The films of a page that are for this catalogue."""
    facts, refused = [], list(page.refused)
    for hit in page.hits:
        try:
            facts.append(listed(hit, genre_names))
        except (TmdbAdult, TmdbVideo) as error:
            refused.append(Refused(hit.id, str(error)))
    return ListPage(tuple(facts), tuple(refused), page.total_pages)


def genre_names(document: Any) -> dict[int, str]:
    """/genre/movie/list in English: the catalogue's name of each id that it has one for."""
    genres = _list(_object(document, "a list of genres"), "genres")
    if not genres:
        raise TmdbUnusable("no genres")
    named = {}
    for each in _usable(lambda genre: (_id(genre), _name(genre, "name", MAX_NAME)), genres):
        name = find_genre(each[1])
        if name is not None:
            named[each[0]] = name
    return named


def found_id(document: Any) -> int | None:
    """The film of /find/{imdb_id}; None where TMDb has none under that id."""
    films = _list(_object(document, "a find"), "movie_results")
    found = _usable(_id, films)
    if films and not found:
        raise TmdbUnusable("a find of which no film can be read")
    return found[0] if found else None


@dataclass(frozen=True)
class ChangesPage:
    tmdb_ids: tuple[int, ...]
    total_pages: int


def changes_page(document: Any) -> ChangesPage:
    """A page of /movie/changes; entries without an id, as TMDb has some, are left out."""
    page = _object(document, "a page")
    if not isinstance(page.get("results"), list):
        raise TmdbUnusable("a page without results")
    return ChangesPage(
        tmdb_ids=tuple(_usable(_id, page["results"])),
        total_pages=_whole(page.get("total_pages"), "total_pages", MAX_COUNT),
    )


@dataclass(frozen=True)
class ExportedFilm:
    """A line of TMDb's daily export of ids."""

    tmdb_id: int
    original_title: str
    popularity: float


def exported(document: Any) -> ExportedFilm:
    """A film of the export. Raises TmdbUnusable, and TmdbAdult or TmdbVideo as `listed` does."""
    film = _object(document, "a line")
    if _flag(film, "adult"):
        raise TmdbAdult("an adult title")
    if _flag(film, "video"):
        raise TmdbVideo("a video, not a film")
    return ExportedFilm(
        tmdb_id=_id(film),
        original_title=_name(film, "original_title", MAX_TITLE),
        popularity=_number(film, "popularity", highest=MAX_POPULARITY),
    )


def movie(document: Any, *, tmdb_id: int) -> MovieData:
    """The film of /movie/{id} with credits and keywords appended.

    Raises TmdbUnusable where it is not that film, TmdbAdult or TmdbVideo where it is not for this
    catalogue.
    """
    film = _object(document, "a film")
    if _id(film) != tmdb_id:
        raise TmdbUnusable("a film other than the one asked for")
    if _flag(film, "adult"):
        raise TmdbAdult("an adult title")
    if _flag(film, "video"):
        raise TmdbVideo("a video, not a film")
    credits_ = _object(film.get("credits") or {}, "credits")
    keywords = _object(film.get("keywords") or {}, "keywords")
    released = _date(film, "release_date")
    return MovieData(
        tmdb_id=tmdb_id,
        imdb_id=_imdb_id(film),
        title=_name(film, "title", MAX_TITLE),
        original_title=_text(film, "original_title", MAX_TITLE),
        original_language=_language(film),
        release_date=released,
        release_year=released.year if released else None,
        genres=tuple(sort_genres(filter(None, _usable(_genre, _list(film, "genres"))))),
        runtime=_runtime(film),
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
        genre_ids=tuple(
            _whole(each, "genre_ids", MAX_TMDB_ID) for each in _list(film, "genre_ids")
        ),
        original_language=_language(film),
        popularity=_number(film, "popularity", highest=MAX_POPULARITY),
        vote_average=_number(film, "vote_average", highest=10.0),
        vote_count=_count(film, "vote_count"),
        adult=_flag(film, "adult"),
        video=_flag(film, "video"),
        poster_path=_image_path(film, "poster_path"),
        backdrop_path=_image_path(film, "backdrop_path"),
    )


def _directors(credits_: dict[str, Any]) -> tuple[PersonData, ...]:
    crew = [each for each in _list(credits_, "crew") if isinstance(each, dict)]
    directors = [each for each in crew if each.get("job") == "Director"]
    return tuple(_usable(_person, directors)[:MAX_DIRECTORS])


def _cast(credits_: dict[str, Any]) -> tuple[PersonData, ...]:
    cast = [each for each in _list(credits_, "cast") if isinstance(each, dict)]
    return tuple(_usable(_person, sorted(cast, key=_billing))[:MAX_CAST])


def _billing(member: dict[str, Any]) -> int:
    order = member.get("order")
    # Who has no place in the billing stands behind those who have.
    return order if type(order) is int and order >= 0 else MAX_TMDB_ID


def _person(document: Any) -> PersonData:
    person = _object(document, "a person")
    return PersonData(
        name=_name(person, "name", MAX_NAME),
        tmdb_id=_id(person),
        character=_text(person, "character", MAX_CHARACTER),
    )


def _collection(film: dict[str, Any]) -> CollectionData | None:
    found = film.get("belongs_to_collection")
    if found is None:
        return None
    collection = _object(found, "belongs_to_collection")
    return CollectionData(tmdb_id=_id(collection), name=_name(collection, "name", MAX_TITLE))


def _keywords(document: dict[str, Any]) -> tuple[str, ...]:
    names = _usable(
        lambda each: _name(_object(each, "a keyword"), "name", MAX_KEYWORD).lower(),
        _list(document, "keywords"),
    )
    return tuple(dict.fromkeys(names))[:MAX_KEYWORDS]


def _runtime(film: dict[str, Any]) -> int | None:
    """Minutes; 0 is TMDb's way to say that it does not know."""
    minutes = film.get("runtime")
    if minutes is None:
        return None
    return _whole(minutes, "runtime", MAX_RUNTIME_MIN) or None


def _imdb_id(film: dict[str, Any]) -> str | None:
    found = _text(film, "imdb_id", MAX_NAME)
    return found if _IMDB_ID.fullmatch(found) else None


def _genre(document: Any) -> str | None:
    """By its id, or by its name where TMDb has given the genre a new one."""
    return find_genre_by_id(_id(document)) or find_genre(_text(document, "name", MAX_NAME))


def _genre_names(tmdb_ids: Iterable[int], more: Mapping[int, str] = _NO_NAMES) -> list[str]:
    names = (find_genre_by_id(tmdb_id) or more.get(tmdb_id) for tmdb_id in tmdb_ids)
    return sort_genres(name for name in names if name is not None)


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
    tmdb_id = _whole(_object(document, "a thing").get("id"), "id", MAX_TMDB_ID)
    if tmdb_id == 0:
        raise TmdbUnusable("id 0")
    return tmdb_id


def _id_or_none(document: Any) -> int | None:
    try:
        return _id(document)
    except TmdbUnusable:
        return None


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
