"""Letterboxd's export (https://letterboxd.com/settings/data/) and its import format.

The import format is what our own export writes as letterboxd.csv:
https://letterboxd.com/about/importing-data/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import PurePosixPath
from typing import Any

from social.transfer.formats.csv_reader import (
    CsvRow,
    Header,
    normalize_column,
    read_header,
    read_table,
    unescape_formula,
)
from social.transfer.formats.records import (
    FileError,
    InvalidRow,
    LeftOut,
    Record,
    RecordKind,
    RowError,
    parse_rows,
)
from social.transfer.formats.values import MAX_REVIEW_LENGTH, CellParser, FileContext

#: The files of an export that are tables of movies, in the order they are read.
TABLES = ("ratings", "diary", "reviews", "watched", "watchlist")
#: The folders and files of an export that are not read, and why.
LEFT_OUT = {
    "likes": "Likes have no place in an account here.",
    "deleted": "What you deleted at Letterboxd stays deleted.",
    "orphaned": "Letterboxd itself no longer shows what is in orphaned/.",
    "comments": "Comments on other members' reviews stay at Letterboxd.",
    "profile": "A profile here is edited in the profile, not imported from Letterboxd.",
}
_EARLIER_SCORE = "A movie has one score here, the current one."
_LIST_MARK = "letterboxdlistexport"
_LIST_COLUMNS = frozenset({"name", "url", "description"})
# The lines about a list before its movies; its description may have many.
_MAX_LIST_HEAD_LINES = 2_000
_IMPORT_COLUMNS = frozenset(
    {
        *("letterboxduri", "tmdbid", "imdbid", "title", "year", "directors", "watcheddate"),
        *("rating", "rating10", "tags", "review", "rewatch"),
    }
)
# Columns that other services do not have, as they are written.
_IMPORT_ID_NAMES = frozenset({"tmdbID", "imdbID"})

_Movie = tuple[str, str]


@dataclass(frozen=True)
class ExportContents:
    """The tables and scores that an export contains, so that no record is read from two tables."""

    has_ratings: bool = False
    has_diary: bool = False
    #: The scores of ratings.csv by title and year, both as written.
    scores: Mapping[_Movie, str] = field(default_factory=dict)


def detect_table(header: Header, name: str) -> str | None:
    """Return which of TABLES a file is, by its columns; None if it is none of them.

    watched.csv and watchlist.csv have the same columns, so their names decide. Raises FileError
    if the name does not.
    """
    columns = set(header.columns)
    if not {"name", "letterboxduri"} <= columns:
        return None
    if "review" in columns:
        return "reviews"
    if "watcheddate" in columns:
        return "diary"
    if "rating" in columns:
        return "ratings"
    return _detect_list_of_movies(name)


def _detect_list_of_movies(name: str) -> str:
    for table in ("watchlist", "watched"):
        if table in name.lower():
            return table
    raise FileError(
        "ambiguous_file",
        "Letterboxd's watched.csv and watchlist.csv have the same columns. Give the file one of"
        " these names.",
    )


def read_scores(lines: Iterable[str], *, max_rows: int) -> dict[_Movie, str]:
    """Return the scores of ratings.csv by title and year, all as written, of the first rows."""
    scores: dict[_Movie, str] = {}
    try:
        for item in islice(read_table(lines, required=("name", "rating")), max_rows):
            if not isinstance(item, InvalidRow):
                _, row = item
                scores[row.get("name"), row.get("year")] = row.get("rating")
    except FileError:
        return {}
    return scores


def read(
    lines: Iterable[str], *, table: str, context: FileContext, contents: ExportContents
) -> Iterator[Record | LeftOut]:
    """Yield the records of one table; `contents` describes the export the file is part of."""
    return parse_rows(
        read_table(lines, required=("name",)),
        lambda row, line: _parse_row(row, line, table, context, contents),
        file=context.file,
        get_title=lambda row: row.get("name"),
    )


def _parse_row(
    row: CsvRow, line: int, table: str, context: FileContext, contents: ExportContents
) -> Iterator[Record | LeftOut]:
    parser = CellParser(context)
    movie = parser.parse_movie(title=row.get("name"), year=row.get("year"))
    logged_at = parser.parse_time(row.get("date"))
    watched = parser.parse_moment(row.get("watcheddate"))
    _leave_out_flags(row, parser)
    match table:
        case "ratings":
            score = parser.require_score(row.get("rating"), out_of=5)
            values = {"score": score, "rated_at": logged_at, **parser.get_values()}
            yield Record(RecordKind.RATING, context.file, line, **movie, values=values)
        case "diary":
            stars = parser.parse_score(row.get("rating"), out_of=5)
            current = contents.scores.get((row.get("name"), row.get("year")), "")
            if contents.has_ratings and row.get("rating").strip() not in ("", current.strip()):
                parser.leave_out("earlier_scores", _EARLIER_SCORE)
            if stars is not None and not contents.has_ratings:
                rated_at = watched.sort_time or logged_at
                values = {"score": stars, "rated_at": rated_at, **parser.get_values()}
                yield Record(RecordKind.RATING, context.file, line, **movie, values=values)
            values = {**watched.get_values(), **parser.get_values()}
            yield Record(RecordKind.VIEWING, context.file, line, **movie, values=values)
        case "reviews":
            review = parser.clean_review(row.get("review"))
            if not review:
                raise RowError("no_review", "The review is empty.")
            # ratings.csv has the member's current score, a review the score at the time.
            current = contents.scores.get((row.get("name"), row.get("year")), "")
            score_text = current or row.get("rating")
            if current.strip() and row.get("rating").strip() not in ("", current.strip()):
                parser.leave_out("earlier_scores", _EARLIER_SCORE)
            values = {
                "score": parser.parse_score(score_text, out_of=5),
                "review": review,
                "rated_at": logged_at or watched.sort_time,
                **({"watched_on": watched.day} if watched.day else {}),
                **parser.get_values(),
            }
            yield Record(RecordKind.REVIEW, context.file, line, **movie, values=values)
            if watched.day and not contents.has_diary:
                values = {**watched.get_values(), **parser.get_values()}
                yield Record(RecordKind.VIEWING, context.file, line, **movie, values=values)
        case "watched":
            parser.leave_out(
                "dates_of_marking",
                "The date in watched.csv is when you marked a movie, not when you saw it.",
            )
            values = {**parser.get_values()}
            yield Record(RecordKind.SEEN, context.file, line, **movie, values=values)
        case "watchlist":
            values = {"added_at": logged_at, **parser.get_values()}
            yield Record(RecordKind.WATCHLIST, context.file, line, **movie, values=values)
    yield from parser.get_left_out()


def _leave_out_flags(row: CsvRow, parser: CellParser) -> None:
    if row.get("tags"):
        parser.leave_out("tags", "Tags have no place in an account here.")
    if row.get("rewatch").strip().lower() in ("yes", "true", "1"):
        parser.leave_out(
            "rewatch_flags", "A rewatch is a second viewing here, without a mark of its own."
        )


# --- Lists ---------------------------------------------------------------------------------------


def is_list(header: Header) -> bool:
    """Return whether a file is a list: by its first line, or the table about the list."""
    columns = header.columns
    if columns and columns[0].startswith(_LIST_MARK):
        return True
    return set(columns) >= _LIST_COLUMNS and columns[0] == "date" and "position" not in columns


def read_list(lines: Iterable[str], *, context: FileContext) -> Iterator[Record | LeftOut]:
    """Yield the records of a list: a line naming the format, a table about the list, its movies.

    The first line may be missing. Raises FileError if the list has no table of movies.
    """
    source = iter(lines)
    about: list[str] = []
    for line in islice(source, _MAX_LIST_HEAD_LINES):
        if _is_header_of_movies(line):
            break
        about.append(line)
    else:
        raise FileError("bad_list", "The list has no table of movies.")
    yield from _parse_list(about, context)
    yield from parse_rows(
        read_table(chain([line], source), required=("name",), first_line=len(about) + 1),
        lambda row, number: _parse_list_item(row, number, context),
        file=context.file,
        get_title=lambda row: row.get("name"),
    )


def _is_header_of_movies(line: str) -> bool:
    return line.lstrip('" ').lower().startswith("position") and {"position", "name"} <= set(
        read_header(line).columns
    )


def _parse_list(lines: list[str], context: FileContext) -> Iterator[Record | LeftOut]:
    start = next((n for n, line in enumerate(lines) if line.strip(", ;\t\ufeff")), len(lines))
    if start < len(lines) and normalize_column(lines[start]).startswith(_LIST_MARK):
        start += 1
    table = read_table(lines[start:], required=(), first_line=start + 1)
    rows = [item for item in table if not isinstance(item, InvalidRow)]
    line, row = rows[0] if rows else (1, CsvRow({}))
    parser = CellParser(context)
    if not row.get("name").strip():
        parser.add_change("The list has no name; it is named after its file.")
    name = parser.clean_list_name(row.get("name") or PurePosixPath(context.file).stem or "List")
    if row.get("tags"):
        parser.leave_out("tags", "Tags have no place in an account here.")
    values = {
        "list": context.file,
        "name": name,
        "description": parser.clean_description(row.get("description")),
        "created_at": parser.parse_time(row.get("date")),
        **parser.get_values(),
    }
    yield Record(RecordKind.PLAYLIST, context.file, line, title=name, values=values)
    yield from parser.get_left_out()


def _parse_list_item(row: CsvRow, line: int, context: FileContext) -> Iterator[Record | LeftOut]:
    parser = CellParser(context)
    movie = parser.parse_movie(title=row.get("name"), year=row.get("year"))
    note = parser.clean_note(row.get("description"))
    values = {"list": context.file, "note": note, **parser.get_values()}
    yield Record(RecordKind.PLAYLIST_ITEM, context.file, line, **movie, values=values)
    yield from parser.get_left_out()


# --- The import format ---------------------------------------------------------------------------


def is_import_table(header: Header) -> bool:
    """Return whether a table is in the import format: no other columns, and some of its own."""
    columns = set(header.columns)
    if not columns <= _IMPORT_COLUMNS or not columns & {"title", "tmdbid", "imdbid"}:
        return False
    if columns & {"watcheddate", "rating10", "letterboxduri"}:
        return True
    has_statement = columns & {"rating", "review", "rewatch"}
    return bool(has_statement and _IMPORT_ID_NAMES & set(header.names))


def read_import_table(
    lines: Iterable[str], *, header: Header, context: FileContext
) -> Iterator[Record | LeftOut]:
    says_watched = {"watcheddate", "rating", "rating10", "review", "rewatch"}
    if not says_watched & set(header.columns):
        is_watchlist = _detect_list_of_movies(context.file) == "watchlist"
    else:
        is_watchlist = False
    return parse_rows(
        read_table(lines, required=()),
        lambda row, line: _parse_import_row(row, line, context, is_watchlist),
        file=context.file,
        get_title=lambda row: row.get("title"),
    )


def _parse_import_row(
    row: CsvRow, line: int, context: FileContext, is_watchlist: bool
) -> Iterator[Record | LeftOut]:
    parser = CellParser(context)
    movie = parser.parse_movie(
        title=unescape_formula(row.get("title")),
        year=row.get("year"),
        tmdb_id=row.get("tmdbid"),
        imdb_id=row.get("imdbid"),
    )
    watched = parser.parse_moment(row.get("watcheddate"))
    review = parser.clean(
        unescape_formula(row.get("review")).strip(), name="review", max_length=MAX_REVIEW_LENGTH
    )
    score = parser.parse_score(row.get("rating"), out_of=5)
    if score is None:
        score = parser.parse_score(row.get("rating10"), out_of=10)
    _leave_out_flags(row, parser)
    values: dict[str, Any] = {
        "score": score,
        "rated_at": watched.sort_time,
        **({"watched_on": watched.day} if watched.day else {}),
        **parser.get_values(),
    }
    if review:
        values["review"] = review
    if score is not None:
        yield Record(RecordKind.RATING, context.file, line, **movie, values=values)
    elif review:
        yield Record(RecordKind.REVIEW, context.file, line, **movie, values=values)
    if watched.day is not None:
        values = {**watched.get_values(), **parser.get_values()}
        yield Record(RecordKind.VIEWING, context.file, line, **movie, values=values)
    elif score is None and not review:
        kind = RecordKind.WATCHLIST if is_watchlist else RecordKind.SEEN
        yield Record(kind, context.file, line, **movie, values=parser.get_values())
    yield from parser.get_left_out()
