"""TMDb's export of an account's ratings and watchlist as CSV."""

from __future__ import annotations

from datetime import date
from typing import Any

from social.transfer.formats.csv_reader import BadRow, Row, table
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


def is_table(header: list[str]) -> bool:
    return {"tmdb id", "type", "name"} <= set(header)


def read(text: str, *, file: str, today: date) -> Entries:
    for row in table(text, needed=("tmdb id", "type", "name")):
        if isinstance(row, BadRow):
            yield invalid(file, row.line, row.problem, title=row.text)
            continue
        try:
            yield _row(row, file, today)
        except RowError as problem:
            yield invalid(file, row.line, problem, title=row.get("name"))


def _row(row: Row, file: str, today: date) -> Entry:
    if row.get("type").strip().lower() not in ("", "movie"):
        raise RowError("not_a_film", f"This is no film but: {row.get('type').strip()[:40]}.")
    film: dict[str, Any] = {
        "title": read_title(row.get("name")),
        "year": read_year(row.get("release date").strip()[:4]),
        "tmdb_id": read_id(row.get("tmdb id")),
        "imdb_id": read_imdb_id(row.get("imdb id")),
    }
    if film["tmdb_id"] is None:
        raise RowError("no_id", "The row has no id of TMDb's.")
    at, _ = read_moment(row.get("date rated", "date added"), today=today)
    if "date rated" not in row.cells:
        return Entry(Kind.WATCHLIST, file, row.line, **film, values={"added_at": at})
    if not row.get("your rating"):
        raise RowError("no_score", "The row has no score.")
    stars, note = read_score(row.get("your rating"), out_of=10)
    values = {"score": stars, "rated_at": at, "note": note}
    return Entry(Kind.RATING, file, row.line, **film, values=values)
