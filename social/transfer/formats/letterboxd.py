"""Letterboxd's export: https://letterboxd.com/settings/data/ and its import format.

Import format: https://letterboxd.com/about/importing-data/
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from social.transfer.formats.csv_reader import BadRow, Row, lines_of, table, unescaped
from social.transfer.formats.records import (
    MAX_DESCRIPTION,
    MAX_NAME,
    MAX_NOTE,
    MAX_REVIEW,
    Entries,
    Entry,
    FileError,
    Kind,
    RowError,
    clean,
    invalid,
    read_id,
    read_imdb_id,
    read_moment,
    read_score,
    read_title,
    read_year,
)

LIST_MARK = "letterboxd list export"
#: Names of the files of an export, by what they are.
FILES = ("ratings", "diary", "reviews", "watched", "watchlist")


def kind_of(header: list[str], name: str) -> str | None:
    """Which file of an export a table is, by its columns; None for no such table.

    Films seen and films to see have the same columns, so there the file's name has to tell.
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
    for each in ("watchlist", "watched"):
        if each in name.lower():
            return each
    raise FileError(
        "ambiguous_file",
        "Films seen and films to see look alike in Letterboxd's files: name it watched.csv or"
        " watchlist.csv.",
    )


def scores(text: str) -> dict[tuple[str, str], str]:
    """What ratings.csv gives each film, by its name and year as they are written."""
    try:
        return {
            (row.get("name"), row.get("year")): row.get("rating")
            for row in table(text, needed=("name", "rating"))
            if isinstance(row, Row)
        }
    except FileError:
        return {}


def read(
    text: str,
    *,
    file: str,
    kind: str,
    today: date,
    alone: bool,
    rated: Mapping[tuple[str, str], str],
) -> Entries:
    """The entries of one file of an export.

    `alone` is whether its scores and viewings are in no other file of the same import; `rated` is
    what ratings.csv gives each film, for reviews without a score of their own.
    """
    for row in table(text, needed=("name",)):
        if isinstance(row, BadRow):
            yield invalid(file, row.line, row.problem, title=row.text)
            continue
        try:
            yield from list(_row(row, file, kind, today, alone, rated))
        except RowError as problem:
            yield invalid(file, row.line, problem, title=row.get("name"))


def _row(
    row: Row,
    file: str,
    kind: str,
    today: date,
    alone: bool,
    rated: Mapping[tuple[str, str], str],
) -> Entries:
    film: dict[str, Any] = {
        "title": read_title(row.get("name")),
        "year": read_year(row.get("year")),
    }
    logged, _ = read_moment(row.get("date"), today=today)
    watched, day_only = read_moment(row.get("watched date"), today=today)
    score = row.get("rating")
    if kind == "ratings" or (kind == "diary" and alone and score):
        stars, note = read_score(score, out_of=5)
        at = logged if kind == "ratings" else watched or logged
        values = {"score": stars, "rated_at": at, "note": note}
        yield Entry(Kind.RATING, file, row.line, **film, values=values)
    if kind == "reviews":
        review = clean(row.get("review"), what="review", longest=MAX_REVIEW)
        if not review:
            raise RowError("no_review", "The review is empty.")
        own = rated.get((row.get("name"), row.get("year"))) or score
        given, note = read_score(own, out_of=5) if own else (None, "")
        values = {"score": given, "review": review, "rated_at": logged or watched, "note": note}
        yield Entry(Kind.REVIEW, file, row.line, **film, values=values)
    if kind == "diary" or (kind == "reviews" and alone and watched):
        values = {"watched_at": watched or logged, "day_only": day_only or watched is None}
        yield Entry(Kind.VIEWING, file, row.line, **film, values=values)
    if kind == "watched":
        values = {"watched_at": logged, "day_only": True}
        yield Entry(Kind.SEEN, file, row.line, **film, values=values)
    if kind == "watchlist":
        yield Entry(Kind.WATCHLIST, file, row.line, **film, values={"added_at": logged})


def read_list(text: str, *, file: str, today: date) -> Entries:
    """A file of lists/: three lines about the list, then its films."""
    lines = lines_of(text)
    films = next(
        (at for at, line in enumerate(lines) if line.lower().startswith("position,")), len(lines)
    )
    about = "\n".join(lines[1:films])
    heads = [row for row in table(about, needed=("name",), first_line=2) if isinstance(row, Row)]
    if not heads or films == len(lines):
        raise FileError("bad_list", "The list has no name or no table of films.")
    try:
        name = clean(heads[0].get("name"), what="list's name", longest=MAX_NAME)
        description = clean(
            heads[0].get("description"), what="description", longest=MAX_DESCRIPTION
        )
        created, _ = read_moment(heads[0].get("date"), today=today)
        if not name:
            raise RowError("no_name", "The list has no name.")
    except RowError as problem:
        raise FileError(problem.code, problem.reason) from None
    values = {"list": file, "name": name, "description": description, "created_at": created}
    yield Entry(Kind.PLAYLIST, file, heads[0].line, title=name, values=values)
    rest = "\n".join(lines[films:])
    for row in table(rest, needed=("name",), first_line=films + 1):
        if isinstance(row, BadRow):
            yield invalid(file, row.line, row.problem, title=row.text)
            continue
        try:
            title, year = read_title(row.get("name")), read_year(row.get("year"))
            note = clean(row.get("description"), what="note", longest=MAX_NOTE)
        except RowError as problem:
            yield invalid(file, row.line, problem, title=row.get("name"))
            continue
        values = {"list": file, "note": note}
        yield Entry(Kind.PLAYLIST_ITEM, file, row.line, title=title, year=year, values=values)


# --- Letterboxd's import format, which our export writes as letterboxd.csv -----------------------


def is_import_table(header: list[str]) -> bool:
    columns = set(header)
    marks = {"watcheddate", "rating10", "letterboxduri", "tmdbid", "imdbid"}
    return "title" in columns and bool(columns & marks) and "movie_id" not in columns


def read_import_table(text: str, *, file: str, today: date) -> Entries:
    for row in table(text, needed=("title",)):
        if isinstance(row, BadRow):
            yield invalid(file, row.line, row.problem, title=row.text)
            continue
        try:
            yield from list(_import_row(row, file, today))
        except RowError as problem:
            yield invalid(file, row.line, problem, title=row.get("title"))


def _import_row(row: Row, file: str, today: date) -> Entries:
    film: dict[str, Any] = {
        "title": read_title(unescaped(row.get("title"))),
        "year": read_year(row.get("year")),
        "tmdb_id": read_id(row.get("tmdbid")),
        "imdb_id": read_imdb_id(row.get("imdbid")),
    }
    watched, day_only = read_moment(row.get("watcheddate"), today=today)
    review = clean(unescaped(row.get("review")), what="review", longest=MAX_REVIEW)
    score: float | None = None
    note = ""
    if row.get("rating"):
        score, note = read_score(row.get("rating"), out_of=5)
    elif row.get("rating10"):
        score, note = read_score(row.get("rating10"), out_of=10)
    if score is not None:
        values: dict[str, Any] = {"score": score, "rated_at": watched, "note": note}
        if review:
            values["review"] = review
        yield Entry(Kind.RATING, file, row.line, **film, values=values)
    elif review:
        values = {"score": None, "review": review, "rated_at": watched}
        yield Entry(Kind.REVIEW, file, row.line, **film, values=values)
    if watched is not None:
        values = {"watched_at": watched, "day_only": day_only}
        yield Entry(Kind.VIEWING, file, row.line, **film, values=values)
    elif score is None and not review:
        yield Entry(Kind.SEEN, file, row.line, **film, values={"watched_at": None})
