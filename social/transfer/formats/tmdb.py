"""TMDb's export of an account's ratings, watchlist or favorites as CSV, all with the same columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from social.transfer.formats.csv_reader import CsvRow, Header, read_table
from social.transfer.formats.records import (
    LeftOut,
    Record,
    RecordKind,
    RowError,
    insert_playlist,
    make_playlist,
    parse_rows,
)
from social.transfer.formats.values import CellParser, FileContext

_REQUIRED = ("tmdbid", "type", "name")
_FAVORITES = "Favorites"


def is_table(header: Header) -> bool:
    return set(_REQUIRED) <= set(header.columns)


def read(lines: Iterable[str], *, context: FileContext) -> Iterator[Record | LeftOut]:
    """Yield the records of a file. A row without a score is of the list that the file's name says."""
    name = context.file.lower()
    kind = RecordKind.WATCHLIST
    if "favorite" in name or "favourite" in name:
        kind = RecordKind.PLAYLIST_ITEM
    elif "rat" in name and "watchlist" not in name:
        kind = RecordKind.RATING
    records = parse_rows(
        read_table(lines, required=_REQUIRED),
        lambda row, line: _parse_row(row, line, context, kind),
        file=context.file,
        get_title=lambda row: row.get("name"),
    )
    return insert_playlist(records, make_playlist(_FAVORITES, key=context.file, file=context.file))


def _parse_row(
    row: CsvRow, line: int, context: FileContext, list_kind: RecordKind
) -> Iterator[Record | LeftOut]:
    media_type = row.get("type").strip()
    if media_type.lower() != "movie":
        raise RowError("not_a_film", f"This is not a movie but: {media_type[:40] or 'unknown'}.")
    parser = CellParser(context)
    movie = parser.parse_movie(
        title=row.get("name"),
        year=row.get("releasedate").strip()[:4],
        tmdb_id=row.get("tmdbid"),
        imdb_id=row.get("imdbid"),
    )
    at = parser.parse_time(row.get("daterated", "dateadded"))
    score = parser.parse_score(row.get("yourrating"), out_of=10)
    if score is not None:
        values = {"score": score, "rated_at": at, **parser.get_values()}
        yield Record(RecordKind.RATING, context.file, line, **movie, values=values)
    if list_kind == RecordKind.RATING:
        if score is None:
            raise RowError("no_score", "The row has no score.")
    elif list_kind == RecordKind.PLAYLIST_ITEM:
        values = {"list": context.file, "note": "", "added_at": at, **parser.get_values()}
        yield Record(list_kind, context.file, line, **movie, values=values)
    elif score is None or "watchlist" in context.file.lower():
        values = {"added_at": at, **parser.get_values()}
        yield Record(list_kind, context.file, line, **movie, values=values)
    yield from parser.get_left_out()
