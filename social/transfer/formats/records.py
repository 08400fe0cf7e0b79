"""What an import file says, in our terms, whichever service wrote it. Free of Django."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum
from typing import Any

from movies.dto import FIRST_YEAR, LAST_YEAR, MAX_TMDB_ID

MAX_TITLE = 500
MAX_REVIEW = 10_000
MAX_NAME = 200
MAX_DESCRIPTION = 2_000
MAX_NOTE = 500
# Nobody saw a film before there were films, nor tomorrow (a day more, for clocks ahead of UTC).
FIRST_DAY = date(FIRST_YEAR, 1, 1)


class Kind(StrEnum):
    """What a row would make."""

    RATING = "rating"
    REVIEW = "review"
    VIEWING = "viewing"
    #: Seen, with no day known: a viewing only where nothing else says so.
    SEEN = "seen"
    WATCHLIST = "watchlist"
    PLAYLIST = "playlist"
    PLAYLIST_ITEM = "playlist_item"
    PROFILE = "profile"
    FOLLOW = "follow"
    BLOCK = "block"


#: The kinds that are about a film.
OF_A_FILM = frozenset(
    {Kind.RATING, Kind.REVIEW, Kind.VIEWING, Kind.SEEN, Kind.WATCHLIST, Kind.PLAYLIST_ITEM}
)


@dataclass(frozen=True)
class Entry:
    """One row: what it is about and what it says, or why it says nothing (`problem`).

    `values` is plain JSON data, by kind:
    rating {score, review?, contains_spoilers?, rated_at?, updated_at?, note?}, review {review,
    score?, contains_spoilers?, rated_at?}, viewing and seen {watched_at?, day_only?}, watchlist
    {added_at?}, playlist {list, name, description, visibility?, created_at?}, playlist_item {list,
    note, added_at?}, profile {..}, follow and block {username}.
    """

    kind: Kind | None
    file: str
    line: int
    title: str = ""
    year: int | None = None
    tmdb_id: int | None = None
    imdb_id: str | None = None
    movie_id: int | None = None
    values: dict[str, Any] | None = None
    #: A code and a sentence.
    problem: tuple[str, str] | None = None


Entries = Iterator[Entry]


class RowError(Exception):
    """A row that cannot be used: a code and the reason in a sentence."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class FileError(Exception):
    """A file that cannot be used at all: a code and the reason in a sentence."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def invalid(file: str, line: int, problem: RowError, *, title: str = "") -> Entry:
    return Entry(None, file, line, title=shown(title), problem=(problem.code, problem.reason))


def shown(text: str) -> str:
    """Text that came with a bad row, in a length and form that can be stored."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()[:MAX_TITLE]


# --- Values --------------------------------------------------------------------------------------


def clean(text: str, *, what: str, longest: int) -> str:
    """The text without surrounding space. Raises RowError where it cannot be stored."""
    text = text.strip()
    if "\x00" in text:
        raise RowError("nul_character", f"The {what} holds a NUL character.")
    if len(text) > longest:
        raise RowError("too_long", f"The {what} is longer than {longest:,} characters.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RowError("bad_text", f"The {what} holds half a character.") from None
    return text


def read_title(text: str) -> str:
    title = clean(text, what="title", longest=MAX_TITLE)
    if not title:
        raise RowError("no_title", "The row names no film.")
    return title


def read_year(text: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) == 4):
        raise RowError("bad_year", f"“{shown(text)[:20]}” is no year.")
    year = int(text)
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise RowError("bad_year", f"{year} is no year of a film.")
    return year


def read_imdb_id(text: str) -> str | None:
    text = text.strip()
    digits = text.removeprefix("tt")
    if not text:
        return None
    if digits == text or not (digits.isascii() and digits.isdigit() and 7 <= len(digits) <= 10):
        raise RowError("bad_id", f"“{shown(text)[:20]}” is no id of IMDb's.")
    return text


def read_id(text: str, *, largest: int = MAX_TMDB_ID) -> int | None:
    text = text.strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and 1 <= int(text) <= largest):
        raise RowError("bad_id", f"“{shown(text)[:20]}” is no id.")
    return int(text)


def read_score(text: str, *, out_of: int) -> tuple[float, str]:
    """Half stars from 1 to 5 of a score out of 5 or 10, and a note where that changed it.

    Other services begin at half a star, ours at one: less than one star becomes one. A score
    between half stars (TMDb has half points out of 10) is rounded to the nearer, halves upwards.
    """
    text = text.strip()
    number = text.replace(".", "", 1)
    if not (number.isascii() and number.isdigit() and len(text) <= 6):
        raise RowError("bad_score", f"“{shown(text)[:20]}” is no score.")
    value = float(text)
    if not 0 < value <= out_of:
        raise RowError("score_out_of_range", f"The score {text} is not above 0 and up to {out_of}.")
    stars = value * 5 / out_of
    halves = int(stars * 2 + 0.5) / 2
    if halves < 1:
        return 1.0, f"{stars:g} stars became 1, the lowest score here."
    if halves != stars:
        return halves, f"{stars:g} stars became {halves:g}, the nearest half."
    return halves, ""


_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}


def read_moment(text: str, *, today: date) -> tuple[str | None, bool]:
    """A day or moment as ISO 8601 in UTC, and whether only the day is known; None for none.

    Takes 2024-01-31, 2024-01-31T20:15:00.000Z, 2024-01-31 20:15:00 UTC, and IMDb's old
    Sat Jan 31 00:00:00 2013.
    """
    text = text.strip()
    if not text:
        return None, False
    try:
        moment, day_only = _moment(text)
    except (ValueError, OverflowError):
        raise RowError("bad_date", f"“{shown(text)[:40]}” is no date.") from None
    if moment.date() < FIRST_DAY:
        raise RowError("bad_date", f"{moment.date()} is before there were films.")
    if (moment.date() - today).days > 1:
        raise RowError("date_in_future", f"{moment.date()} is in the future.")
    return moment.isoformat(), day_only


def _moment(text: str) -> tuple[datetime, bool]:
    if len(text) > 40 or not text.isascii():
        raise ValueError
    parts = text.lower().split()
    if len(parts) == 5 and parts[1] in _MONTHS:
        day = date(int(parts[4]), _MONTHS[parts[1]], int(parts[2]))
        return datetime.combine(day, time(), UTC), True
    if len(text) == 10:
        return datetime.combine(date.fromisoformat(text), time(), UTC), True
    if text.lower().endswith(" utc"):
        text = text[:-4]
    moment = datetime.fromisoformat(text)
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment, False
