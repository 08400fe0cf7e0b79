"""Our own export: the JSON files of its archive. Its CSV tables alone are read by own_table.

transfer.exports writes it. Read back are the files of FILES; the others tell about the account.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from movies.availability import MAX_PROVIDER_ID
from movies.regions import REGION_NAMES, normalize_region
from nexus.core.genres import TMDB_GENRES
from nexus.core.languages import parse_language_tag
from nexus.core.visible_text import find_url_problem
from social.transfer.formats.json_reader import get_movie_title, read_array, to_dict, to_text
from social.transfer.formats.own_table import MAX_MOVIE_ID, parse_watched
from social.transfer.formats.records import (
    MAX_LIST_NAME_LENGTH,
    FileError,
    LeftOut,
    Record,
    RecordKind,
    RowError,
    make_invalid_record,
    parse_rows,
)
from social.transfer.formats.values import (
    MAX_DESCRIPTION_LENGTH,
    MAX_NOTE_LENGTH,
    MAX_REVIEW_LENGTH,
    CellParser,
    FileContext,
    clean_text,
)

#: The file that marks an archive as our export, and its content.
MANIFEST = "nexus-export.json"
FORMAT, VERSION = "nexus-export", 2
# Version 1 had no days of viewings, no notes of them and no reviews without a score.
READABLE_VERSIONS = (1, VERSION)
VISIBILITIES = ("public", "unlisted", "private")
FEEDBACK_KINDS = ("hide", "less", "more")
MAX_PROVIDERS = 50
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


def read(chunks: Iterable[str], *, context: FileContext) -> Iterator[Record | LeftOut]:
    """Yield the records of one JSON file of the archive."""
    parse_element = _PARSERS[context.file]
    return parse_rows(
        read_array(chunks),
        lambda value, number: parse_element(to_dict(value), number, context),
        file=context.file,
        get_title=get_movie_title,
    )


def _parse_movie(value: Any, parser: CellParser) -> dict[str, Any]:
    movie = to_dict(value)
    return {
        **parser.parse_movie(
            title=to_text(movie.get("title")),
            year=to_text(movie.get("year")),
            tmdb_id=to_text(movie.get("tmdb_id")),
            imdb_id=to_text(movie.get("imdb_id")),
        ),
        "movie_id": parser.parse_id(to_text(movie.get("id")), largest=MAX_MOVIE_ID),
    }


def _parse_bool(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise RowError("bad_shape", f"{name} is neither true nor false.")
    return value


def _parse_times(
    values: Mapping[str, Any], parser: CellParser, names: tuple[str, ...]
) -> dict[str, str | None]:
    return {name: parser.parse_time(to_text(values.get(name))) for name in names}


def _parse_rating(
    element: dict[str, Any], number: int, context: FileContext
) -> Iterator[Record | LeftOut]:
    parser = CellParser(context)
    score = to_text(element.get("score"))
    review = parser.clean(
        to_text(element.get("review")), name="review", max_length=MAX_REVIEW_LENGTH
    )
    spoilers = _parse_bool(element.get("contains_spoilers", False), "contains_spoilers")
    has_review = bool(review.strip())
    stars = parser.parse_score(score, out_of=5) if has_review else None
    values = {
        "score": stars if has_review else parser.require_score(score, out_of=5),
        "review": review,
        "contains_spoilers": spoilers,
        **_parse_times(element, parser, ("rated_at", "updated_at", "reviewed_at")),
    }
    movie = _parse_movie(element.get("movie"), parser)
    values |= parser.get_values()
    yield Record(RecordKind.RATING, context.file, number, **movie, values=values)
    yield from parser.get_left_out()


def _parse_watchlist_item(
    element: dict[str, Any], number: int, context: FileContext
) -> Iterator[Record | LeftOut]:
    parser = CellParser(context)
    movie = _parse_movie(element.get("movie"), parser)
    values = {**_parse_times(element, parser, ("added_at",)), **parser.get_values()}
    yield Record(RecordKind.WATCHLIST, context.file, number, **movie, values=values)
    yield from parser.get_left_out()


def _parse_feedback(
    element: dict[str, Any], number: int, context: FileContext
) -> Iterator[Record | LeftOut]:
    feedback = element.get("feedback")
    if feedback not in FEEDBACK_KINDS:
        raise RowError("bad_feedback", f"The feedback is not one of {', '.join(FEEDBACK_KINDS)}.")
    parser = CellParser(context)
    movie = _parse_movie(element.get("movie"), parser)
    values = {
        "feedback": feedback,
        **_parse_times(element, parser, ("created_at", "updated_at")),
        **parser.get_values(),
    }
    yield Record(RecordKind.FEEDBACK, context.file, number, **movie, values=values)
    yield from parser.get_left_out()


def _parse_viewing(
    element: dict[str, Any], number: int, context: FileContext
) -> Iterator[Record | LeftOut]:
    parser = CellParser(context)
    movie = _parse_movie(element.get("movie"), parser)
    watched = parse_watched(
        to_text(element.get("watched_on")),
        to_text(element.get("watched_at")),
        parser,
        has_day="watched_on" in element,
    )
    note = parser.clean(to_text(element.get("note")), name="note", max_length=MAX_REVIEW_LENGTH)
    values = {**watched, "viewing_note": note, **parser.get_values()}
    yield Record(RecordKind.VIEWING, context.file, number, **movie, values=values)
    yield from parser.get_left_out()


def _parse_playlist(
    element: dict[str, Any], number: int, context: FileContext
) -> Iterator[Record | LeftOut]:
    parser = CellParser(context)
    name = parser.clean(
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
    key = f"{context.file}:{number}"
    values = {
        "list": key,
        "name": name,
        "description": parser.clean(
            to_text(element.get("description")),
            name="description",
            max_length=MAX_DESCRIPTION_LENGTH,
        ),
        "visibility": visibility,
        **_parse_times(element, parser, ("created_at", "published_at")),
        **parser.get_values(),
    }
    yield Record(RecordKind.PLAYLIST, context.file, number, title=name, values=values)
    items = element.get("items")
    for item in items if isinstance(items, list) else []:
        try:
            yield from _parse_playlist_item(item, key, number, context)
        except RowError as error:
            yield make_invalid_record(context.file, number, error, title=get_movie_title(item))
    yield from parser.get_left_out()


def _parse_playlist_item(
    item: Any, key: str, number: int, context: FileContext
) -> Iterator[Record | LeftOut]:
    fields = to_dict(item)
    parser = CellParser(context)
    note = parser.clean(to_text(fields.get("note")), name="note", max_length=MAX_NOTE_LENGTH)
    movie = _parse_movie(fields.get("movie"), parser)
    values = {
        "list": key,
        "note": note,
        **_parse_times(fields, parser, ("added_at",)),
        **parser.get_values(),
    }
    yield Record(RecordKind.PLAYLIST_ITEM, context.file, number, **movie, values=values)
    yield from parser.get_left_out()


def _parse_profile(
    element: dict[str, Any], number: int, context: FileContext
) -> Iterator[Record | LeftOut]:
    parser = CellParser(context)
    avatar_url = to_text(element.get("avatar_url"))
    if avatar_url and (len(avatar_url) > MAX_URL_LENGTH or find_url_problem(avatar_url)):
        avatar_url = ""
        parser.add_change("The avatar's URL was left out: it is not an https URL that we accept.")
    genres = element.get("favorite_genres") or []
    if not isinstance(genres, list) or any(
        not isinstance(genre, str) or genre not in TMDB_GENRES for genre in genres
    ):
        raise RowError("bad_genres", "The favorite genres contain an unknown genre.")
    providers = element.get("providers") or []
    if not (
        isinstance(providers, list)
        and len(providers) <= MAX_PROVIDERS
        and all(type(each) is int and 0 < each <= MAX_PROVIDER_ID for each in providers)
    ):
        message = f"The providers are not a list of at most {MAX_PROVIDERS} ids of TMDb."
        raise RowError("bad_providers", message)
    visibility = element.get("visibility", "public")
    if visibility not in ("public", "private"):
        raise RowError("bad_visibility", "The profile is neither public nor private.")
    values = {
        "display_name": parser.clean(
            to_text(element.get("display_name")),
            name="display name",
            max_length=MAX_DISPLAY_NAME_LENGTH,
            is_line=True,
        ),
        "bio": parser.clean(to_text(element.get("bio")), name="bio", max_length=MAX_BIO_LENGTH),
        "avatar_url": avatar_url,
        "favorite_genres": list(dict.fromkeys(genres)),
        # Exports of earlier releases have neither.
        **({"region": _parse_region(element["region"])} if "region" in element else {}),
        **({"providers": list(dict.fromkeys(providers))} if "providers" in element else {}),
        "visibility": visibility,
        "language": parse_language_tag(to_text(element.get("language"))) or "",
        **parser.get_values(),
    }
    yield Record(RecordKind.PROFILE, context.file, number, title="Profile", values=values)
    yield from parser.get_left_out()


def _parse_region(value: Any) -> str:
    """Return the code of a region; empty for a value that is none, which costs the field alone."""
    region = normalize_region(to_text(value) or "")
    return region if region in REGION_NAMES else ""


def _parse_follow(
    element: dict[str, Any], number: int, context: FileContext
) -> Iterator[Record | LeftOut]:
    yield _parse_member(RecordKind.FOLLOW, element, number, context)


def _parse_block(
    element: dict[str, Any], number: int, context: FileContext
) -> Iterator[Record | LeftOut]:
    yield _parse_member(RecordKind.BLOCK, element, number, context)


def _parse_member(
    kind: RecordKind, element: dict[str, Any], number: int, context: FileContext
) -> Record:
    parser = CellParser(context)
    username = clean_text(
        to_text(element.get("username")), name="username", max_length=MAX_USERNAME_LENGTH
    )
    if not username:
        raise RowError("no_username", "The row has no username.")
    values = {
        "username": username,
        **_parse_times(element, parser, ("since",)),
        **parser.get_values(),
    }
    return Record(kind, context.file, number, title=username, values=values)


#: The files in the order they are read: blocks after follows, because a block ends a follow.
_PARSERS: dict[str, Callable[[dict[str, Any], int, FileContext], Iterator[Record | LeftOut]]] = {
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
