"""Data transfer objects: a movie as a source such as TMDb describes it. Free of Django."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from movies.availability import AvailabilityData

# The ranges of a movie's numbers; constraints of the model enforce them too.
MAX_COUNT = 2_000_000_000
MAX_POPULARITY = 1e9
MAX_RUNTIME_MIN = 100_000
FIRST_YEAR, LAST_YEAR = 1870, 2200
MAX_TMDB_ID = 2_147_483_647
#: Of one movie. TMDb has some 80 of the best known.
MAX_TRANSLATIONS = 150
#: Collections that are not TMDb's have ids from here on. TMDb's are below 10 million.
FIRST_OWN_COLLECTION_ID = 2_000_000_000


@dataclass(frozen=True)
class PersonData:
    name: str
    tmdb_id: int | None = None
    character: str = ""
    popularity: float = 0.0


@dataclass(frozen=True)
class CollectionData:
    """A series of movies. `tmdb_id` is from FIRST_OWN_COLLECTION_ID on if TMDb does not know it."""

    tmdb_id: int
    name: str


@dataclass(frozen=True)
class TranslationData:
    """The texts of a movie in one language; those that the source lacks are empty."""

    #: ISO 639-1, and ISO 3166-1 or empty.
    language: str
    region: str
    title: str = ""
    overview: str = ""
    tagline: str = ""


@dataclass(frozen=True)
class MovieData:
    """A movie as a source describes it. Every text fits its column, every number is in range.

    Fields that `movies.models.Movie` has too have the same names: the upsert copies them by name.
    """

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
    #: None if the source says nothing of translations.
    translations: tuple[TranslationData, ...] | None = None
    #: None if the source says nothing of offers, videos and releases.
    availability: AvailabilityData | None = None
    #: Whether this is an entry of a list, in which only LIST_ENTRY_FIELDS are known; in the list of
    #: the parts of a series `collection`, too.
    is_list_entry: bool = False

    @property
    def translated_titles(self) -> list[tuple[str, str]]:
        """The languages and titles of the translations, as they are read once stored."""
        ordered = sorted(self.translations or (), key=lambda one: (one.language, one.region))
        return [(one.language, one.title) for one in ordered if one.title]

    @property
    def people(self) -> tuple[PersonData, ...]:
        return (*self.directors, *self.cast)


#: The fields that an entry of a list contains.
LIST_ENTRY_FIELDS = frozenset(
    {
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
    }
)


@dataclass(frozen=True)
class MovieReference:
    """A movie as an imported file names it: by title and year, and by the ids that the file has."""

    title: str
    year: int | None = None
    tmdb_id: int | None = None
    imdb_id: str | None = None
    #: An id in this catalogue, or in that of another instance.
    movie_id: int | None = None


@dataclass(frozen=True)
class LookupResult:
    """The movie that a reference means in another source, such as TMDb, or those that it may mean.

    All of them are stored in the catalogue.
    """

    movie_id: int | None = None
    candidates: tuple[int, ...] = ()
    #: What the source was searched for, in words.
    query: str = ""
    #: What the source has under the reference's id if that is no movie, such as “a series”.
    other_media: str = ""
