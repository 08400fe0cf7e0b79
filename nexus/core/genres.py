"""TMDb's movie genres: the vocabulary of the whole service. Free of Django.

Source: https://developer.themoviedb.org/reference/genre-movie-list, in its order.
"""

from __future__ import annotations

from collections.abc import Iterable

TMDB_GENRES: dict[str, int] = {
    "Action": 28,
    "Adventure": 12,
    "Animation": 16,
    "Comedy": 35,
    "Crime": 80,
    "Documentary": 99,
    "Drama": 18,
    "Family": 10751,
    "Fantasy": 14,
    "History": 36,
    "Horror": 27,
    "Music": 10402,
    "Mystery": 9648,
    "Romance": 10749,
    "Science Fiction": 878,
    "TV Movie": 10770,
    "Thriller": 53,
    "War": 10752,
    "Western": 37,
}
GENRE_NAMES: tuple[str, ...] = tuple(TMDB_GENRES)
_NAME_OF_ID = {tmdb_id: name for name, tmdb_id in TMDB_GENRES.items()}
_NAME_OF_FOLDED = {name.casefold(): name for name in GENRE_NAMES}
_POSITION = {name: position for position, name in enumerate(GENRE_NAMES)}


def find_genre(text: str) -> str | None:
    """The genre of a name in any case, or of a TMDb id in digits; None where there is none."""
    if text.isascii() and text.isdigit():
        return _NAME_OF_ID.get(int(text[:9]))
    return _NAME_OF_FOLDED.get(text.strip().casefold())


def find_genre_by_id(tmdb_id: int) -> str | None:
    return _NAME_OF_ID.get(tmdb_id)


def sort_genres(names: Iterable[str]) -> list[str]:
    """The names once each, in TMDb's order. Raises KeyError for one that is none of TMDb's."""
    return sorted(set(names), key=_POSITION.__getitem__)
