"""Our own export: the JSON files of its archive, and each of its CSV tables alone.

transfer.exports writes it. Read back are the files of FILES; the others tell about the account.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from nexus.core.genres import TMDB_GENRES
from nexus.core.languages import parse_language_tag
from nexus.core.visible_text import find_url_problem
from social.transfer.formats.csv_reader import CsvRow, read_table, unescape_formula
from social.transfer.formats.json_reader import get_movie_title, read_array, to_dict, to_text
from social.transfer.formats.records import (
    FileError,
    Record,
    RecordKind,
    RowError,
    make_invalid_record,
    parse_rows,
)
from social.transfer.formats.values import (
    MAX_DESCRIPTION_LENGTH,
    MAX_LIST_NAME_LENGTH,
    MAX_NOTE_LENGTH,
    MAX_REVIEW_LENGTH,
    MemberTexts,
    clean_text,
    parse_datetime,
    parse_day,
    parse_id,
    parse_imdb_id,
    parse_score,
    parse_title,
    parse_viewing_time,
    parse_year,
)

#: The file that marks an archive as our export, and its content.
MANIFEST = "nexus-export.json"
FORMAT, VERSION = "nexus-export", 2
# Version 1 had no days of viewings, no notes of them and no reviews without a score.
READABLE_VERSIONS = (1, VERSION)
MOVIE_COLUMNS = ("movie_id", "tmdb_id", "imdb_id", "title", "year")
MAX_MOVIE_ID = 2**63 - 1
VISIBILITIES = ("public", "unlisted", "private")
FEEDBACK_KINDS = ("hide", "less", "more")
MAX_DISPLAY_NAME_LENGTH, MAX_BIO_LENGTH, MAX_URL_LENGTH = 100, 1000, 500
MAX_USERNAME_LENGTH = 150


def check_manifest(text: str) -> None:
    """Check the version of an archive. Raises FileError unless it is one of READABLE_VERSIONS."""
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError):
        manifest = None
    is_readable = (
        isinstance(manifest, dict)
        and manifest.get("format") == FORMAT
        and manifest.get("version") in READABLE_VERSIONS
    )
    if not is_readable:
        raise FileError(
            "unknown_version", f"Only versions 1 to {VERSION} of our export can be imported."
        )


def read(chunks: Iterable[str], *, file: str, today: date) -> Iterator[Record]:
    """Yield the records of one JSON file of the archive."""
    parse_element = _PARSERS[file]
    return parse_rows(
        read_array(chunks),
        lambda value, number: parse_element(to_dict(value), file, number, today),
        file=file,
        get_title=get_movie_title,
    )


def _parse_movie(value: Any) -> dict[str, Any]:
    movie = to_dict(value)
    return {
        "title": parse_title(to_text(movie.get("title"))),
        "year": parse_year(to_text(movie.get("year"))),
        "tmdb_id": parse_id(to_text(movie.get("tmdb_id"))),
        "imdb_id": parse_imdb_id(to_text(movie.get("imdb_id"))),
        "movie_id": parse_id(to_text(movie.get("id")), largest=MAX_MOVIE_ID),
    }


def _parse_bool(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise RowError("bad_shape", f"{name} is neither true nor false.")
    return value


def _parse_dates(
    values: Mapping[str, Any], today: date, names: tuple[str, ...]
) -> dict[str, str | None]:
    return {name: parse_datetime(to_text(values.get(name)), today=today)[0] for name in names}


def _parse_rating(element: dict[str, Any], file: str, number: int, today: date) -> Iterator[Record]:
    spoilers = element.get("contains_spoilers", False)
    texts = MemberTexts()
    review = texts.clean(
        to_text(element.get("review")), name="review", max_length=MAX_REVIEW_LENGTH
    )
    stars, note = _parse_stars(to_text(element.get("score")), review)
    values = {
        "score": stars,
        "review": review,
        "contains_spoilers": _parse_bool(spoilers, "contains_spoilers"),
        "note": note,
        **_parse_dates(element, today, ("rated_at", "updated_at", "reviewed_at")),
        **texts.get_values(),
    }
    movie = _parse_movie(element.get("movie"))
    yield Record(RecordKind.RATING, file, number, **movie, values=values)


def _parse_stars(text: str, review: str) -> tuple[float | None, str]:
    """Return the score and its note, as parse_score does; None for a review without a score."""
    if not text and review:
        return None, ""
    return parse_score(text, out_of=5)


def _parse_watchlist_item(
    element: dict[str, Any], file: str, number: int, today: date
) -> Iterator[Record]:
    values = _parse_dates(element, today, ("added_at",))
    movie = _parse_movie(element.get("movie"))
    yield Record(RecordKind.WATCHLIST, file, number, **movie, values=values)


def _parse_feedback(
    element: dict[str, Any], file: str, number: int, today: date
) -> Iterator[Record]:
    feedback = element.get("feedback")
    if feedback not in FEEDBACK_KINDS:
        raise RowError("bad_feedback", f"The feedback is not one of {', '.join(FEEDBACK_KINDS)}.")
    values = {
        "feedback": feedback,
        **_parse_dates(element, today, ("created_at", "updated_at")),
    }
    movie = _parse_movie(element.get("movie"))
    yield Record(RecordKind.FEEDBACK, file, number, **movie, values=values)


def _parse_viewing(
    element: dict[str, Any], file: str, number: int, today: date
) -> Iterator[Record]:
    texts = MemberTexts()
    note = texts.clean(to_text(element.get("note")), name="note", max_length=MAX_REVIEW_LENGTH)
    values = {
        **_parse_viewing_time(element, today),
        "viewing_note": note,
        **texts.get_values(),
    }
    movie = _parse_movie(element.get("movie"))
    yield Record(RecordKind.VIEWING, file, number, **movie, values=values)


def _parse_viewing_time(values: Mapping[str, Any], today: date) -> dict[str, str | None]:
    """Return the time of a viewing, which has no `watched_on` in exports of version 1."""
    day, moment = (to_text(values.get(name)).strip() for name in ("watched_on", "watched_at"))
    if "watched_on" not in values:
        if not moment:
            raise RowError("no_date", "The viewing has no date.")
        # Version 1 wrote a day as midnight.
        return {**parse_viewing_time(moment.removesuffix("T00:00:00Z"), today=today)}
    return {
        "watched_on": None,
        "watched_at": None,
        **(parse_viewing_time(moment, today=today) if moment else {}),
        **({"watched_on": parse_day(day, today=today)} if day else {}),
    }


def _parse_playlist(
    element: dict[str, Any], file: str, number: int, today: date
) -> Iterator[Record]:
    texts = MemberTexts()
    name = texts.clean(
        to_text(element.get("name")),
        name="list's name",
        max_length=MAX_LIST_NAME_LENGTH,
        is_line=True,
    )
    if not name.strip():
        raise RowError("no_name", "The list has no name.")
    visibility = element.get("visibility")
    if visibility not in VISIBILITIES:
        raise RowError("bad_visibility", f"The visibility is not one of {', '.join(VISIBILITIES)}.")
    key = f"{file}:{number}"
    values = {
        "list": key,
        "name": name,
        "description": texts.clean(
            to_text(element.get("description")),
            name="description",
            max_length=MAX_DESCRIPTION_LENGTH,
        ),
        "visibility": visibility,
        **_parse_dates(element, today, ("created_at", "published_at")),
        **texts.get_values(),
    }
    yield Record(RecordKind.PLAYLIST, file, number, title=name, values=values)
    items = element.get("items")
    for item in items if isinstance(items, list) else []:
        try:
            yield _parse_playlist_item(item, key, file, number, today)
        except RowError as error:
            yield make_invalid_record(file, number, error, title=get_movie_title(item))


def _parse_playlist_item(item: Any, key: str, file: str, number: int, today: date) -> Record:
    fields = to_dict(item)
    texts = MemberTexts()
    values = {
        "list": key,
        "note": texts.clean(to_text(fields.get("note")), name="note", max_length=MAX_NOTE_LENGTH),
        **_parse_dates(fields, today, ("added_at",)),
        **texts.get_values(),
    }
    movie = _parse_movie(fields.get("movie"))
    return Record(RecordKind.PLAYLIST_ITEM, file, number, **movie, values=values)


def _parse_profile(
    element: dict[str, Any], file: str, number: int, today: date
) -> Iterator[Record]:
    texts = MemberTexts()
    avatar_url = to_text(element.get("avatar_url"))
    if avatar_url and (len(avatar_url) > MAX_URL_LENGTH or find_url_problem(avatar_url)):
        avatar_url = ""
        texts.add_change("The avatar's URL was left out: it is not an https URL that we accept.")
    genres = element.get("favorite_genres") or []
    if not isinstance(genres, list) or any(
        not isinstance(genre, str) or genre not in TMDB_GENRES for genre in genres
    ):
        raise RowError("bad_genres", "The favorite genres contain an unknown genre.")
    visibility = element.get("visibility", "public")
    if visibility not in ("public", "private"):
        raise RowError("bad_visibility", "The profile is neither public nor private.")
    values = {
        "display_name": texts.clean(
            to_text(element.get("display_name")),
            name="display name",
            max_length=MAX_DISPLAY_NAME_LENGTH,
            is_line=True,
        ),
        "bio": texts.clean(to_text(element.get("bio")), name="bio", max_length=MAX_BIO_LENGTH),
        "avatar_url": avatar_url,
        "favorite_genres": list(dict.fromkeys(genres)),
        "visibility": visibility,
        "language": parse_language_tag(to_text(element.get("language"))) or "",
        **texts.get_values(),
    }
    yield Record(RecordKind.PROFILE, file, number, title="Profile", values=values)


def _parse_follow(element: dict[str, Any], file: str, number: int, today: date) -> Iterator[Record]:
    yield _parse_member(RecordKind.FOLLOW, element, file, number, today)


def _parse_block(element: dict[str, Any], file: str, number: int, today: date) -> Iterator[Record]:
    yield _parse_member(RecordKind.BLOCK, element, file, number, today)


def _parse_member(
    kind: RecordKind, element: dict[str, Any], file: str, number: int, today: date
) -> Record:
    username = clean_text(
        to_text(element.get("username")), name="username", max_length=MAX_USERNAME_LENGTH
    )
    if not username:
        raise RowError("no_username", "The row has no username.")
    values = {"username": username, **_parse_dates(element, today, ("since",))}
    return Record(kind, file, number, title=username, values=values)


#: The files in the order they are read: blocks after follows, because a block ends a follow.
_PARSERS: dict[str, Callable[[dict[str, Any], str, int, date], Iterator[Record]]] = {
    "profile.json": _parse_profile,
    "ratings.json": _parse_rating,
    "watchlist.json": _parse_watchlist_item,
    "history.json": _parse_viewing,
    "feedback.json": _parse_feedback,
    "playlists.json": _parse_playlist,
    "following.json": _parse_follow,
    "blocks.json": _parse_block,
}
FILES = tuple(_PARSERS)


# --- CSV tables ----------------------------------------------------------------------------------


def is_table(header: list[str]) -> bool:
    return set(MOVIE_COLUMNS) <= set(header)


def read_csv(lines: Iterable[str], *, file: str, today: date) -> Iterator[Record]:
    """Yield the records of ratings.csv, watchlist.csv, history.csv or playlists.csv."""
    playlists: set[str] = set()
    return parse_rows(
        read_table(lines, required=MOVIE_COLUMNS),
        lambda row, line: _parse_row(row, file, line, today, playlists),
        file=file,
        get_title=lambda row: row.get("title"),
    )


def _parse_row(
    row: CsvRow, file: str, line: int, today: date, playlists: set[str]
) -> Iterator[Record]:
    """Yield the record of a row, after that of its playlist if `playlists` lacks its name."""
    movie: dict[str, Any] = {
        "title": parse_title(unescape_formula(row.get("title"))),
        "year": parse_year(row.get("year")),
        "tmdb_id": parse_id(row.get("tmdb_id")),
        "imdb_id": parse_imdb_id(row.get("imdb_id")),
        "movie_id": parse_id(row.get("movie_id"), largest=MAX_MOVIE_ID),
    }
    cells, texts = row.cells, MemberTexts()
    values: dict[str, Any]
    if "score" in cells:
        text = unescape_formula(cells.get("review", "")).strip()
        review = texts.clean(text, name="review", max_length=MAX_REVIEW_LENGTH)
        stars, note = _parse_stars(row.get("score"), review)
        values = {
            "score": stars,
            "review": review,
            "contains_spoilers": row.get("contains_spoilers").strip().lower() == "true",
            "note": note,
            **_parse_dates(cells, today, ("rated_at", "updated_at", "reviewed_at")),
            **texts.get_values(),
        }
        yield Record(RecordKind.RATING, file, line, **movie, values=values)
    elif "watched_at" in cells:
        note = unescape_formula(cells.get("note", ""))
        values = {
            **_parse_viewing_time(cells, today),
            "viewing_note": texts.clean(note, name="note", max_length=MAX_REVIEW_LENGTH),
            **texts.get_values(),
        }
        yield Record(RecordKind.VIEWING, file, line, **movie, values=values)
    elif "playlist" in cells:
        name = texts.clean(
            unescape_formula(row.get("playlist")).strip(),
            name="list's name",
            max_length=MAX_LIST_NAME_LENGTH,
            is_line=True,
        )
        if not name:
            raise RowError("no_name", "The list has no name.")
        note = texts.clean(
            unescape_formula(cells.get("note", "")).strip(), name="note", max_length=MAX_NOTE_LENGTH
        )
        values = {
            "list": name,
            "note": note,
            **_parse_dates(cells, today, ("added_at",)),
            **texts.get_values(),
        }
        item = Record(RecordKind.PLAYLIST_ITEM, file, line, **movie, values=values)
        if name not in playlists:
            playlists.add(name)
            values = {"list": name, "name": name, "description": ""}
            yield Record(RecordKind.PLAYLIST, file, line, title=name, values=values)
        yield item
    else:
        values = {**_parse_dates(cells, today, ("added_at",))}
        yield Record(RecordKind.WATCHLIST, file, line, **movie, values=values)
