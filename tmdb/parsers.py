"""Parse TMDb's JSON into this project's classes; no other module reads TMDb's field names.

`tmdb.cache` and `tmdb.sync` parse what `tmdb.gateway` returns; `movies.services.upsert` stores the
result. Every text fits its column and every number is finite and in range; a document
that cannot be used raises TmdbInvalidResponse. Free of Django.
Source: https://developer.themoviedb.org/reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, TypeVar

from movies.availability import (
    MAX_PROVIDER_ID,
    MONETIZATIONS,
    RELEASE_KINDS,
    AvailabilityData,
    Offer,
    ProviderData,
    ReleaseData,
    VideoData,
)
from movies.dto import (
    FIRST_YEAR,
    LAST_YEAR,
    MAX_COUNT,
    MAX_POPULARITY,
    MAX_RUNTIME_MIN,
    MAX_TMDB_ID,
    MAX_TRANSLATIONS,
    CollectionData,
    MovieData,
    PersonData,
    TranslationData,
)
from nexus.core.genres import find_genre, find_genre_by_id, sort_genres
from tmdb.client.errors import TmdbAdultTitle, TmdbInvalidResponse, TmdbNotFound, TmdbVideo

MAX_CAST = 20
MAX_DIRECTORS = 20
MAX_KEYWORDS = 100
# The lengths of the columns of movies.models.
MAX_TITLE = 500
MAX_NAME = 300
MAX_CHARACTER = 500
MAX_TAGLINE = 1000
MAX_STATUS = 50
MAX_LANGUAGE = 10
MAX_PATH = 200
MAX_OVERVIEW = 20_000
MAX_KEYWORD = 200
MAX_TRANSLATED_OVERVIEW = 4_000
MAX_GENRE = 100
MAX_PROVIDER = 200
MAX_LINK = 300
MAX_CERTIFICATION = 50
MAX_NOTE = 200
# Of one movie. The most that any has at TMDb are some 1,500 offers and 300 releases.
MAX_OFFERS = 5_000
MAX_VIDEOS = 60
MAX_RELEASES = 1_000
#: Of one series.
MAX_PARTS = 500

_IMDB_ID = re.compile(r"tt[0-9]{7,10}", re.ASCII)
_IMAGE_PATH = re.compile(r"/[A-Za-z0-9_.-]+", re.ASCII)
_REGION = re.compile(r"[A-Z]{2}", re.ASCII)
_LANGUAGE_TAG = re.compile(r"([a-z]{2,3})-([A-Z]{2})", re.ASCII)
_LANGUAGE_CODE = re.compile(r"[a-z]{2,3}", re.ASCII)
_LINK = re.compile(r"https://www\.themoviedb\.org/[\w./%-]*", re.ASCII)
# What YouTube's and Vimeo's keys consist of: others would lead elsewhere in a URL.
_VIDEO_KEY = re.compile(r"[A-Za-z0-9_-]{1,100}", re.ASCII)
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,16}Z", re.ASCII)
_DATE = re.compile(r"([0-9]{4})-[0-9]{2}-[0-9]{2}", re.ASCII)
# PostgreSQL cannot store these characters.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# The lists of a find result without movies, and what they contain.
_OTHER_MEDIA = {
    "tv_results": "a series",
    "tv_season_results": "a season of a series",
    "tv_episode_results": "an episode of a series",
    "person_results": "a person",
}
_NO_GENRE_NAMES: Mapping[int, str] = {}

T = TypeVar("T")


# --- Searches and lists --------------------------------------------------------------------------


@dataclass(frozen=True)
class SearchHit:
    """An entry of a search or of another list, under TMDb's field names."""

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
        """The names of its genres that the catalogue knows, in TMDb's order."""
        return _name_genres(self.genre_ids)


@dataclass(frozen=True)
class RejectedEntry:
    """An entry of a list that is not stored, and why."""

    tmdb_id: int | None
    reason: str


@dataclass(frozen=True)
class SearchPage:
    """A page of a search or of another list of movies."""

    hits: tuple[SearchHit, ...]
    total_results: int
    total_pages: int
    rejected: tuple[RejectedEntry, ...] = field(default=(), compare=False)

    @property
    def unknown_genres(self) -> set[int]:
        """The genre ids of its movies that the catalogue does not know."""
        return {
            genre_id
            for hit in self.hits
            for genre_id in hit.genre_ids
            if find_genre_by_id(genre_id) is None
        }


def parse_search_page(document: Any) -> SearchPage:
    """Parse a page of a search or of another list; entries that cannot be read are rejected.

    Raises TmdbInvalidResponse if the document is no page or none of its entries can be read.
    """
    page = _check_object(document, "page")
    results = page.get("results")
    if not isinstance(results, list):
        raise TmdbInvalidResponse("a page without a list of results")
    hits, rejected = _parse_hits(results)
    if results and not hits:
        raise TmdbInvalidResponse("a page without any entry that can be read")
    return SearchPage(
        hits=hits,
        total_results=_check_integer(page.get("total_results"), "total_results", MAX_COUNT),
        total_pages=_check_integer(page.get("total_pages"), "total_pages", MAX_COUNT),
        rejected=rejected,
    )


def parse_collection(document: Any, *, tmdb_id: int) -> tuple[CollectionData, SearchPage]:
    """Parse /collection/{id}: the series, and its first MAX_PARTS movies as one page.

    Raises TmdbInvalidResponse if it is not that series or none of its parts can be read.
    """
    collection = _check_object(document, "collection")
    if _parse_id(collection) != tmdb_id:
        raise TmdbInvalidResponse("a collection other than the requested one")
    if not isinstance(collection.get("parts"), list):
        raise TmdbInvalidResponse("a collection without a list of parts")
    parts = [_name_part_as_movie(part) for part in collection["parts"][:MAX_PARTS]]
    hits, rejected = _parse_hits(parts)
    if parts and not hits:
        raise TmdbInvalidResponse("a collection without any part that can be read")
    # TMDb may list a movie twice.
    by_id = {hit.id: hit for hit in reversed(hits)}
    page = SearchPage(tuple(reversed(by_id.values())), len(by_id), 1, rejected)
    return CollectionData(tmdb_id, _read_name(collection, "name", MAX_TITLE)), page


def _name_part_as_movie(part: Any) -> Any:
    """Return a part of a series with a movie's field names; TMDb documents `name` for `title`."""
    if not isinstance(part, dict) or part.get("media_type", "movie") != "movie":
        return None
    return {"title": part.get("name"), "original_title": part.get("original_name"), **part}


@dataclass(frozen=True)
class CatalogueEntries:
    """The movies of a list that the catalogue stores, in TMDb's order, and the other entries."""

    movies: tuple[MovieData, ...]
    rejected: tuple[RejectedEntry, ...]


def select_catalogue_entries(
    page: SearchPage, genre_names: Mapping[int, str] = _NO_GENRE_NAMES
) -> CatalogueEntries:
    """Return the movies of a page without adult titles and videos.

    `genre_names` names genres that the catalogue does not know by their id.
    """
    movies, rejected = [], list(page.rejected)
    for hit in page.hits:
        try:
            _reject_adult_or_video(adult=hit.adult, video=hit.video)
        except (TmdbAdultTitle, TmdbVideo) as error:
            rejected.append(RejectedEntry(hit.id, str(error)))
        else:
            movies.append(_make_list_entry(hit, genre_names))
    return CatalogueEntries(tuple(movies), tuple(rejected))


def parse_genre_names(document: Any) -> dict[int, str]:
    """Parse /genre/movie/list in English; return the name of each id."""
    genres = _read_list(_check_object(document, "list of genres"), "genres")
    if not genres:
        raise TmdbInvalidResponse("no genres")
    return {
        genre_id: find_genre_by_id(genre_id) or find_genre(tmdb_name) or tmdb_name
        for genre_id, tmdb_name in _parse_each(_parse_genre_entry, genres)
    }


def parse_genre_list(document: Any) -> list[tuple[int, str]]:
    """Parse /genre/movie/list in any language: ids and names."""
    genres = _read_list(_check_object(document, "list of genres"), "genres")
    return [
        (genre_id, name[:MAX_GENRE]) for genre_id, name in _parse_each(_parse_genre_entry, genres)
    ]


def parse_primary_translations(document: Any) -> list[tuple[str, str]]:
    """Parse /configuration/primary_translations, which comes under `results`: languages and regions."""
    tags = _read_list(_check_object(document, "list of translations"), "results")
    matches = [_LANGUAGE_TAG.fullmatch(tag) for tag in tags if isinstance(tag, str)]
    return [(match[1], match[2]) for match in matches if match]


def parse_find(document: Any) -> int:
    """Parse /find/{imdb_id}: TMDb's id of the movie. Raises TmdbNotFound if there is none."""
    movies = _read_list(_check_object(document, "find result"), "movie_results")
    tmdb_ids = _parse_each(_parse_id, movies)
    if not movies:
        raise TmdbNotFound("TMDb has no such movie")
    if not tmdb_ids:
        raise TmdbInvalidResponse("a find result without any movie that can be read")
    return tmdb_ids[0]


@dataclass(frozen=True)
class ChangesPage:
    tmdb_ids: tuple[int, ...]
    total_pages: int


def parse_changes_page(document: Any) -> ChangesPage:
    """Parse a page of /movie/changes; entries without an id, as TMDb has some, are left out."""
    page = _check_object(document, "page")
    if not isinstance(page.get("results"), list):
        raise TmdbInvalidResponse("a page without a list of results")
    return ChangesPage(
        tmdb_ids=tuple(_parse_each(_parse_id, page["results"])),
        total_pages=_check_integer(page.get("total_pages"), "total_pages", MAX_COUNT),
    )


@dataclass(frozen=True)
class ExportedMovie:
    """A line of TMDb's daily export of ids."""

    tmdb_id: int
    original_title: str
    popularity: float


def parse_exported_movie(document: Any) -> ExportedMovie:
    """Parse a line of the export. Raises TmdbAdultTitle or TmdbVideo, which are not stored."""
    movie = _check_object(document, "line")
    _reject_adult_or_video(adult=_read_boolean(movie, "adult"), video=_read_boolean(movie, "video"))
    return ExportedMovie(
        tmdb_id=_parse_id(movie),
        original_title=_read_name(movie, "original_title", MAX_TITLE),
        popularity=_read_number(movie, "popularity", highest=MAX_POPULARITY),
    )


def find_other_media(document: Any) -> str:
    """Return what /find/{imdb_id} has that is no movie, such as “a series”; empty if nothing."""
    result = _check_object(document, "find result")
    return next((name for key, name in _OTHER_MEDIA.items() if result.get(key)), "")


def _parse_hits(
    entries: list[Any],
) -> tuple[tuple[SearchHit, ...], tuple[RejectedEntry, ...]]:
    """Return the entries of a list that can be read, and the others."""
    hits, rejected = [], []
    for entry in entries:
        try:
            hits.append(_parse_hit(entry))
        except TmdbInvalidResponse as error:
            rejected.append(RejectedEntry(_parse_optional_id(entry), str(error)))
    return tuple(hits), tuple(rejected)


def _parse_hit(document: Any) -> SearchHit:
    movie = _check_object(document, "movie")
    return SearchHit(
        id=_parse_id(movie),
        title=_read_name(movie, "title", MAX_TITLE),
        original_title=_read_text(movie, "original_title", MAX_TITLE),
        overview=_read_text(movie, "overview", MAX_OVERVIEW),
        release_date=_read_date(movie, "release_date"),
        genre_ids=tuple(
            _check_integer(genre_id, "genre_ids", MAX_TMDB_ID)
            for genre_id in _read_list(movie, "genre_ids")
        ),
        original_language=_read_language(movie),
        popularity=_read_number(movie, "popularity", highest=MAX_POPULARITY),
        vote_average=_read_number(movie, "vote_average", highest=10.0),
        vote_count=_read_count(movie, "vote_count"),
        adult=_read_boolean(movie, "adult"),
        video=_read_boolean(movie, "video"),
        poster_path=_read_image_path(movie, "poster_path"),
        backdrop_path=_read_image_path(movie, "backdrop_path"),
    )


def _make_list_entry(hit: SearchHit, genre_names: Mapping[int, str]) -> MovieData:
    return MovieData(
        tmdb_id=hit.id,
        title=hit.title,
        original_title=hit.original_title,
        original_language=hit.original_language,
        release_date=hit.release_date,
        release_year=hit.release_date.year if hit.release_date else None,
        genres=tuple(_name_genres(hit.genre_ids, genre_names)),
        overview=hit.overview,
        poster_path=hit.poster_path or "",
        backdrop_path=hit.backdrop_path or "",
        vote_average=hit.vote_average,
        vote_count=hit.vote_count,
        popularity=hit.popularity,
        is_list_entry=True,
    )


def _reject_adult_or_video(*, adult: bool, video: bool) -> None:
    if adult:
        raise TmdbAdultTitle("an adult title")
    if video:
        raise TmdbVideo("a video, not a movie")


def _parse_genre_entry(document: Any) -> tuple[int, str]:
    return _parse_id(document), _read_name(document, "name", MAX_GENRE)


def _name_genres(
    genre_ids: Iterable[int], more_names: Mapping[int, str] = _NO_GENRE_NAMES
) -> list[str]:
    names = (find_genre_by_id(genre_id) or more_names.get(genre_id) for genre_id in genre_ids)
    return sort_genres(name for name in names if name is not None)


# --- A movie in full -----------------------------------------------------------------------------


def parse_movie(document: Any, *, tmdb_id: int) -> MovieData:
    """Parse /movie/{id} with its credits and keywords.

    Raises TmdbInvalidResponse if it is not that movie, and TmdbAdultTitle or TmdbVideo if this
    catalogue does not store it.
    """
    movie = _check_object(document, "movie")
    if _parse_id(movie) != tmdb_id:
        raise TmdbInvalidResponse("a movie other than the requested one")
    _reject_adult_or_video(adult=_read_boolean(movie, "adult"), video=_read_boolean(movie, "video"))
    credits_ = _check_object(movie.get("credits") or {}, "credits")
    keywords = _check_object(movie.get("keywords") or {}, "keywords")
    release_date = _read_date(movie, "release_date")
    return MovieData(
        tmdb_id=tmdb_id,
        imdb_id=_read_imdb_id(movie),
        title=_read_name(movie, "title", MAX_TITLE),
        original_title=_read_text(movie, "original_title", MAX_TITLE),
        original_language=_read_language(movie),
        release_date=release_date,
        release_year=release_date.year if release_date else None,
        genres=_read_genres(movie),
        runtime=_read_runtime(movie),
        overview=_read_text(movie, "overview", MAX_OVERVIEW),
        tagline=_read_text(movie, "tagline", MAX_TAGLINE),
        status=_read_text(movie, "status", MAX_STATUS),
        keywords=_read_keywords(keywords),
        collection=_read_collection(movie),
        poster_path=_read_image_path(movie, "poster_path") or "",
        backdrop_path=_read_image_path(movie, "backdrop_path") or "",
        vote_average=_read_number(movie, "vote_average", highest=10.0),
        vote_count=_read_count(movie, "vote_count"),
        popularity=_read_number(movie, "popularity", highest=MAX_POPULARITY),
        directors=_read_directors(credits_),
        cast=_read_cast(credits_),
        translations=_read_translations(movie),
        availability=_parse_availability(movie),
    )


def _read_directors(credits_: dict[str, Any]) -> tuple[PersonData, ...]:
    crew = [member for member in _read_list(credits_, "crew") if isinstance(member, dict)]
    directors = [member for member in crew if member.get("job") == "Director"]
    return tuple(_parse_each(_parse_person, directors)[:MAX_DIRECTORS])


def _read_cast(credits_: dict[str, Any]) -> tuple[PersonData, ...]:
    cast = [member for member in _read_list(credits_, "cast") if isinstance(member, dict)]
    return tuple(_parse_each(_parse_person, sorted(cast, key=_get_billing_order))[:MAX_CAST])


def _get_billing_order(member: dict[str, Any]) -> int:
    order = member.get("order")
    # Members without a place in the billing come last.
    return order if type(order) is int and order >= 0 else MAX_TMDB_ID


def _parse_person(document: Any) -> PersonData:
    person = _check_object(document, "person")
    return PersonData(
        name=_read_name(person, "name", MAX_NAME),
        tmdb_id=_parse_id(person),
        character=_read_text(person, "character", MAX_CHARACTER),
        popularity=_read_number(person, "popularity", highest=MAX_POPULARITY),
    )


def _read_collection(movie: dict[str, Any]) -> CollectionData | None:
    if movie.get("belongs_to_collection") is None:
        return None
    collection = _check_object(movie["belongs_to_collection"], "belongs_to_collection")
    return CollectionData(
        tmdb_id=_parse_id(collection), name=_read_name(collection, "name", MAX_TITLE)
    )


def _read_keywords(document: dict[str, Any]) -> tuple[str, ...]:
    keywords = _parse_each(_parse_keyword, _read_list(document, "keywords"))
    return tuple(dict.fromkeys(keywords))[:MAX_KEYWORDS]


def _parse_keyword(document: Any) -> str:
    return _read_name(_check_object(document, "keyword"), "name", MAX_KEYWORD).lower()


def _read_runtime(movie: dict[str, Any]) -> int | None:
    """Return the minutes; TMDb writes 0 for an unknown runtime."""
    minutes = movie.get("runtime")
    if minutes is None:
        return None
    return _check_integer(minutes, "runtime", MAX_RUNTIME_MIN) or None


def _read_imdb_id(movie: dict[str, Any]) -> str | None:
    imdb_id = _read_text(movie, "imdb_id", MAX_NAME)
    return imdb_id if _IMDB_ID.fullmatch(imdb_id) else None


def _read_genres(movie: dict[str, Any]) -> tuple[str, ...]:
    names = _parse_each(_parse_genre, _read_list(movie, "genres"))
    return tuple(sort_genres(name for name in names if name is not None))


def _parse_genre(document: Any) -> str | None:
    """Return the catalogue's name of a genre, or TMDb's own for one that TMDb has added."""
    genre_id, name = _parse_id(document), _read_text(document, "name", MAX_GENRE)
    return find_genre_by_id(genre_id) or find_genre(name) or name or None


def _read_translations(movie: dict[str, Any]) -> tuple[TranslationData, ...] | None:
    """Return the texts in each language that has any but American English; None if TMDb sent none.

    The texts of the movie itself are American English.
    """
    if movie.get("translations") is None:
        return None
    entries = _read_list(_check_object(movie["translations"], "translations"), "translations")
    by_language: dict[tuple[str, str], TranslationData] = {}
    for translation in _parse_each(_parse_translation, entries):
        by_language.setdefault((translation.language, translation.region), translation)
    return tuple(
        translation
        for key, translation in by_language.items()
        if key != ("en", "US")
        and (translation.title or translation.overview or translation.tagline)
    )[:MAX_TRANSLATIONS]


def _parse_translation(document: Any) -> TranslationData:
    translation = _check_object(document, "translation")
    language = _read_text(translation, "iso_639_1", MAX_LANGUAGE).lower()
    region = _read_text(translation, "iso_3166_1", MAX_LANGUAGE).upper()
    if not _LANGUAGE_CODE.fullmatch(language) or not _REGION.fullmatch(region or "XX"):
        raise TmdbInvalidResponse("a translation without a language")
    texts = _check_object(translation.get("data") or {}, "data")
    return TranslationData(
        language=language,
        region=region,
        title=_read_text(texts, "title", MAX_TITLE),
        overview=_read_text(texts, "overview", MAX_TRANSLATED_OVERVIEW),
        tagline=_read_text(texts, "tagline", MAX_TAGLINE),
    )


# --- Offers, videos and releases of a movie ------------------------------------------------------


def _parse_availability(movie: dict[str, Any]) -> AvailabilityData | None:
    """Parse what was appended to the movie; None if nothing was. Entries that cannot be read are left out."""
    if not {"watch/providers", "videos", "release_dates"} & movie.keys():
        return None
    offers, providers, link = _read_offers(movie.get("watch/providers"))
    return AvailabilityData(
        offers=offers,
        providers=providers,
        link=link,
        videos=_read_videos(movie.get("videos")),
        releases=_read_releases(movie.get("release_dates")),
    )


def _read_offers(document: Any) -> tuple[tuple[Offer, ...], tuple[ProviderData, ...], str]:
    """Return the offers of all regions in TMDb's order, their providers, and TMDb's page of them."""
    regions = _check_object(document or {}, "watch/providers").get("results") or {}
    offers: dict[Offer, None] = {}
    providers: dict[int, ProviderData] = {}
    link = ""
    for region, lists in _check_object(regions, "results").items():
        if not _REGION.fullmatch(region) or not isinstance(lists, dict):
            continue
        link = link or _read_link(lists)
        for monetization in MONETIZATIONS:
            entries = lists.get(monetization)
            if not isinstance(entries, list):
                continue
            # TMDb's order is not promised to be that of the priorities.
            entries = sorted(entries, key=_get_display_priority)
            for provider in _parse_each(_parse_provider, entries):
                providers.setdefault(provider.provider_id, provider)
                offers[Offer(region, monetization, provider.provider_id)] = None
    return tuple(offers)[:MAX_OFFERS], tuple(providers.values()), link


def _read_link(lists: dict[str, Any]) -> str:
    try:
        link = _read_text(lists, "link", MAX_LINK).partition("?")[0]
    except TmdbInvalidResponse:
        return ""
    return link if _LINK.fullmatch(link) else ""


def _get_display_priority(provider: Any) -> int:
    priority = provider.get("display_priority") if isinstance(provider, dict) else None
    return priority if type(priority) is int and priority >= 0 else MAX_TMDB_ID


def _parse_provider(document: Any) -> ProviderData:
    provider = _check_object(document, "provider")
    provider_id = _check_integer(provider.get("provider_id"), "provider_id", MAX_PROVIDER_ID)
    if provider_id == 0:
        raise TmdbInvalidResponse("provider_id is 0")
    priorities = provider.get("display_priorities")
    return ProviderData(
        provider_id=provider_id,
        name=_read_name(provider, "provider_name", MAX_PROVIDER),
        logo_path=_read_image_path(provider, "logo_path") or "",
        priorities=tuple(
            (region, priority)
            for region, priority in (priorities if isinstance(priorities, dict) else {}).items()
            if _REGION.fullmatch(region) and type(priority) is int and 0 <= priority <= MAX_TMDB_ID
        ),
    )


def _read_videos(document: Any) -> tuple[VideoData, ...]:
    """Return the videos, official trailers first, then other trailers, the newest of each first."""
    videos = _read_list(_check_object(document or {}, "videos"), "results")
    parsed = list(dict.fromkeys(_parse_each(_parse_video, videos)))
    earliest = datetime.min.replace(tzinfo=UTC)
    parsed.sort(key=lambda video: video.published_at or earliest, reverse=True)
    parsed.sort(key=lambda video: (video.kind != "Trailer", not video.is_official))
    return tuple(parsed[:MAX_VIDEOS])


def _parse_video(document: Any) -> VideoData:
    video = _check_object(document, "video")
    key = _read_name(video, "key", MAX_NAME)
    if not _VIDEO_KEY.fullmatch(key):
        raise TmdbInvalidResponse("key is not the key of a video")
    return VideoData(
        name=_read_name(video, "name", MAX_NAME),
        kind=_read_text(video, "type", MAX_STATUS),
        site=_read_text(video, "site", MAX_STATUS),
        key=key,
        is_official=_read_boolean(video, "official"),
        language=_read_text(video, "iso_639_1", MAX_LANGUAGE).lower(),
        published_at=_read_moment(video, "published_at"),
    )


def _read_releases(document: Any) -> tuple[ReleaseData, ...]:
    """Return the releases with a day, by region and in the order of the days."""
    releases = [
        release
        for region in _read_list(_check_object(document or {}, "release_dates"), "results")
        if isinstance(region, dict) and isinstance(region.get("release_dates"), list)
        for release in _parse_each(_parse_release, region["release_dates"], region)
    ]
    unique = sorted(dict.fromkeys(releases), key=lambda release: (release.region, release.day))
    return tuple(unique[:MAX_RELEASES])


def _parse_release(document: Any, region: dict[str, Any]) -> ReleaseData:
    release = _check_object(document, "release")
    code = _read_text(region, "iso_3166_1", MAX_NAME)
    # Midnight in UTC stands for the day, wherever the region is.
    day = _parse_day(_read_text(release, "release_date", MAX_NAME)[:10])
    kind = _check_integer(release.get("type"), "type", len(RELEASE_KINDS))
    if not _REGION.fullmatch(code) or day is None or kind == 0:
        raise TmdbInvalidResponse("a release without a region, day or kind")
    return ReleaseData(
        region=code,
        day=day,
        kind=RELEASE_KINDS[kind - 1],
        certification=_read_text(release, "certification", MAX_CERTIFICATION),
        note=_read_text(release, "note", MAX_NOTE),
    )


# --- Configuration lists -------------------------------------------------------------------------


def parse_provider_list(document: Any) -> list[ProviderData]:
    """Parse /watch/providers/movie: all providers with the regions that offer them."""
    providers = _read_list(_check_object(document, "list of providers"), "results")
    return _parse_each(_parse_provider, providers)


def parse_regions(document: Any) -> dict[str, str]:
    """Parse /watch/providers/regions or, under `results`, /configuration/countries: names by code."""
    regions = _read_list(_check_object(document, "list of regions"), "results")
    return dict(_parse_each(_parse_region, regions))


def _parse_region(document: Any) -> tuple[str, str]:
    region = _check_object(document, "region")
    code = _read_name(region, "iso_3166_1", MAX_NAME)
    if not _REGION.fullmatch(code):
        raise TmdbInvalidResponse("iso_3166_1 is not two letters")
    return code, _read_name(region, "english_name", MAX_GENRE)


@dataclass(frozen=True)
class LanguageEntry:
    """A language of /configuration/languages."""

    code: str
    english_name: str
    name: str


def parse_languages(document: Any) -> list[LanguageEntry]:
    """Parse /configuration/languages, which comes under `results`."""
    languages = _read_list(_check_object(document, "list of languages"), "results")
    return _parse_each(_parse_language, languages)


def _parse_language(document: Any) -> LanguageEntry:
    language = _check_object(document, "language")
    code = _read_name(language, "iso_639_1", MAX_NAME)
    if not _LANGUAGE_CODE.fullmatch(code):
        raise TmdbInvalidResponse("iso_639_1 is not two letters")
    return LanguageEntry(
        code=code,
        english_name=_read_name(language, "english_name", MAX_GENRE),
        name=_read_text(language, "name", MAX_GENRE),
    )


# --- Single values -------------------------------------------------------------------------------


def _parse_each(parse: Callable[..., T], documents: list[Any], *context: Any) -> list[T]:
    """Parse the entries of a list, each with the context; leave out those that cannot be read."""
    parsed = []
    for document in documents:
        try:
            parsed.append(parse(document, *context))
        except TmdbInvalidResponse:
            continue
    return parsed


def _check_object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TmdbInvalidResponse(f"{name} is not an object")
    return value


def _read_list(source: dict[str, Any], name: str) -> list[Any]:
    value = source.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise TmdbInvalidResponse(f"{name} is not a list")
    return value


def _read_text(source: dict[str, Any], name: str, max_length: int) -> str:
    """Return the text without unstorable characters, cut to its column; empty for null."""
    value = source.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TmdbInvalidResponse(f"{name} is not a text")
    return _UNSTORABLE.sub("", value).strip()[:max_length].rstrip()


def _read_name(source: dict[str, Any], name: str, max_length: int) -> str:
    """Return a text that must not be empty."""
    value = _read_text(source, name, max_length)
    if not value:
        raise TmdbInvalidResponse(f"{name} is empty")
    return value


def _read_language(movie: dict[str, Any]) -> str:
    return _read_text(movie, "original_language", MAX_LANGUAGE).lower()


def _read_image_path(movie: dict[str, Any], name: str) -> str | None:
    """Return `/name.jpg`, or None: a path with more parts would lead elsewhere in a URL."""
    path = _read_text(movie, name, MAX_PATH + 1)
    return path if _IMAGE_PATH.fullmatch(path) and len(path) <= MAX_PATH else None


def _read_date(source: dict[str, Any], name: str) -> date | None:
    """Return the day; None if TMDb knows none or it is outside FIRST_YEAR to LAST_YEAR."""
    return _parse_day(_read_text(source, name, MAX_NAME))


def _parse_day(text: str) -> date | None:
    match = _DATE.fullmatch(text)
    if match is None or not FIRST_YEAR <= int(match[1]) <= LAST_YEAR:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _read_moment(source: dict[str, Any], name: str) -> datetime | None:
    """Return the moment in UTC; None if TMDb knows none or it is not a moment."""
    text = _read_text(source, name, MAX_NAME)
    if not _MOMENT.fullmatch(text) or _parse_day(text[:10]) is None:
        return None
    try:
        return datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
    except ValueError:
        return None


def _read_boolean(source: dict[str, Any], name: str) -> bool:
    value = source.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise TmdbInvalidResponse(f"{name} is neither true nor false")
    return value


def _check_integer(value: Any, name: str, highest: int) -> int:
    if type(value) is not int or not 0 <= value <= highest:
        raise TmdbInvalidResponse(f"{name} is not an integer from 0 to {highest}")
    return value


def _parse_id(document: Any) -> int:
    """Return the positive `id` of an object."""
    tmdb_id = _check_integer(_check_object(document, "entry").get("id"), "id", MAX_TMDB_ID)
    if tmdb_id == 0:
        raise TmdbInvalidResponse("id is 0")
    return tmdb_id


def _parse_optional_id(document: Any) -> int | None:
    try:
        return _parse_id(document)
    except TmdbInvalidResponse:
        return None


def _read_count(source: dict[str, Any], name: str) -> int:
    value = source.get(name)
    return 0 if value is None else _check_integer(value, name, MAX_COUNT)


def _read_number(source: dict[str, Any], name: str, *, highest: float) -> float:
    value = source.get(name)
    if value is None:
        return 0.0
    # NaN and infinity fail the comparison, too.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= highest:
        raise TmdbInvalidResponse(f"{name} is not a number from 0 to {highest:g}")
    return float(value)
