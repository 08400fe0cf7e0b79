"""Trakt's export: JSON arrays, or the same flattened to CSV, one file for each section.

The fields of an element say what it is; only of lists the name of the file decides which one it is.
Sources: https://trakt.docs.apiary.io/#reference/sync, and of the files trakt/trakt-web,
projects/client/src/lib/sections/settings/export/runRawExport.ts. Older archives have the same files in
folders (ratings/ratings-movies.json, lists/watchlist.json).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from social.transfer.formats.csv_reader import Header, read_table, unescape_formula
from social.transfer.formats.json_reader import get_movie_title, read_array, to_dict, to_text
from social.transfer.formats.records import (
    InvalidRow,
    LeftOut,
    Record,
    RecordKind,
    RowError,
    insert_playlist,
    make_playlist,
    parse_rows,
)
from social.transfer.formats.values import MAX_REVIEW_LENGTH, CellParser, FileContext

#: The elements of an array with their numbers.
Elements = Iterable[tuple[int, Any] | InvalidRow]

_OTHER_MEDIA = ("show", "season", "episode", "person", "list")
_MEDIA = ("movie", *_OTHER_MEDIA)
_STATEMENTS = (
    *("rated_at", "rating", "watched_at", "last_watched_at", "listed_at", "collected_at"),
    *("last_collected_at", "hidden_at", "paused_at", "comment", "note", "notes", "liked_at"),
)
_CUSTOM_LIST = re.compile(r"lists?-(?:list-)?(?:(\d+)-)?(.+?)")
_FAVORITES = "Favorites"
#: Sections of which nothing is imported, by what their files' names contain, and why.
LEFT_OUT = {
    "collection": "Trakt's collection says what you own, and an account here does not.",
    "collaborations": "Lists of others to which you contribute belong to their owners.",
    "network": "Whom you follow at Trakt is not a member here.",
    "likes": "Likes have no place in an account here.",
    "notes": "Trakt's notes have no place in an account here.",
    "playback": "A movie that was paused is not watched.",
    "hidden": "What Trakt hides in its calendar and progress has no place here.",
    "user": "Settings, profile and statistics of Trakt stay there.",
}


@dataclass(frozen=True)
class TraktContents:
    """What other files of an archive say about the elements of one."""

    has_history: bool = False
    has_ratings: bool = False
    #: The lists of lists-lists.json by id and by slug: the key of each among the records.
    lists: Mapping[str, str] = field(default_factory=dict)


def is_element(value: Any) -> bool:
    """Return whether this looks like an element of one of Trakt's arrays."""
    if not isinstance(value, dict):
        return False
    is_about_media = any(isinstance(value.get(name), dict) for name in _MEDIA)
    is_list = isinstance(value.get("ids"), dict) and "privacy" in value
    return (is_about_media and any(name in value for name in _STATEMENTS)) or is_list


def is_table(header: Header) -> bool:
    """Return whether a CSV file is a flattened array: its columns are paths of the JSON."""
    return any(name.startswith(("movie.ids.", "show.ids.")) for name in header.columns) or (
        "ids.trakt" in header.columns and "privacy" in header.columns
    )


def get_section(file: str) -> str:
    """Return the section a file contains, by its name: watchlist, favorites, lists, history, …"""
    path = PurePosixPath(file.lower())
    stem = re.sub(r"-\d+$", "", path.stem)
    if stem in ("lists-lists", "lists"):
        return "lists"
    if stem.startswith(("lists-list-", "list-")):
        return "custom_list"
    for section in ("watchlist", "favorites", "history", *LEFT_OUT):
        if re.search(rf"(?:^|-){section}(?:-|$)", stem):
            return section
    return "custom_list" if path.parent.name == "lists" else stem


def find_lists(elements: Elements) -> dict[str, str]:
    """Return the key of each custom list among the records, by its id and by its slug."""
    lists: dict[str, str] = {}
    for item in elements:
        if isinstance(item, InvalidRow) or not isinstance(item[1], dict):
            continue
        key = _make_list_key(item[1])
        ids = item[1].get("ids")
        for name in ("trakt", "slug"):
            if isinstance(ids, dict) and ids.get(name):
                lists[str(ids[name])] = key
    return lists


def _make_list_key(element: dict[str, Any]) -> str:
    ids = element.get("ids")
    return f"trakt:{ids.get('trakt') or ids.get('slug')}" if isinstance(ids, dict) else "trakt:"


def read(
    elements: Elements, *, context: FileContext, contents: TraktContents
) -> Iterator[Record | LeftOut]:
    """Yield the records of an array; `contents` describes the archive it is part of."""
    section = get_section(context.file)
    name, list_key = _FAVORITES, context.file
    if section == "watchlist":
        list_key = ""
    elif section != "favorites":
        # A list alone, whose name only the file has.
        stem = PurePosixPath(context.file).stem
        match = _CUSTOM_LIST.fullmatch(stem)
        number, slug = match.groups() if match else (None, stem)
        list_key = contents.lists.get(number or "") or contents.lists.get(slug) or context.file
        name = slug.replace("-", " ").capitalize() or "List"
    records = parse_rows(
        elements,
        lambda value, number: _parse_element(
            to_dict(value), number, context, section, list_key, contents
        ),
        file=context.file,
        get_title=get_movie_title,
    )
    if list_key == context.file:
        return insert_playlist(records, make_playlist(name, key=list_key, file=context.file))
    return records


def read_json_elements(chunks: Iterable[str]) -> Elements:
    return read_array(chunks)


def read_csv_elements(lines: Iterable[str]) -> Iterator[tuple[int, Any] | InvalidRow]:
    """Yield each row of a flattened array as the element it was, with texts as values."""
    for item in read_table(lines, required=()):
        if isinstance(item, InvalidRow):
            yield item
            continue
        line, row = item
        element: dict[str, Any] = {}
        for path, cell in row.cells.items():
            if not cell:
                continue
            *parents, name = (_COLUMN_NAMES.get(part, part) for part in path.split("."))
            target = element
            for parent in parents:
                inner = target.setdefault(parent, {})
                target = inner if isinstance(inner, dict) else {}
            target[name] = unescape_formula(cell)
        yield line, element


# The fields whose names lose their underscore as columns.
_COLUMN_NAMES = {
    name.replace("_", ""): name
    for name in (*_STATEMENTS, "created_at", "user_stats", "user_rating", "parent_id")
    if "_" in name
}


def _parse_element(
    element: dict[str, Any],
    number: int,
    context: FileContext,
    section: str,
    list_key: str,
    contents: TraktContents,
) -> Iterator[Record | LeftOut]:
    if section == "lists" and "movie" not in element:
        yield from _parse_list(element, number, context)
        return
    media_type = element.get("type")
    if media_type not in (None, "movie") or "movie" not in element:
        other = next((name for name in _OTHER_MEDIA if name in element), "something else")
        other = media_type if media_type not in (None, "movie") else other
        raise RowError("not_a_film", f"This is not a movie but: {str(other)[:40]}.")
    fields = to_dict(element["movie"])
    ids = to_dict(fields.get("ids") or {})
    parser = CellParser(context)
    movie = parser.parse_movie(
        title=to_text(fields.get("title")),
        year=to_text(fields.get("year")),
        tmdb_id=to_text(ids.get("tmdb")),
        imdb_id=to_text(ids.get("imdb")),
    )
    if "listed_at" in element:
        kind, values = _parse_list_item(element, parser, list_key)
    elif "comment" in element:
        kind, values = _parse_comment(element, parser)
    elif "hidden_at" in element and "recommendations" in context.file:
        hidden_at = parser.parse_time(to_text(element.get("hidden_at")))
        kind, values = RecordKind.FEEDBACK, {"feedback": "hide", "created_at": hidden_at}
    elif "rated_at" in element or "rating" in element:
        score = parser.require_score(to_text(element.get("rating")), out_of=10)
        rated_at = parser.parse_time(to_text(element.get("rated_at")))
        kind, values = RecordKind.RATING, {"score": score, "rated_at": rated_at}
    elif "watched_at" in element or "last_watched_at" in element:
        kind, values = _parse_viewing(element, parser, contents)
    else:
        raise _make_left_out_error(element)
    yield Record(kind, context.file, number, **movie, values={**values, **parser.get_values()})
    own_rating = element.get("my_rating")
    if own_rating and kind != RecordKind.RATING and not contents.has_ratings:
        stars = parser.parse_score(to_text(own_rating), out_of=10)
        values = {"score": stars, "rated_at": None, **parser.get_values()}
        if stars is not None:
            yield Record(RecordKind.RATING, context.file, number, **movie, values=values)
    yield from parser.get_left_out()


def _parse_list(
    element: dict[str, Any], number: int, context: FileContext
) -> Iterator[Record | LeftOut]:
    parser = CellParser(context)
    name = parser.clean_list_name(to_text(element.get("name")))
    values = {
        "list": _make_list_key(element),
        "name": name,
        "description": parser.clean_description(to_text(element.get("description"))),
        "created_at": parser.parse_time(to_text(element.get("created_at"))),
        **parser.get_values(),
    }
    yield Record(RecordKind.PLAYLIST, context.file, number, title=name, values=values)
    yield from parser.get_left_out()


def _parse_list_item(
    element: dict[str, Any], parser: CellParser, list_key: str
) -> tuple[RecordKind, dict[str, Any]]:
    added_at = parser.parse_time(to_text(element.get("listed_at")))
    notes = to_text(element.get("notes"))
    if list_key:
        values = {"list": list_key, "note": parser.clean_note(notes), "added_at": added_at}
        return RecordKind.PLAYLIST_ITEM, values
    if notes.strip():
        parser.leave_out("watchlist_notes", "The watchlist here has no notes.")
    return RecordKind.WATCHLIST, {"added_at": added_at}


def _parse_comment(
    element: dict[str, Any], parser: CellParser
) -> tuple[RecordKind, dict[str, Any]]:
    comment = to_dict(element.get("comment"))
    if comment.get("parent_id") not in (None, 0, "", "0"):
        raise RowError("reply", "A reply to another comment is no review of the movie.")
    review = parser.clean(
        to_text(comment.get("comment")).strip(), name="review", max_length=MAX_REVIEW_LENGTH
    )
    if not review:
        raise RowError("no_review", "The comment is empty.")
    stats = comment.get("user_stats")
    score = stats.get("rating") if isinstance(stats, dict) else comment.get("user_rating")
    created_at = parser.parse_time(to_text(comment.get("created_at")))
    return RecordKind.REVIEW, {
        "score": parser.parse_score(to_text(score), out_of=10),
        "review": review,
        "contains_spoilers": str(comment.get("spoiler")).lower() == "true",
        "rated_at": created_at,
    }


def _parse_viewing(
    element: dict[str, Any], parser: CellParser, contents: TraktContents
) -> tuple[RecordKind, dict[str, Any]]:
    watched = parser.parse_moment(
        to_text(element.get("watched_at") or element.get("last_watched_at"))
    )
    plays = to_text(element.get("plays"))
    if plays.isdecimal() and int(plays) > 1 and not contents.has_history:
        parser.leave_out(
            "earlier_plays",
            "Of movies played several times this file has only the last date.",
            count=min(int(plays), 10_000) - 1,
        )
    return RecordKind.VIEWING, {**watched.get_values()}


def _make_left_out_error(element: dict[str, Any]) -> RowError:
    section = next(
        (
            section
            for field_name, section in (
                ("collected_at", "collection"),
                ("last_collected_at", "collection"),
                ("paused_at", "playback"),
                ("hidden_at", "hidden"),
                ("note", "notes"),
                ("notes", "notes"),
                ("liked_at", "likes"),
            )
            if field_name in element
        ),
        None,
    )
    if section is None:
        return RowError("no_statement", "The row says neither watched, rated, listed nor reviewed.")
    return RowError(section, LEFT_OUT[section])
