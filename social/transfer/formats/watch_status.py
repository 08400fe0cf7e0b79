"""Rows of services that give each movie one status, a score and a note: Simkl and Yamtrack."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import Any

from social.transfer.formats.records import LeftOut, Record, RecordKind, RowError
from social.transfer.formats.values import MAX_REVIEW_LENGTH, CellParser, FileContext


class WatchStatus(Enum):
    WATCHED = auto()
    PLANNED = auto()
    #: Begun, paused or given up: neither watched nor planned.
    UNFINISHED = auto()


_STATUSES = {
    **dict.fromkeys(("completed", "watched", "repeating", "rewatching"), WatchStatus.WATCHED),
    **dict.fromkeys(
        ("plantowatch", "planning", "planned", "plan", "watchlist"), WatchStatus.PLANNED
    ),
    **dict.fromkeys(
        (
            *("watching", "inprogress", "hold", "onhold", "paused", "dropped"),
            *("notinteresting", "notinterested"),
        ),
        WatchStatus.UNFINISHED,
    ),
}


def parse_watch_status(text: str) -> WatchStatus | None:
    """Return the status that a text names; None if it names none."""
    return _STATUSES.get(re.sub(r"[^a-z]", "", text.lower()))


def read_status_record(
    parser: CellParser,
    *,
    context: FileContext,
    line: int,
    movie: dict[str, Any],
    status: WatchStatus | None,
    status_text: str,
    watched: str,
    added: str,
    score: str,
    note: str,
    rated: str = "",
    extra: dict[str, Any] | None = None,
) -> Iterator[Record | LeftOut]:
    """Yield the records of one row: its rating, and a viewing or an item of the watchlist.

    `extra` are values of each record. Raises RowError if the row states none of them.
    """
    extra = extra or {}
    watched_moment = parser.parse_moment(watched)
    stars = parser.parse_score("" if score.strip() in ("0", "0.0") else score, out_of=10)
    text = parser.clean(note.strip(), name="note", max_length=MAX_REVIEW_LENGTH)
    if status is WatchStatus.UNFINISHED or (status is None and stars is not None):
        parser.add_change(f"“{status_text.strip()[:40]}” is neither watched nor planned here.")
        parser.leave_out("statuses", "A movie here is watched or on the watchlist, or neither.")
    if text and status is not WatchStatus.WATCHED:
        parser.leave_out("notes", "Notes belong to viewings here; these movies have none.")
    if stars is not None:
        rated_at = parser.parse_time(rated) or watched_moment.sort_time
        values = {"score": stars, "rated_at": rated_at, **parser.get_values(), **extra}
        yield Record(RecordKind.RATING, context.file, line, **movie, values=values)
    if status is WatchStatus.WATCHED:
        values = {
            **watched_moment.get_values(),
            "viewing_note": text,
            **parser.get_values(),
            **extra,
        }
        yield Record(RecordKind.VIEWING, context.file, line, **movie, values=values)
    elif status is WatchStatus.PLANNED:
        values = {"added_at": parser.parse_time(added), **parser.get_values(), **extra}
        yield Record(RecordKind.WATCHLIST, context.file, line, **movie, values=values)
    elif stars is None:
        shown = status_text.strip()[:40]
        raise RowError("not_watched", f"“{shown}” says neither watched nor planned nor a score.")
    yield from parser.get_left_out()
