"""MovieLens's own export of a member's ratings or wishlist as CSV.

The columns are movie_id, imdb_id, tmdb_id, rating, average_rating, title. The data sets of MovieLens
have no such ids and titles and are not read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from social.transfer.formats.csv_reader import CsvRow, Header, read_table
from social.transfer.formats.records import LeftOut, Record, RecordKind, parse_rows
from social.transfer.formats.values import CellParser, FileContext

_REQUIRED = ("movieid", "imdbid", "tmdbid", "title")
# Matrix, The (1999) and Amelie (Fabuleux destin d'Amélie Poulain, Le) (2001).
_TITLE = re.compile(r"(.+?)(?:\s+\(.*\))?\s+\(([0-9]{4})\)\s*")


def is_table(header: Header) -> bool:
    columns = set(header.columns)
    return set(_REQUIRED) <= columns and "year" not in columns


def read(lines: Iterable[str], *, context: FileContext) -> Iterator[Record | LeftOut]:
    return parse_rows(
        read_table(lines, required=_REQUIRED),
        lambda row, line: _parse_row(row, line, context),
        file=context.file,
        get_title=lambda row: row.get("title"),
    )


def _parse_row(row: CsvRow, line: int, context: FileContext) -> Iterator[Record | LeftOut]:
    parser = CellParser(context)
    match = _TITLE.fullmatch(row.get("title"))
    title, year = match.groups() if match else (row.get("title"), "")
    imdb_id = row.get("imdbid").strip()
    movie = parser.parse_movie(
        title=title,
        year=year,
        tmdb_id=row.get("tmdbid"),
        imdb_id=f"tt{imdb_id:0>7}" if imdb_id.isdecimal() else imdb_id,
    )
    if "rating" in row.cells and "wishlist" not in context.file.lower():
        score = parser.require_score(row.get("rating"), out_of=5)
        rated_at = parser.parse_time(row.get("date", "ratedat"))
        values = {"score": score, "rated_at": rated_at, **parser.get_values()}
        yield Record(RecordKind.RATING, context.file, line, **movie, values=values)
    else:
        values = {"added_at": parser.parse_time(row.get("date")), **parser.get_values()}
        yield Record(RecordKind.WATCHLIST, context.file, line, **movie, values=values)
    yield from parser.get_left_out()
