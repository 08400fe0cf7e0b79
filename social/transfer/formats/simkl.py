"""Simkl's backup: a CSV table, or SimklBackup.json with the arrays movies, shows and anime.

Source of the columns: https://simkl.com/apps/import/csv/, of the JSON: GET /sync/all-items of
https://simkl.docs.apiary.io/.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from social.transfer.formats.csv_reader import CsvRow, Header, read_table
from social.transfer.formats.json_reader import (
    get_movie_title,
    read_sections,
    to_dict,
    to_text,
)
from social.transfer.formats.records import (
    InvalidRow,
    LeftOut,
    Record,
    RowError,
    make_invalid_record,
    parse_rows,
)
from social.transfer.formats.values import CellParser, FileContext
from social.transfer.formats.watch_status import WatchStatus, parse_watch_status, read_status_record

_REQUIRED = ("title", "type", "watchlist")
#: The arrays of the JSON file.
SECTIONS = frozenset({"movies", "shows", "anime"})


def is_table(header: Header) -> bool:
    columns = set(header.columns)
    return set(_REQUIRED) <= columns and bool({"simklid", "lastepwatched"} & columns)


def read(lines: Iterable[str], *, context: FileContext) -> Iterator[Record | LeftOut]:
    return parse_rows(
        read_table(lines, required=_REQUIRED),
        lambda row, line: _parse_row(row, line, context),
        file=context.file,
        get_title=lambda row: row.get("title"),
    )


def _parse_row(row: CsvRow, line: int, context: FileContext) -> Iterator[Record | LeftOut]:
    media_type = row.get("type").strip()
    imdb_id = row.get("imdb", "imdbid").strip()
    # An anime may be a movie, which its IMDb id decides. Its TMDb id may be a series'.
    is_anime = media_type.lower() == "anime" and not row.get("lastepwatched") and imdb_id
    if media_type.lower() not in ("movie", "movies") and not is_anime:
        raise RowError("not_a_film", f"This is not a movie but: {media_type[:40] or 'unknown'}.")
    parser = CellParser(context)
    movie = parser.parse_movie(
        title=row.get("title"),
        year=row.get("year"),
        tmdb_id="" if is_anime else row.get("tmdb", "tmdbid"),
        imdb_id=f"tt{imdb_id}" if imdb_id.isdecimal() else imdb_id,
    )
    yield from read_status_record(
        parser,
        context=context,
        line=line,
        movie=movie,
        status=parse_watch_status(row.get("watchlist")),
        status_text=row.get("watchlist"),
        watched=row.get("watcheddate"),
        added="",
        score=row.get("rating"),
        note=row.get("memo"),
        extra={"must_be_confirmed": True} if is_anime else None,
    )


def read_json(chunks: Iterable[str], *, context: FileContext) -> Iterator[Record | LeftOut]:
    """Yield the records of the movies; series are counted as left out."""
    for section, item in read_sections(chunks):
        if isinstance(item, InvalidRow):
            yield make_invalid_record(context.file, item.line, item.error)
            continue
        number, value = item
        if section == "movies" or _is_anime_movie(value):
            yield from parse_rows(
                [(number, value)],
                lambda element, line: _parse_element(to_dict(element), line, context),
                file=context.file,
                get_title=get_movie_title,
            )
        elif section in SECTIONS:
            yield LeftOut("series", "Series are not part of this service.")


def _is_anime_movie(value: Any) -> bool:
    return isinstance(value, dict) and value.get("anime_type") == "movie"


def _parse_element(
    element: dict[str, Any], number: int, context: FileContext
) -> Iterator[Record | LeftOut]:
    fields = to_dict(element.get("movie") or element.get("show"))
    ids = to_dict(fields.get("ids") or {})
    parser = CellParser(context)
    movie = parser.parse_movie(
        title=to_text(fields.get("title")),
        year=to_text(fields.get("year")),
        tmdb_id=to_text(ids.get("tmdb")),
        imdb_id=to_text(ids.get("imdb")),
    )
    memo = element.get("memo")
    status = to_text(element.get("status"))
    has_date = bool(element.get("last_watched_at"))
    yield from read_status_record(
        parser,
        context=context,
        line=number,
        movie=movie,
        status=parse_watch_status(status) or (WatchStatus.WATCHED if has_date else None),
        status_text=status,
        watched=to_text(element.get("last_watched_at")),
        added=to_text(element.get("added_to_watchlist_at")),
        score=to_text(element.get("user_rating", element.get("rating"))),
        rated=to_text(element.get("user_rated_at", element.get("rated_at"))),
        note=to_text(memo.get("text") if isinstance(memo, dict) else memo),
    )
