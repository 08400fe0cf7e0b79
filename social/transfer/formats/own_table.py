"""CSV tables with our own column names: those of our export, and any other with these columns.

A row may state several things: a score, a review, a viewing, an item of the watchlist or a playlist.
TEMPLATE is the file that people fill in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from social.transfer.formats.csv_reader import CsvRow, Header, read_table, unescape_formula
from social.transfer.formats.dates import Moment
from social.transfer.formats.records import LeftOut, Record, RecordKind, RowError, parse_rows
from social.transfer.formats.values import MAX_REVIEW_LENGTH, CellParser, FileContext

MOVIE_COLUMNS = ("movie_id", "tmdb_id", "imdb_id", "title", "year")
MAX_MOVIE_ID = 2**63 - 1
#: The columns of the template, in its order, with what each contains.
TEMPLATE_COLUMNS = {
    "title": "the title, or the original title",
    "year": "the year of the first release",
    "tmdb_id": "the number in the movie's address at TMDb",
    "imdb_id": "such as tt0078748",
    "score": "1 to 5 in halves",
    "review": "up to 10,000 characters",
    "contains_spoilers": "true or false, of the review",
    "rated_at": "day or time of the score or the review",
    "watched": "yes if the movie is seen on an unknown day",
    "watched_on": "the day you saw it",
    "watched_at": "the moment you saw it, with offset or in UTC",
    "note": "a note on the viewing, or on the item of the playlist",
    "watchlist": "yes if the movie is on the watchlist",
    "added_at": "day or time of adding it to the watchlist or the playlist",
    "playlist": "the name of a playlist; its rows are in its order",
}
TEMPLATE = ",".join(TEMPLATE_COLUMNS) + "\r\n"
_COLUMNS = frozenset(
    name.replace("_", "")
    for name in (*MOVIE_COLUMNS, *TEMPLATE_COLUMNS, "updated_at", "reviewed_at", "position")
)
# Each of these columns says that a row states something.
_STATEMENTS = frozenset(
    {"score", "review", "watched", "watchedon", "watchedat", "watchlist", "addedat", "playlist"}
)
_YES = frozenset({"yes", "y", "true", "1", "x"})


def is_table(header: Header) -> bool:
    """Return whether all columns are ours, and they name movies and state something of them."""
    columns = set(header.columns)
    return (
        columns <= _COLUMNS
        and bool(columns & {"title", "tmdbid", "imdbid"})
        and bool(columns & _STATEMENTS)
    )


def read(
    lines: Iterable[str], *, header: Header, context: FileContext
) -> Iterator[Record | LeftOut]:
    """Yield the records of each row, a playlist's before those of its items."""
    playlists: set[str] = set()
    return parse_rows(
        read_table(lines, required=()),
        lambda row, line: _parse_row(row, line, set(header.columns), context, playlists),
        file=context.file,
        get_title=lambda row: row.get("title"),
    )


def _parse_row(
    row: CsvRow, line: int, columns: set[str], context: FileContext, playlists: set[str]
) -> Iterator[Record | LeftOut]:
    parser = CellParser(context)
    movie = {
        **parser.parse_movie(
            title=unescape_formula(row.get("title")),
            year=row.get("year"),
            tmdb_id=row.get("tmdbid"),
            imdb_id=row.get("imdbid"),
        ),
        "movie_id": parser.parse_id(row.get("movieid"), largest=MAX_MOVIE_ID),
    }
    statements = list(_parse_statements(row, columns, parser))
    if not statements:
        raise RowError("no_statement", "The row says neither watched, rated, listed nor reviewed.")
    for kind, values in statements:
        name: str = values.get("list", "")
        if kind == RecordKind.PLAYLIST_ITEM and name not in playlists:
            playlists.add(name)
            about = {"list": name, "name": name, "description": ""}
            yield Record(RecordKind.PLAYLIST, context.file, line, title=name, values=about)
        values |= parser.get_values()
        yield Record(kind, context.file, line, **movie, values=values)
    yield from parser.get_left_out()


def _parse_statements(
    row: CsvRow, columns: set[str], parser: CellParser
) -> Iterator[tuple[RecordKind, dict[str, Any]]]:
    added_at = parser.parse_time(row.get("addedat"))
    if row.get("score") or row.get("review"):
        yield RecordKind.RATING, _parse_rating(row, parser)
    is_item = bool(row.get("playlist").strip())
    note = unescape_formula(row.get("note"))
    # A table of viewings alone says so by its columns: the days may all be unknown.
    is_history = "watchedon" in columns and not columns & {"score", "watchlist", "playlist"}
    if row.get("watchedon", "watchedat") or _is_yes(row.get("watched")) or is_history:
        watched = parse_watched(
            row.get("watchedon"), row.get("watchedat"), parser, has_day="watchedon" in columns
        )
        text = "" if is_item else note.strip()
        values = {
            **watched,
            "viewing_note": parser.clean(text, name="note", max_length=MAX_REVIEW_LENGTH),
        }
        yield RecordKind.VIEWING, values
    elif note.strip() and not is_item:
        parser.leave_out("notes", "A note belongs to a viewing or a playlist.")
    if is_item:
        name = parser.clean_list_name(unescape_formula(row.get("playlist")))
        values = {"list": name, "note": parser.clean_note(note), "added_at": added_at}
        yield RecordKind.PLAYLIST_ITEM, values
    is_watchlist = "addedat" in columns and not columns & {"playlist", "watchlist"}
    if _is_yes(row.get("watchlist")) or (is_watchlist and not is_item):
        yield RecordKind.WATCHLIST, {"added_at": added_at}


def _parse_rating(row: CsvRow, parser: CellParser) -> dict[str, Any]:
    review = parser.clean_review(unescape_formula(row.get("review")))
    if review:
        score = parser.parse_score(row.get("score"), out_of=5)
    else:
        score = parser.require_score(row.get("score"), out_of=5)
    return {
        "score": score,
        "review": review,
        "contains_spoilers": _is_yes(row.get("containsspoilers")),
        "rated_at": parser.parse_time(row.get("ratedat")),
        "updated_at": parser.parse_time(row.get("updatedat")),
        "reviewed_at": parser.parse_time(row.get("reviewedat")),
    }


def _is_yes(text: str) -> bool:
    return text.strip().lower() in _YES


def parse_watched(day: str, time: str, parser: CellParser, *, has_day: bool) -> dict[str, Any]:
    """Return the values watched_on and watched_at of a viewing.

    Files of ours from before there were days (`has_day` is false) have midnight for a day alone.
    """
    on, at = parser.parse_moment(day), parser.parse_moment(time)
    if not has_day:
        is_midnight = at.time is not None and at.time.endswith("T00:00:00+00:00")
        return Moment(at.day).get_values() if is_midnight else at.get_values()
    return {"watched_on": on.day or at.day, "watched_at": at.time}
