"""Trakt's JSON: ratings, history, watched and watchlist, by what their elements hold.

Their shapes: https://trakt.docs.apiary.io/#reference/sync
"""

from __future__ import annotations

from datetime import date
from typing import Any

from social.transfer.formats.json_reader import as_dict, elements, text_of
from social.transfer.formats.records import (
    Entries,
    Entry,
    Kind,
    RowError,
    invalid,
    read_id,
    read_imdb_id,
    read_moment,
    read_score,
    read_title,
    read_year,
)

_MOMENTS = ("rated_at", "watched_at", "last_watched_at", "listed_at")


def is_element(value: Any) -> bool:
    """Whether this looks like an element of one of Trakt's arrays."""
    return isinstance(value, dict) and any(name in value for name in _MOMENTS)


def read(text: str, *, file: str, today: date) -> Entries:
    for number, value in elements(text):
        if isinstance(value, RowError):
            yield invalid(file, number, value)
            continue
        try:
            yield _entry(as_dict(value), file, number, today)
        except RowError as problem:
            yield invalid(file, number, problem, title=_title(value))


def _title(value: Any) -> str:
    film = value.get("movie") if isinstance(value, dict) else None
    title = film.get("title") if isinstance(film, dict) else None
    return title if isinstance(title, str) else ""


def _entry(value: dict[str, Any], file: str, number: int, today: date) -> Entry:
    kind = value.get("type")
    if kind not in (None, "movie") or ("movie" not in value and "show" in value):
        raise RowError("not_a_film", f"This is no film but: {str(kind or 'show')[:40]}.")
    movie = as_dict(value.get("movie"))
    ids = as_dict(movie.get("ids") or {})
    film: dict[str, Any] = {
        "title": read_title(text_of(movie.get("title"))),
        "year": read_year(text_of(movie.get("year"))),
        "tmdb_id": read_id(text_of(ids.get("tmdb"))),
        "imdb_id": read_imdb_id(text_of(ids.get("imdb"))),
    }
    if "rated_at" in value or "rating" in value:
        stars, note = read_score(text_of(value.get("rating")), out_of=10)
        at, _ = read_moment(text_of(value.get("rated_at")), today=today)
        values: dict[str, Any] = {"score": stars, "rated_at": at, "note": note}
        return Entry(Kind.RATING, file, number, **film, values=values)
    if "listed_at" in value:
        at, _ = read_moment(text_of(value.get("listed_at")), today=today)
        return Entry(Kind.WATCHLIST, file, number, **film, values={"added_at": at})
    at, day_only = read_moment(
        text_of(value.get("watched_at") or value.get("last_watched_at")), today=today
    )
    if at is None:
        raise RowError("no_date", "The viewing has no date.")
    values = {"watched_at": at, "day_only": day_only}
    return Entry(Kind.VIEWING, file, number, **film, values=values)
