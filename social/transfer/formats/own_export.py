"""Our own export: the JSON of its archive, which is read back whole, and its tables.

Everything but account.json is read back: who it was is no part of what they had.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from typing import Any

from nexus.core.genres import TMDB_GENRES
from social.transfer.formats.csv_reader import BadRow, Row, table, unescaped
from social.transfer.formats.json_reader import as_dict, elements, text_of
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

MARK = "nexus-export.json"
FORMAT, VERSION = "nexus-export", 1
MAX_ID = 2**63 - 1
VISIBILITIES = ("public", "unlisted", "private")
MAX_DISPLAY_NAME, MAX_BIO, MAX_URL, MAX_USERNAME = 100, 1000, 500, 150


def check_mark(text: str) -> None:
    """Raises FileError for an archive of a version we do not know."""
    try:
        mark = json.loads(text)
    except (ValueError, RecursionError):
        mark = None
    if not isinstance(mark, dict) or (mark.get("format"), mark.get("version")) != (FORMAT, VERSION):
        raise FileError("unknown_version", "This export is of a version not known here.")


def read(text: str, *, file: str, today: date) -> Entries:
    """The entries of one JSON file of the archive."""
    for number, value in elements(text):
        if isinstance(value, RowError):
            yield invalid(file, number, value)
            continue
        try:
            yield from _READERS[file](as_dict(value), file, number, today)
        except RowError as problem:
            yield invalid(file, number, problem, title=_title(value))


def _title(value: Any) -> str:
    movie = value.get("movie") if isinstance(value, dict) else None
    title = movie.get("title") if isinstance(movie, dict) else None
    return title if isinstance(title, str) else ""


def _film(value: Any) -> dict[str, Any]:
    movie = as_dict(value)
    return {
        "title": read_title(text_of(movie.get("title"))),
        "year": read_year(text_of(movie.get("year"))),
        "tmdb_id": read_id(text_of(movie.get("tmdb_id"))),
        "imdb_id": read_imdb_id(text_of(movie.get("imdb_id"))),
        "movie_id": read_id(text_of(movie.get("id")), largest=MAX_ID),
    }


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise RowError("bad_shape", "A mark is neither true nor false.")
    return value


def _text(value: Any, *, what: str, longest: int) -> str:
    """Text as it stands, with its spaces: what is read back must be what was written."""
    text = text_of(value)
    clean(text, what=what, longest=longest)
    if len(text) > longest:
        raise RowError("too_long", f"The {what} is longer than {longest:,} characters.")
    return text


def _moments(value: dict[str, Any], today: date, *names: str) -> dict[str, str | None]:
    return {name: read_moment(text_of(value.get(name)), today=today)[0] for name in names}


def _rating(value: dict[str, Any], file: str, number: int, today: date) -> Entries:
    stars, note = read_score(text_of(value.get("score")), out_of=5)
    values = {
        "score": stars,
        "review": _text(value.get("review"), what="review", longest=MAX_REVIEW),
        "contains_spoilers": _flag(value.get("contains_spoilers", False)),
        "note": note,
        **_moments(value, today, "rated_at", "updated_at", "reviewed_at"),
    }
    yield Entry(Kind.RATING, file, number, **_film(value.get("movie")), values=values)


def _watchlist_item(value: dict[str, Any], file: str, number: int, today: date) -> Entries:
    values = _moments(value, today, "added_at")
    yield Entry(Kind.WATCHLIST, file, number, **_film(value.get("movie")), values=values)


def _viewing(value: dict[str, Any], file: str, number: int, today: date) -> Entries:
    values = _moments(value, today, "watched_at")
    if values["watched_at"] is None:
        raise RowError("no_date", "The viewing has no date.")
    yield Entry(Kind.VIEWING, file, number, **_film(value.get("movie")), values=values)


def _playlist(value: dict[str, Any], file: str, number: int, today: date) -> Entries:
    name = _text(value.get("name"), what="list's name", longest=MAX_NAME)
    if not name.strip():
        raise RowError("no_name", "The list has no name.")
    visibility = value.get("visibility")
    if visibility not in VISIBILITIES:
        raise RowError("bad_visibility", "The list is neither public, unlisted nor private.")
    key = f"{file}:{number}"
    values = {
        "list": key,
        "name": name,
        "description": _text(value.get("description"), what="description", longest=MAX_DESCRIPTION),
        "visibility": visibility,
        **_moments(value, today, "created_at", "published_at"),
    }
    yield Entry(Kind.PLAYLIST, file, number, title=name, values=values)
    items = value.get("items")
    for item in items if isinstance(items, list) else []:
        try:
            item = as_dict(item)
            values = {
                "list": key,
                "note": _text(item.get("note"), what="note", longest=MAX_NOTE),
                **_moments(item, today, "added_at"),
            }
            film = _film(item.get("movie"))
        except RowError as problem:
            yield invalid(file, number, problem, title=_title(item))
            continue
        yield Entry(Kind.PLAYLIST_ITEM, file, number, **film, values=values)


def _profile(value: dict[str, Any], file: str, number: int, today: date) -> Entries:
    values: dict[str, Any] = {
        "display_name": _text(
            value.get("display_name"), what="display name", longest=MAX_DISPLAY_NAME
        ),
        "bio": _text(value.get("bio"), what="bio", longest=MAX_BIO),
        "avatar_url": _text(value.get("avatar_url"), what="avatar's address", longest=MAX_URL),
        "favorite_genres": value.get("favorite_genres") or [],
        "visibility": value.get("visibility", "public"),
    }
    if values["avatar_url"] and not values["avatar_url"].startswith("https://"):
        raise RowError("bad_address", "The avatar's address is not https.")
    genres = values["favorite_genres"]
    if not isinstance(genres, list) or any(
        not isinstance(each, str) or each not in TMDB_GENRES for each in genres
    ):
        raise RowError("bad_genres", "The favourite genres are not all genres known here.")
    values["favorite_genres"] = list(dict.fromkeys(genres))
    if values["visibility"] not in ("public", "private"):
        raise RowError("bad_visibility", "The profile is neither public nor private.")
    yield Entry(Kind.PROFILE, file, number, title="Profile", values=values)


def _member(kind: Kind) -> Callable[[dict[str, Any], str, int, date], Entries]:
    def read_member(value: dict[str, Any], file: str, number: int, today: date) -> Entries:
        username = clean(text_of(value.get("username")), what="username", longest=MAX_USERNAME)
        if not username:
            raise RowError("no_username", "The row names no member.")
        values = {"username": username, **_moments(value, today, "since")}
        yield Entry(kind, file, number, title=username, values=values)

    return read_member


#: The archive's files in the order they are read: blocks after follows, which they end.
_READERS: dict[str, Callable[[dict[str, Any], str, int, date], Entries]] = {
    "profile.json": _profile,
    "ratings.json": _rating,
    "watchlist.json": _watchlist_item,
    "history.json": _viewing,
    "playlists.json": _playlist,
    "following.json": _member(Kind.FOLLOW),
    "blocks.json": _member(Kind.BLOCK),
}
FILES = tuple(_READERS)


# --- The tables, each of which can be sent alone --------------------------------------------------

FILM_COLUMNS = ("movie_id", "tmdb_id", "imdb_id", "title", "year")


def is_table(header: list[str]) -> bool:
    return set(FILM_COLUMNS) <= set(header)


def read_table(text: str, *, file: str, today: date) -> Entries:
    lists: set[str] = set()
    for row in table(text, needed=FILM_COLUMNS):
        if isinstance(row, BadRow):
            yield invalid(file, row.line, row.problem, title=row.text)
            continue
        try:
            yield from list(_table_row(row, file, today, lists))
        except RowError as problem:
            yield invalid(file, row.line, problem, title=row.get("title"))


def _table_row(row: Row, file: str, today: date, lists: set[str]) -> Entries:
    film: dict[str, Any] = {
        "title": read_title(unescaped(row.get("title"))),
        "year": read_year(row.get("year")),
        "tmdb_id": read_id(row.get("tmdb_id")),
        "imdb_id": read_imdb_id(row.get("imdb_id")),
        "movie_id": read_id(row.get("movie_id"), largest=MAX_ID),
    }
    cells = row.cells
    values: dict[str, Any]
    if "score" in cells:
        stars, note = read_score(row.get("score"), out_of=5)
        values = {
            "score": stars,
            "review": clean(unescaped(cells.get("review", "")), what="review", longest=MAX_REVIEW),
            "contains_spoilers": row.get("contains_spoilers").strip().lower() == "true",
            "note": note,
            **_moments(dict(cells), today, "rated_at", "updated_at", "reviewed_at"),
        }
        yield Entry(Kind.RATING, file, row.line, **film, values=values)
    elif "watched_at" in cells:
        values = _moments(dict(cells), today, "watched_at")
        if values["watched_at"] is None:
            raise RowError("no_date", "The viewing has no date.")
        yield Entry(Kind.VIEWING, file, row.line, **film, values=values)
    elif "playlist" in cells:
        name = clean(unescaped(row.get("playlist")), what="list's name", longest=MAX_NAME)
        if not name:
            raise RowError("no_name", "The list has no name.")
        if name not in lists:
            lists.add(name)
            values = {"list": name, "name": name, "description": ""}
            yield Entry(Kind.PLAYLIST, file, row.line, title=name, values=values)
        note = clean(unescaped(cells.get("note", "")), what="note", longest=MAX_NOTE)
        values = {"list": name, "note": note, **_moments(dict(cells), today, "added_at")}
        yield Entry(Kind.PLAYLIST_ITEM, file, row.line, **film, values=values)
    else:
        values = _moments(dict(cells), today, "added_at")
        yield Entry(Kind.WATCHLIST, file, row.line, **film, values=values)
