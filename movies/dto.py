"""What a source says of a film, in the catalogue's terms. Free of Django."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

# What a film's numbers may be; the models' constraints hold the same.
MAX_COUNT = 2_000_000_000
MAX_POPULARITY = 1e9
MAX_RUNTIME_MIN = 100_000
FIRST_YEAR, LAST_YEAR = 1870, 2200
NEWEST_ID = 2_147_483_647


@dataclass(frozen=True)
class PersonData:
    name: str
    tmdb_id: int | None = None
    character: str = ""


@dataclass(frozen=True)
class CollectionData:
    tmdb_id: int
    name: str


@dataclass(frozen=True)
class MovieData:
    """Validated facts: every text fits its column, every number is finite and in range."""

    title: str
    tmdb_id: int | None = None
    imdb_id: str | None = None
    original_title: str = ""
    original_language: str = ""
    release_date: date | None = None
    release_year: int | None = None
    genres: tuple[str, ...] = ()
    runtime: int | None = None
    overview: str = ""
    tagline: str = ""
    status: str = ""
    keywords: tuple[str, ...] = ()
    collection: CollectionData | None = None
    poster_path: str = ""
    backdrop_path: str = ""
    vote_average: float = 0.0
    vote_count: int = 0
    popularity: float = 0.0
    directors: tuple[PersonData, ...] = ()
    cast: tuple[PersonData, ...] = ()
    #: Whether this is an entry of a list, which says nothing of what is not in LIST_ENTRY_FIELDS.
    is_list_entry: bool = False


#: The fields that an entry of a list has.
LIST_ENTRY_FIELDS = (
    "tmdb_id",
    "title",
    "original_title",
    "original_language",
    "release_date",
    "release_year",
    "genres",
    "overview",
    "poster_path",
    "backdrop_path",
    "vote_average",
    "vote_count",
    "popularity",
)


@dataclass(frozen=True)
class MovieReference:
    """What somebody else's file says to name a film: ids where it has them, title and year."""

    title: str
    year: int | None = None
    tmdb_id: int | None = None
    imdb_id: str | None = None
    #: An id of this catalogue's, or of another instance's.
    movie_id: int | None = None
