"""Trakt's JSON arrays of ratings, history, watched movies and the watchlist.

The fields of an element say which it is: https://trakt.docs.apiary.io/#reference/sync
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from social.transfer.formats.json_reader import get_movie_title, read_array, to_dict, to_text
from social.transfer.formats.records import Record, RecordKind, RowError, parse_rows
from social.transfer.formats.values import (
    parse_datetime,
    parse_id,
    parse_imdb_id,
    parse_score,
    parse_title,
    parse_viewing_time,
    parse_year,
)

_DATE_FIELDS = ("rated_at", "watched_at", "last_watched_at", "listed_at")


def is_element(value: Any) -> bool:
    """Return whether this looks like an element of one of Trakt's arrays."""
    return isinstance(value, dict) and any(name in value for name in _DATE_FIELDS)


def read(chunks: Iterable[str], *, file: str, today: date) -> Iterator[Record]:
    return parse_rows(
        read_array(chunks),
        lambda value, number: [_parse_element(to_dict(value), file, number, today)],
        file=file,
        get_title=get_movie_title,
    )


def _parse_element(element: dict[str, Any], file: str, number: int, today: date) -> Record:
    media_type = element.get("type")
    if media_type not in (None, "movie") or ("movie" not in element and "show" in element):
        raise RowError("not_a_film", f"This is not a movie but: {str(media_type or 'show')[:40]}.")
    fields = to_dict(element.get("movie"))
    ids = to_dict(fields.get("ids") or {})
    movie: dict[str, Any] = {
        "title": parse_title(to_text(fields.get("title"))),
        "year": parse_year(to_text(fields.get("year"))),
        "tmdb_id": parse_id(to_text(ids.get("tmdb"))),
        "imdb_id": parse_imdb_id(to_text(ids.get("imdb"))),
    }
    values: dict[str, Any]
    if "rated_at" in element or "rating" in element:
        stars, note = parse_score(to_text(element.get("rating")), out_of=10)
        rated_at, _ = parse_datetime(to_text(element.get("rated_at")), today=today)
        values = {"score": stars, "rated_at": rated_at, "note": note}
        return Record(RecordKind.RATING, file, number, **movie, values=values)
    if "listed_at" in element:
        added_at, _ = parse_datetime(to_text(element.get("listed_at")), today=today)
        return Record(RecordKind.WATCHLIST, file, number, **movie, values={"added_at": added_at})
    text = to_text(element.get("watched_at") or element.get("last_watched_at"))
    if not text:
        raise RowError("no_date", "The viewing has no date.")
    values = parse_viewing_time(text, today=today)
    return Record(RecordKind.VIEWING, file, number, **movie, values=values)
