"""TMDb's movie genres, by which the whole project names genres. Free of Django.

The recommender knows these. `movies.models.Genre` has those that TMDb adds, too.

Source: https://developer.themoviedb.org/reference/genre-movie-list, in that order.
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
_NAMES_BY_ID = {tmdb_id: name for name, tmdb_id in TMDB_GENRES.items()}
_NAMES_BY_FOLDED_NAME = {name.casefold(): name for name in GENRE_NAMES}
_POSITIONS = {name: position for position, name in enumerate(GENRE_NAMES)}


def find_genre(text: str) -> str | None:
    """Return the genre of a name in any case, or of a TMDb id in digits; None if unknown."""
    if text.isascii() and text.isdigit():
        return find_genre_by_id(int(text[:9]))
    return _NAMES_BY_FOLDED_NAME.get(text.strip().casefold())


def find_genre_by_id(tmdb_id: int) -> str | None:
    return _NAMES_BY_ID.get(tmdb_id)


def sort_genres(names: Iterable[str]) -> list[str]:
    """Return each name once, in TMDb's order; genres that TMDb has added since come last, by name."""
    return sorted(set(names), key=lambda name: (_POSITIONS.get(name, len(_POSITIONS)), name))
