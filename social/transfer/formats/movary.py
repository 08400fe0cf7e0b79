"""Movary's exports of the history, the ratings and the watchlist as CSV.

Source of the columns: leepeuker/movary, src/Service/Export/ExportService.php.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from social.transfer.formats.csv_reader import CsvRow, Header, read_table
from social.transfer.formats.records import LeftOut, Record, RecordKind, parse_rows
from social.transfer.formats.values import MAX_REVIEW_LENGTH, CellParser, FileContext

_MOVIE_COLUMNS = frozenset({"title", "tmdbid", "imdbid"})
# The column that each of the three files has alone.
_STATEMENTS = frozenset({"watchedat", "userrating", "addedat"})
# As Movary spells them. Our own columns are the same but for case and underscores.
_NAMES = frozenset({"tmdbId", "imdbId"})


def is_table(header: Header) -> bool:
    columns = set(header.columns)
    return (
        columns >= _MOVIE_COLUMNS
        and len(_STATEMENTS & columns) == 1
        and bool(_NAMES & set(header.names) or "userrating" in columns)
    )


def read(lines: Iterable[str], *, context: FileContext) -> Iterator[Record | LeftOut]:
    return parse_rows(
        read_table(lines, required=_MOVIE_COLUMNS),
        lambda row, line: _parse_row(row, line, context),
        file=context.file,
        get_title=lambda row: row.get("title"),
    )


def _parse_row(row: CsvRow, line: int, context: FileContext) -> Iterator[Record | LeftOut]:
    parser = CellParser(context)
    movie = parser.parse_movie(
        title=row.get("title"),
        year=row.get("year"),
        tmdb_id=row.get("tmdbid"),
        imdb_id=row.get("imdbid"),
    )
    if "userrating" in row.cells:
        score = parser.require_score(row.get("userrating"), out_of=10)
        values = {"score": score, "rated_at": None, **parser.get_values()}
        yield Record(RecordKind.RATING, context.file, line, **movie, values=values)
    elif "addedat" in row.cells:
        values = {"added_at": parser.parse_time(row.get("addedat")), **parser.get_values()}
        yield Record(RecordKind.WATCHLIST, context.file, line, **movie, values=values)
    else:
        watched = parser.parse_moment(row.get("watchedat"))
        note = parser.clean(row.get("comment").strip(), name="note", max_length=MAX_REVIEW_LENGTH)
        if row.get("location").strip():
            parser.leave_out("locations", "A viewing here has no location.")
        values = {**watched.get_values(), "viewing_note": note, **parser.get_values()}
        yield Record(RecordKind.VIEWING, context.file, line, **movie, values=values)
    yield from parser.get_left_out()
