"""Letterboxd's export (https://letterboxd.com/settings/data/) and its import format.

The import format is what our own export writes as letterboxd.csv:
https://letterboxd.com/about/importing-data/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import chain, islice
from typing import Any

from social.transfer.formats.csv_reader import (
    CsvRow,
    read_table,
    unescape_formula,
)
from social.transfer.formats.records import (
    FileError,
    InvalidRow,
    Record,
    RecordKind,
    RowError,
    parse_rows,
)
from social.transfer.formats.values import (
    MAX_DESCRIPTION_LENGTH,
    MAX_LIST_NAME_LENGTH,
    MAX_NOTE_LENGTH,
    MAX_REVIEW_LENGTH,
    MemberTexts,
    parse_datetime,
    parse_id,
    parse_imdb_id,
    parse_score,
    parse_title,
    parse_viewing_time,
    parse_year,
)

#: The files of an export that are tables of movies, in the order they are read.
TABLES = ("ratings", "diary", "reviews", "watched", "watchlist")
_LIST_HEADER = "letterboxd list export"
# The lines about a list before its movies; its description may have many.
_MAX_LIST_HEAD_LINES = 2_000


@dataclass(frozen=True)
class ExportContents:
    """The tables and scores that an export contains, so that no record is read from two tables."""

    has_ratings: bool = False
    has_diary: bool = False
    #: The scores of ratings.csv by title and year, both as written.
    scores: Mapping[tuple[str, str], str] = field(default_factory=dict)


def detect_table(header: list[str], name: str) -> str | None:
    """Return which of TABLES a file is, by its columns; None if it is none of them.

    watched.csv and watchlist.csv have the same columns, so their names decide. Raises FileError
    if the name does not.
    """
    columns = set(header)
    if not {"name", "letterboxd uri"} <= columns:
        return None
    if "review" in columns:
        return "reviews"
    if "watched date" in columns:
        return "diary"
    if "rating" in columns:
        return "ratings"
    for table in ("watchlist", "watched"):
        if table in name.lower():
            return table
    raise FileError(
        "ambiguous_file",
        "Letterboxd's watched.csv and watchlist.csv have the same columns. Give the file one of"
        " these names.",
    )


def read_scores(lines: Iterable[str], *, max_rows: int) -> dict[tuple[str, str], str]:
    """Return the scores of ratings.csv by title and year, all as written, of the first rows."""
    scores: dict[tuple[str, str], str] = {}
    try:
        for item in islice(read_table(lines, required=("name", "rating")), max_rows):
            if not isinstance(item, InvalidRow):
                _, row = item
                scores[row.get("name"), row.get("year")] = row.get("rating")
    except FileError:
        return {}
    return scores


def read(
    lines: Iterable[str], *, file: str, table: str, today: date, contents: ExportContents
) -> Iterator[Record]:
    """Yield the records of one table; `contents` describes the export the file is part of."""
    return parse_rows(
        read_table(lines, required=("name",)),
        lambda row, line: _parse_row(row, file, line, table, today, contents),
        file=file,
        get_title=lambda row: row.get("name"),
    )


def _parse_row(
    row: CsvRow, file: str, line: int, table: str, today: date, contents: ExportContents
) -> Iterator[Record]:
    movie: dict[str, Any] = {
        "title": parse_title(row.get("name")),
        "year": parse_year(row.get("year")),
    }
    logged_at, _ = parse_datetime(row.get("date"), today=today)
    # Letterboxd has no times, and the day an entry was logged is not that of the viewing.
    viewing = parse_viewing_time(row.get("watched date"), today=today)
    score = row.get("rating")
    values: dict[str, Any]
    if table == "ratings" or (table == "diary" and score and not contents.has_ratings):
        stars, note = parse_score(score, out_of=5)
        watched_at = parse_datetime(row.get("watched date"), today=today)[0] if viewing else None
        rated_at = logged_at if table == "ratings" else watched_at or logged_at
        values = {"score": stars, "rated_at": rated_at, "note": note}
        yield Record(RecordKind.RATING, file, line, **movie, values=values)
    if table == "reviews":
        texts = MemberTexts()
        review = texts.clean(row.get("review").strip(), name="review", max_length=MAX_REVIEW_LENGTH)
        if not review:
            raise RowError("no_review", "The review is empty.")
        # ratings.csv has the member's current score, a review the score at the time.
        current = contents.scores.get((row.get("name"), row.get("year"))) or score
        stars_or_none, note = parse_score(current, out_of=5) if current else (None, "")
        values = {
            "score": stars_or_none,
            "review": review,
            "rated_at": logged_at,
            "note": note,
            **viewing,
            **texts.get_values(),
        }
        yield Record(RecordKind.REVIEW, file, line, **movie, values=values)
    if table == "diary" or (table == "reviews" and viewing and not contents.has_diary):
        yield Record(RecordKind.VIEWING, file, line, **movie, values=viewing)
    if table == "watched":
        yield Record(RecordKind.SEEN, file, line, **movie)
    if table == "watchlist":
        yield Record(RecordKind.WATCHLIST, file, line, **movie, values={"added_at": logged_at})


# --- Lists ---------------------------------------------------------------------------------------


def is_list(header: list[str]) -> bool:
    return bool(header) and header[0].startswith(_LIST_HEADER)


def read_list(lines: Iterable[str], *, file: str, today: date) -> Iterator[Record]:
    """Yield the records of a list: a line naming the format, a table about the list, its movies.

    Raises FileError if the list has no name or no movies.
    """
    source = iter(lines)
    about: list[str] = []
    for line in islice(source, _MAX_LIST_HEAD_LINES):
        if line.lower().startswith("position,"):
            break
        about.append(line)
    else:
        raise FileError("bad_list", "The list has no table of movies.")
    yield _parse_list(about[1:], file, today)
    yield from parse_rows(
        read_table(chain([line], source), required=("name",), first_line=len(about) + 1),
        lambda row, number: [_parse_list_item(row, file, number)],
        file=file,
        get_title=lambda row: row.get("name"),
    )


def _parse_list(lines: list[str], file: str, today: date) -> Record:
    table = read_table(lines, required=("name",), first_line=2)
    rows = [row for row in table if not isinstance(row, InvalidRow)]
    if not rows:
        raise FileError("bad_list", "The list has no name.")
    line, row = rows[0]
    texts = MemberTexts()
    name = texts.clean(
        row.get("name").strip(), name="list's name", max_length=MAX_LIST_NAME_LENGTH, is_line=True
    )
    description = texts.clean(
        row.get("description").strip(), name="description", max_length=MAX_DESCRIPTION_LENGTH
    )
    try:
        created_at, _ = parse_datetime(row.get("date"), today=today)
    except RowError as error:
        raise FileError(error.code, error.reason) from None
    if not name:
        raise FileError("no_name", "The list has no name.")
    values = {
        "list": file,
        "name": name,
        "description": description,
        "created_at": created_at,
        **texts.get_values(),
    }
    return Record(RecordKind.PLAYLIST, file, line, title=name, values=values)


def _parse_list_item(row: CsvRow, file: str, line: int) -> Record:
    title, year = parse_title(row.get("name")), parse_year(row.get("year"))
    texts = MemberTexts()
    note = texts.clean(row.get("description").strip(), name="note", max_length=MAX_NOTE_LENGTH)
    values = {"list": file, "note": note, **texts.get_values()}
    return Record(RecordKind.PLAYLIST_ITEM, file, line, title=title, year=year, values=values)


# --- The import format ---------------------------------------------------------------------------


def is_import_table(header: list[str]) -> bool:
    columns = set(header)
    known = {"watcheddate", "rating10", "letterboxduri", "tmdbid", "imdbid"}
    return "title" in columns and bool(columns & known) and "movie_id" not in columns


def read_import_table(lines: Iterable[str], *, file: str, today: date) -> Iterator[Record]:
    return parse_rows(
        read_table(lines, required=("title",)),
        lambda row, line: _parse_import_row(row, file, line, today),
        file=file,
        get_title=lambda row: row.get("title"),
    )


def _parse_import_row(row: CsvRow, file: str, line: int, today: date) -> Iterator[Record]:
    movie: dict[str, Any] = {
        "title": parse_title(unescape_formula(row.get("title"))),
        "year": parse_year(row.get("year")),
        "tmdb_id": parse_id(row.get("tmdbid")),
        "imdb_id": parse_imdb_id(row.get("imdbid")),
    }
    viewing = parse_viewing_time(row.get("watcheddate"), today=today)
    rated_at = parse_datetime(row.get("watcheddate"), today=today)[0] if viewing else None
    texts = MemberTexts()
    review = texts.clean(
        unescape_formula(row.get("review")).strip(), name="review", max_length=MAX_REVIEW_LENGTH
    )
    score: float | None = None
    note = ""
    if row.get("rating"):
        score, note = parse_score(row.get("rating"), out_of=5)
    elif row.get("rating10"):
        score, note = parse_score(row.get("rating10"), out_of=10)
    values: dict[str, Any]
    if score is not None:
        values = {
            "score": score,
            "rated_at": rated_at,
            "note": note,
            **viewing,
            **texts.get_values(),
        }
        if review:
            values["review"] = review
        yield Record(RecordKind.RATING, file, line, **movie, values=values)
    elif review:
        values = {
            "score": None,
            "review": review,
            "rated_at": rated_at,
            **viewing,
            **texts.get_values(),
        }
        yield Record(RecordKind.REVIEW, file, line, **movie, values=values)
    if viewing:
        yield Record(RecordKind.VIEWING, file, line, **movie, values=viewing)
    elif score is None and not review:
        yield Record(RecordKind.SEEN, file, line, **movie)
