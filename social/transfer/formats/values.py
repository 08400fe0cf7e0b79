"""Parsers for the values of a record: titles, years, ids, scores and dates. Free of Django.

Each takes the text of a file and raises RowError if it is not such a value.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from movies.dto import FIRST_YEAR, LAST_YEAR, MAX_TMDB_ID
from nexus.core.visible_text import remove_invisible
from social.transfer.formats.records import MAX_TITLE_LENGTH, RowError, sanitize

MAX_REVIEW_LENGTH = 10_000
MAX_LIST_NAME_LENGTH = 200
MAX_DESCRIPTION_LENGTH = 2_000
MAX_NOTE_LENGTH = 500
# The same first year as for a movie's release.
EARLIEST_DATE = date(FIRST_YEAR, 1, 1)
UNKNOWN_DAY = date(1970, 1, 1)


def clean_text(text: str, *, name: str, max_length: int) -> str:
    """Return the text without surrounding space. Raises RowError if it cannot be stored."""
    text = text.strip()
    if "\x00" in text:
        raise RowError("nul_character", f"The {name} contains a NUL character.")
    if len(text) > max_length:
        raise RowError("too_long", f"The {name} is longer than {max_length:,} characters.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RowError("bad_text", f"The {name} contains an incomplete character.") from None
    return text


class MemberTexts:
    """Cleans the texts a member wrote in one row, so that others can see them, and notes the changes.

    A text that is too long or has invisible characters (nexus.core.visible_text) does not fail the
    row. Surrounding space stays.
    """

    def __init__(self) -> None:
        self._changes: list[str] = []

    def clean(self, text: str, *, name: str, max_length: int, is_line: bool = False) -> str:
        """Return the text without invisible characters, cut to `max_length`."""
        cut = text[:max_length]
        if cut != text:
            self.add_change(f"The {name} was cut to {max_length:,} characters.")
        cleaned = remove_invisible(cut, is_line=is_line)
        if cleaned != cut and cut.strip():
            self.add_change(f"Invisible characters were removed from the {name}.")
        return cleaned

    def add_change(self, sentence: str) -> None:
        self._changes.append(sentence)

    def get_values(self) -> dict[str, str]:
        """Return the value `changes` of the record, if there were any."""
        return {"changes": " ".join(self._changes)} if self._changes else {}


def parse_title(text: str) -> str:
    title = clean_text(text, name="title", max_length=MAX_TITLE_LENGTH)
    if not title:
        raise RowError("no_title", "The row has no title.")
    return title


def parse_year(text: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) == 4):
        raise RowError("bad_year", f"“{sanitize(text)[:20]}” is not a year.")
    year = int(text)
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise RowError("bad_year", f"The year {year} is not from {FIRST_YEAR} to {LAST_YEAR}.")
    return year


def parse_imdb_id(text: str) -> str | None:
    text = text.strip()
    digits = text.removeprefix("tt")
    if not text:
        return None
    if digits == text or not (digits.isascii() and digits.isdigit() and 7 <= len(digits) <= 10):
        raise RowError("bad_id", f"“{sanitize(text)[:20]}” is not an IMDb id.")
    return text


def parse_id(text: str, *, largest: int = MAX_TMDB_ID) -> int | None:
    text = text.strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and 1 <= int(text) <= largest):
        raise RowError("bad_id", f"“{sanitize(text)[:20]}” is not an id.")
    return int(text)


def parse_score(text: str, *, out_of: int) -> tuple[float, str]:
    """Convert a score out of 5 or 10 to half stars from 1 to 5; return it and a note.

    The note says how the score changed and is empty if it did not. Other services start at half a
    star, this one at one star, so less than one star becomes one. A score between half stars (TMDb
    has half points out of 10) is rounded to the nearest, ties upwards.
    """
    text = text.strip()
    number = text.replace(".", "", 1)
    if not (number.isascii() and number.isdigit() and len(text) <= 6):
        raise RowError("bad_score", f"“{sanitize(text)[:20]}” is not a score.")
    value = float(text)
    if not 0 < value <= out_of:
        raise RowError(
            "score_out_of_range", f"The score {text} is not above 0 and at most {out_of}."
        )
    stars = value * 5 / out_of
    halves = int(stars * 2 + 0.5) / 2
    if halves < 1:
        return 1.0, f"{stars:g} stars became 1, the lowest score here."
    if halves != stars:
        return halves, f"{stars:g} stars became {halves:g}, the nearest half star."
    return halves, ""


_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}


def parse_day(text: str, *, today: date) -> str:
    """Return a date as ISO 8601. Raises RowError for a time."""
    moment, day_only = parse_datetime(text, today=today)
    if moment is None or not day_only:
        raise RowError("bad_date", f"“{sanitize(text)[:40]}” is not a date.")
    return moment[:10]


def parse_viewing_time(text: str, *, today: date) -> dict[str, str]:
    """Return the values `watched_on` and `watched_at` of a viewing, as far as they are known.

    The day is that of the moment's own offset. An empty text and 1970-01-01, which other services store
    for an unknown day, are unknown. Accepts what parse_datetime accepts.
    """
    moment, day_only = parse_datetime(text, today=today)
    if moment is None or datetime.fromisoformat(moment).date() == UNKNOWN_DAY:
        return {}
    if day_only:
        return {"watched_on": moment[:10]}
    day = _parse_datetime(text.strip())[0].date()
    return {"watched_on": day.isoformat(), "watched_at": moment}


def parse_datetime(text: str, *, today: date) -> tuple[str | None, bool]:
    """Return a date or time as ISO 8601 in UTC, and whether only the day is known.

    An empty text is None. Accepts 2024-01-31, 2024-01-31T20:15:00.000Z, 2024-01-31 20:15:00 UTC
    and IMDb's older Sat Jan 31 00:00:00 2013, of which only the day counts. The day after `today`
    is accepted, because a service's clock may be ahead of UTC.
    """
    text = text.strip()
    if not text:
        return None, False
    try:
        value, day_only = _parse_datetime(text)
        value = value.astimezone(UTC)
    except (ValueError, OverflowError):
        raise RowError("bad_date", f"“{sanitize(text)[:40]}” is not a date.") from None
    if value.date() < EARLIEST_DATE:
        raise RowError("bad_date", f"{value.date()} is before {EARLIEST_DATE.year}.")
    if (value.date() - today).days > 1:
        raise RowError("date_in_future", f"{value.date()} is in the future.")
    return value.isoformat(), day_only


def _parse_datetime(text: str) -> tuple[datetime, bool]:
    """Return the moment in its own offset, and whether only the day is known."""
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
    value = datetime.fromisoformat(text)
    return (value.replace(tzinfo=UTC) if value.tzinfo is None else value), False
