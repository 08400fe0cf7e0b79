"""Yamtrack's export as CSV: movies, series, books and games in one table.

Source of the columns: FuzzyGrim/Yamtrack, src/integrations/exports.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from social.transfer.formats.csv_reader import CsvRow, Header, read_table
from social.transfer.formats.records import LeftOut, Record, RowError, parse_rows
from social.transfer.formats.values import CellParser, FileContext
from social.transfer.formats.watch_status import WatchStatus, parse_watch_status, read_status_record

_REQUIRED = ("mediaid", "mediatype", "title")


def is_table(header: Header) -> bool:
    return set(_REQUIRED) <= set(header.columns)


def read(lines: Iterable[str], *, context: FileContext) -> Iterator[Record | LeftOut]:
    return parse_rows(
        read_table(lines, required=_REQUIRED),
        lambda row, line: _parse_row(row, line, context),
        file=context.file,
        get_title=lambda row: row.get("title"),
    )


def _parse_row(row: CsvRow, line: int, context: FileContext) -> Iterator[Record | LeftOut]:
    media_type = row.get("mediatype").strip()
    if media_type.lower() != "movie":
        raise RowError("not_a_film", f"This is not a movie but: {media_type[:40] or 'unknown'}.")
    parser = CellParser(context)
    source = row.get("source").strip().lower()
    movie = parser.parse_movie(
        title=row.get("title"),
        # Before it had the column `source`, all of its movies were TMDb's.
        tmdb_id=row.get("mediaid") if source in ("", "tmdb") else "",
        imdb_id=row.get("mediaid") if source == "imdb" else "",
    )
    status_text = row.get("status")
    # Of a movie that was begun and finished on one day some have only the start.
    day = row.get("enddate", "watchdate", "startdate")
    status = parse_watch_status(status_text)
    if status is None and day:
        status = WatchStatus.WATCHED
    yield from read_status_record(
        parser,
        context=context,
        line=line,
        movie=movie,
        status=status,
        status_text=status_text,
        watched=day,
        added=row.get("createdat"),
        score=row.get("score"),
        note=row.get("notes"),
    )
