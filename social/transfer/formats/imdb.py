"""IMDb's ratings and lists as CSV, with the header of today and the one used before 2017.

Today: Const, Your Rating, Date Rated, Title, Original Title, …; lists begin with Position. Before
2017: position, const, created, modified, description, Title, Title type, Directors, You rated, …
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from social.transfer.formats.csv_reader import CsvRow, read_table
from social.transfer.formats.records import Record, RecordKind, RowError, parse_rows
from social.transfer.formats.values import (
    parse_datetime,
    parse_imdb_id,
    parse_score,
    parse_title,
    parse_year,
)

# The title type names everything but movies with one of these, in the languages IMDb writes.
_OTHER_TYPES = re.compile(r"series|serie|episode|game|podcast|music|pilot|miniserie", re.IGNORECASE)


def is_table(header: list[str]) -> bool:
    return "const" in header and "title" in header


def read(lines: Iterable[str], *, file: str, today: date) -> Iterator[Record]:
    return parse_rows(
        read_table(lines, required=("const", "title")),
        lambda row, line: [_parse_row(row, file, line, today)],
        file=file,
        get_title=lambda row: row.get("title"),
    )


def _parse_row(row: CsvRow, file: str, line: int, today: date) -> Record:
    title_type = row.get("title type")
    if _OTHER_TYPES.search(title_type):
        raise RowError("not_a_film", f"This is not a movie but: {title_type.strip()[:40]}.")
    imdb_id = parse_imdb_id(row.get("const"))
    if imdb_id is None:
        raise RowError("no_id", "The row has no IMDb id.")
    movie: dict[str, Any] = {
        "title": parse_title(row.get("title")),
        "year": parse_year(row.get("year")),
        "imdb_id": imdb_id,
    }
    has_old_header = "you rated" in row.cells
    score = row.get("you rated") if has_old_header else row.get("your rating")
    # Lists contain the member's scores too: today's have a position, the older ones lack a score.
    is_list = not score if has_old_header else "position" in row.cells
    if is_list:
        added_at, _ = parse_datetime(row.get("created"), today=today)
        return Record(RecordKind.WATCHLIST, file, line, **movie, values={"added_at": added_at})
    if not score:
        raise RowError("no_score", "The row has no score.")
    stars, note = parse_score(score, out_of=10)
    rated_at, _ = parse_datetime(row.get("date rated", "created"), today=today)
    values = {"score": stars, "rated_at": rated_at, "note": note}
    return Record(RecordKind.RATING, file, line, **movie, values=values)
