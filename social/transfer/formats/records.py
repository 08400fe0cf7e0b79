"""The records an import file contains, in one shape for every service.

The format modules next to this one turn files into records; pipeline.read stores them as rows.
Free of Django.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

RowT = TypeVar("RowT")
MAX_TITLE_LENGTH = 500
MAX_LIST_NAME_LENGTH = 200


class RecordKind(StrEnum):
    """The kind of data that a record adds to the account."""

    RATING = "rating"
    REVIEW = "review"
    VIEWING = "viewing"
    #: Watched on an unknown day: adds a viewing only if no other record implies one.
    SEEN = "seen"
    WATCHLIST = "watchlist"
    FEEDBACK = "feedback"
    PLAYLIST = "playlist"
    PLAYLIST_ITEM = "playlist_item"
    PROFILE = "profile"
    FOLLOW = "follow"
    BLOCK = "block"


#: The kinds that refer to a movie.
MOVIE_KINDS = frozenset(
    {
        RecordKind.RATING,
        RecordKind.REVIEW,
        RecordKind.VIEWING,
        RecordKind.SEEN,
        RecordKind.WATCHLIST,
        RecordKind.FEEDBACK,
        RecordKind.PLAYLIST_ITEM,
    }
)


@dataclass(frozen=True)
class Record:
    """One record of a file: the movie it refers to and its values, or why it is invalid (`error`).

    `values` is plain JSON data. Its keys by kind ("?" marks optional ones; every date is ISO 8601):

    rating         score (null in our own export if there is only a review), review?,
                   contains_spoilers?, rated_at?, updated_at?, reviewed_at?
    review         review, score?, contains_spoilers?, rated_at?, watched_on?
    viewing        watched_on?, watched_at?, viewing_note?
    seen           none
    watchlist      added_at?
    feedback       feedback (hide, less or more), created_at?, updated_at?
    playlist       list, name, description, visibility?, created_at?, published_at?
    playlist_item  list, note, added_at?
    profile        the fields of the profile
    follow, block  username, since?

    `changes` says how texts, scores and dates of the row were changed or why they were left out.
    `list` identifies a playlist within the file. A viewing whose `watched_at` is null is not the same as
    one at a moment of its day; if the key is missing, it may be. `watched_on` of a review is the day of
    its viewing. The `note` of a playlist item and `viewing_note` are the member's own texts.
    `must_be_confirmed` is true for a record of an
    unknown type: it counts only if its id is a movie's.
    """

    kind: RecordKind | None
    file: str
    line: int
    title: str = ""
    year: int | None = None
    tmdb_id: int | None = None
    imdb_id: str | None = None
    #: An id in our catalogue, which only our own exports contain.
    movie_id: int | None = None
    values: dict[str, Any] | None = None
    #: A code and a sentence.
    error: tuple[str, str] | None = None


@dataclass(frozen=True)
class LeftOut:
    """Something of a file that an account here has no place for, such as tags."""

    kind: str
    reason: str
    count: int = 1


class RowError(Exception):
    """A row that cannot be imported: a code and the reason in a sentence."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class FileError(Exception):
    """A file that cannot be imported: a code and the reason in a sentence."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True)
class InvalidRow:
    """A row whose structure is broken, with as much of its text as was readable."""

    line: int
    error: RowError
    text: str = ""


def sanitize(text: str) -> str:
    """Return text of an invalid row in a form and length that can be stored."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()[:MAX_TITLE_LENGTH]


def make_invalid_record(file: str, line: int, error: RowError, *, title: str = "") -> Record:
    return Record(None, file, line, title=sanitize(title), error=(error.code, error.reason))


def insert_playlist(
    items: Iterable[Record | LeftOut], playlist: Record
) -> Iterator[Record | LeftOut]:
    """Yield the records of a list, and its playlist before the first item; without items neither."""
    has_playlist = False
    for item in items:
        is_item = isinstance(item, Record) and item.kind == RecordKind.PLAYLIST_ITEM
        if is_item and not has_playlist:
            has_playlist = True
            yield playlist
        yield item


def make_playlist(name: str, *, key: str, file: str) -> Record:
    """Return the record of a list of which only the name is known."""
    name = name[:MAX_LIST_NAME_LENGTH]
    values = {"list": key, "name": name, "description": ""}
    return Record(RecordKind.PLAYLIST, file, 1, title=name, values=values)


def parse_rows(
    rows: Iterable[tuple[int, RowT] | InvalidRow],
    parse_row: Callable[[RowT, int], Iterable[Record | LeftOut]],
    *,
    file: str,
    get_title: Callable[[RowT], str],
) -> Iterator[Record | LeftOut]:
    """Yield the records of each row; a row that raises RowError becomes one invalid record.

    `parse_row` takes a row and its line.
    """
    for item in rows:
        if isinstance(item, InvalidRow):
            yield make_invalid_record(file, item.line, item.error, title=item.text)
            continue
        line, row = item
        try:
            records = list(parse_row(row, line))
        except RowError as error:
            records = [make_invalid_record(file, line, error, title=get_title(row))]
        yield from records
