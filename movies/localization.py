"""Show movies and genres in the language of a request.

Serializers make the English representation, as MoviePayload and GenrePayload. `localize` finds those in
the data of a response, reads their texts in the language with one query, and puts them in place.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from django.db.models import IntegerField, TextField, Value
from rest_framework.utils.serializer_helpers import ReturnDict

from movies.models import GenreName, Translation
from nexus.core.languages import DEFAULT_LANGUAGE, LanguageTag


class MoviePayload(dict[str, Any]):
    """The representation of a movie: its `id` or `movie_id`, its `title`, and further fields."""


class GenrePayload(dict[str, Any]):
    """The representation of a genre with its `name`."""


class _Texts(NamedTuple):
    """A row of translations. With `movie_id` 0 it is the name of the genre `title` in `overview`."""

    movie_id: int
    region: str
    title: str
    overview: str
    tagline: str


_TEXT_NAMES = ("title", "overview", "tagline")


def localize(data: Any, tag: LanguageTag) -> str:
    """Translate the movies and genres in the data of a response. Return its Content-Language.

    A text that TMDb lacks in the language is taken from another region of it, else it stays English.
    The original title stands for a title that is missing in the original language. At most one query.
    """
    if tag.is_default:
        return DEFAULT_LANGUAGE
    payloads = list(_find_payloads(data))
    genres = [payload for payload in payloads if isinstance(payload, GenrePayload)]
    movies = [payload for payload in payloads if not isinstance(payload, GenrePayload)]
    if not payloads:
        return tag
    texts, genre_names = _read_texts({_get_id(movie) for movie in movies}, tag, movies)
    served = set()
    for genre in genres:
        served.add(tag.language if genre["name"] in genre_names else DEFAULT_LANGUAGE)
        genre["name"] = genre_names.get(genre["name"], genre["name"])
    for movie in movies:
        served |= _translate(movie, texts.get(_get_id(movie), []), tag)
        if "genres" in movie:
            movie["genres"] = [genre_names.get(name, name) for name in movie["genres"]]
    return ", ".join(sorted(served, key=lambda one: (one == DEFAULT_LANGUAGE, one != tag, one)))


def _find_payloads(data: Any) -> Iterator[dict[str, Any]]:
    # DRF copies the representation of a single object into a ReturnDict.
    if isinstance(data, MoviePayload | GenrePayload) or (
        isinstance(data, ReturnDict) and getattr(data.serializer, "is_localized", False)
    ):
        yield data
    if isinstance(data, dict):
        for value in data.values():
            yield from _find_payloads(value)
    elif isinstance(data, list):
        for value in data:
            yield from _find_payloads(value)


def _get_id(movie: dict[str, Any]) -> int:
    movie_id: int = movie["id"] if "id" in movie else movie["movie_id"]
    return movie_id


def _read_texts(
    movie_ids: Collection[int], tag: LanguageTag, movies: Collection[dict[str, Any]]
) -> tuple[dict[int, list[_Texts]], dict[str, str]]:
    """Return the texts of each movie, those of the best region first, and the names of genres."""
    has_overviews = any("overview" in movie for movie in movies)
    empty = Value("", output_field=TextField())
    translations = Translation.objects.unexpired().filter(
        movie__in=movie_ids, language=tag.language
    )
    names = GenreName.objects.filter(language=tag.language)
    if tag.language == DEFAULT_LANGUAGE:
        # English of other regions only where it was asked for.
        translations, names = translations.filter(region=tag.region), names.none()
    rows = translations.values_list(
        "movie_id",
        "region",
        "title",
        "overview" if has_overviews else empty,
        "tagline" if has_overviews else empty,
    ).union(
        names.values_list(Value(0, output_field=IntegerField()), "region", "genre", "name", empty),
        all=True,
    )
    texts: dict[int, list[_Texts]] = {}
    for row in sorted(map(_Texts._make, rows), key=lambda row: tag.rank_region(row.region)):
        texts.setdefault(row.movie_id, []).append(row)
    genre_names: dict[str, str] = {}
    for row in texts.pop(0, []):
        genre_names.setdefault(row.title, row.overview)
    return texts, genre_names


def _translate(movie: dict[str, Any], texts: list[_Texts], tag: LanguageTag) -> set[str]:
    """Put the texts into a movie. Return the languages of all texts it shows then."""
    served = set()
    for name in _TEXT_NAMES:
        if name not in movie:
            continue
        best = next((row for row in texts if getattr(row, name)), None)
        if best is not None:
            movie[name] = getattr(best, name)
            served.add(tag.describe_region(best.region))
        elif name == "title" and _is_in_original_language(movie, tag):
            movie[name] = movie["original_title"]
            served.add(tag.language)
        elif movie[name]:
            served.add(str(DEFAULT_LANGUAGE))
    return served


def _is_in_original_language(movie: dict[str, Any], tag: LanguageTag) -> bool:
    is_original = movie.get("original_language") == tag.language
    return is_original and bool(movie.get("original_title"))
