"""TMDb's export of an account's ratings or watchlist as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from social.transfer.formats.csv_reader import CsvRow, read_table
from social.transfer.formats.records import Record, RecordKind, RowError, parse_rows
from social.transfer.formats.values import (
    parse_datetime,
    parse_id,
    parse_imdb_id,
    parse_score,
    parse_title,
    parse_year,
)

_REQUIRED = ("tmdb id", "type", "name")


def is_table(header: list[str]) -> bool:
    return set(_REQUIRED) <= set(header)


def read(lines: Iterable[str], *, file: str, today: date) -> Iterator[Record]:
    return parse_rows(
        read_table(lines, required=_REQUIRED),
        lambda row, line: [_parse_row(row, file, line, today)],
        file=file,
        get_title=lambda row: row.get("name"),
    )


def _parse_row(row: CsvRow, file: str, line: int, today: date) -> Record:
    media_type = row.get("type").strip()
    if media_type.lower() not in ("", "movie"):
        raise RowError("not_a_film", f"This is not a movie but: {media_type[:40]}.")
    movie: dict[str, Any] = {
        "title": parse_title(row.get("name")),
        "year": parse_year(row.get("release date").strip()[:4]),
        "tmdb_id": parse_id(row.get("tmdb id")),
        "imdb_id": parse_imdb_id(row.get("imdb id")),
    }
    if movie["tmdb_id"] is None:
        raise RowError("no_id", "The row has no TMDb id.")
    at, _ = parse_datetime(row.get("date rated", "date added"), today=today)
    if "date rated" not in row.cells:
        return Record(RecordKind.WATCHLIST, file, line, **movie, values={"added_at": at})
    if not row.get("your rating"):
        raise RowError("no_score", "The row has no score.")
    stars, note = parse_score(row.get("your rating"), out_of=10)
    values = {"score": stars, "rated_at": at, "note": note}
    return Record(RecordKind.RATING, file, line, **movie, values=values)
