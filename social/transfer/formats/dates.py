"""Parse the dates and times of files: ISO 8601, and how spreadsheets and services write days.

Free of Django.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from enum import Enum, auto
from typing import NamedTuple

from movies.dto import FIRST_YEAR
from social.transfer.formats.records import RowError, sanitize

# The same first year as for a movie's release.
EARLIEST_DATE = date(FIRST_YEAR, 1, 1)
#: Services without a value for an unknown day write this one, the epoch of Unix.
UNKNOWN_DAY = date(1970, 1, 1)

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
# A time of day after a date; only the day counts, because nothing says in which time zone it is.
_TIME = r"(?:,?[T\s]+\d{1,2}[:.]\d{2}(?:[:.]\d{2})?(?:\s*[ap]\.?m\.?)?)?"
_NUMERIC_DAY = re.compile(
    rf"(\d{{1,2}})\s?([/.-])\s?(\d{{1,2}})\s?\2\s?(\d{{4}}|\d{{2}})\.?{_TIME}", re.IGNORECASE
)
_YEAR_FIRST = re.compile(rf"(\d{{4}})([/.])\s?(\d{{1,2}})\2\s?(\d{{1,2}})\.?{_TIME}", re.IGNORECASE)
_DAY_OF_MONTH = re.compile(
    rf"(?:[a-z]{{3,9}},?\s+)?(\d{{1,2}})[\s-]+([a-z]{{3,9}})\.?,?[\s-]+(\d{{4}}|\d{{2}}){_TIME}",
    re.IGNORECASE,
)
_MONTH_AND_DAY = re.compile(
    rf"(?:[a-z]{{3,9}},?\s+)?([a-z]{{3,9}})\.?\s+(\d{{1,2}}),?\s+(\d{{4}}){_TIME}", re.IGNORECASE
)
# IMDb before 2017: Sat Jan 31 00:00:00 2013. Only the day counts.
_IMDB_DAY = re.compile(
    r"[a-z]{3} ([a-z]{3}) +(\d{1,2}) [\d:]{8}(?: [a-z]{3,4})? (\d{4})", re.IGNORECASE
)


class DateOrder(Enum):
    """The order of day and month in the numeric dates of a file."""

    DAY_FIRST = auto()
    MONTH_FIRST = auto()


class Moment(NamedTuple):
    """A day and, if it is known, the moment in UTC; both ISO 8601, both None if unknown."""

    day: str | None = None
    time: str | None = None

    def get_values(self) -> dict[str, str]:
        """Return the values `watched_on` and `watched_at` of a viewing, as far as they are known."""
        named = {"watched_on": self.day, "watched_at": self.time}
        return {name: value for name, value in named.items() if value is not None}

    @property
    def sort_time(self) -> str | None:
        """Return the moment, or the start of the day in UTC."""
        return self.time or (self.day and f"{self.day}T00:00:00+00:00")


def parse_moment(text: str, *, today: date, order: DateOrder | None = None) -> Moment:
    """Return the day and the moment that a text states. Raises RowError if it states none.

    An empty text is an unknown moment. The day of a moment with an offset is the day in that offset;
    one without an offset is in UTC. `order` says how numeric dates are read; without it only those
    that read one way are. The day after `today` is accepted, because a service's clock may be ahead
    of UTC.
    """
    text = " ".join(text.split())
    if not text:
        return Moment()
    try:
        day, time = _parse(text, order, today)
    except (ValueError, OverflowError):
        raise RowError("bad_date", f"“{sanitize(text)[:40]}” is not a date.") from None
    if day < EARLIEST_DATE:
        raise RowError("bad_date", f"{day} is before {EARLIEST_DATE.year}.")
    if (day - today).days > 1:
        raise RowError("date_in_future", f"{day} is in the future.")
    return Moment(day.isoformat(), time.isoformat() if time else None)


def detect_date_order(texts: Iterable[str], *, today: date) -> DateOrder | None:
    """Return the order in which all numeric dates among some texts can be read, if it is only one."""
    orders = set(DateOrder)
    for text in texts:
        match = _NUMERIC_DAY.fullmatch(text.strip())
        if match is not None:
            orders &= _find_orders(match, today)
    return orders.pop() if len(orders) == 1 else None


def _parse(text: str, order: DateOrder | None, today: date) -> tuple[date, datetime | None]:
    if len(text) > 40 or not text.isascii():
        raise ValueError
    if match := _NUMERIC_DAY.fullmatch(text):
        return _parse_numeric_day(match, order, today), None
    if match := _YEAR_FIRST.fullmatch(text):
        return date(int(match[1]), int(match[3]), int(match[4])), None
    if match := _IMDB_DAY.fullmatch(text):
        return date(int(match[3]), _parse_month(match[1]), int(match[2])), None
    if match := _DAY_OF_MONTH.fullmatch(text):
        return date(_parse_year(match[3], today), _parse_month(match[2]), int(match[1])), None
    if match := _MONTH_AND_DAY.fullmatch(text):
        return date(int(match[3]), _parse_month(match[1]), int(match[2])), None
    if len(text) == 10:
        return date.fromisoformat(text), None
    time = datetime.fromisoformat(text.removesuffix(" UTC").removesuffix(" utc"))
    return time.date(), (time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC))


def _parse_numeric_day(match: re.Match[str], order: DateOrder | None, today: date) -> date:
    if order is None:
        days = {_read_numeric_day(match, order, today) for order in _find_orders(match, today)}
        if len(days) != 1:
            raise ValueError
        return days.pop()
    return _read_numeric_day(match, order, today)


def _find_orders(match: re.Match[str], today: date) -> set[DateOrder]:
    """Return the orders in which a numeric date is a day of the past."""
    # Dots are written only where the day is first.
    orders = [DateOrder.DAY_FIRST] if match[2] == "." else list(DateOrder)
    possible = set()
    for order in orders:
        try:
            day = _read_numeric_day(match, order, today)
        except ValueError:
            continue
        if (day - today).days <= 1:
            possible.add(order)
    return possible


def _read_numeric_day(match: re.Match[str], order: DateOrder, today: date) -> date:
    first, second = int(match[1]), int(match[3])
    day, month = (first, second) if order is DateOrder.DAY_FIRST else (second, first)
    return date(_parse_year(match[4], today), month, day)


def _parse_year(text: str, today: date) -> int:
    """Return a year of four digits, or the last one that ends with two."""
    if len(text) == 4:
        return int(text)
    year = today.year - today.year % 100 + int(text)
    return year if year <= today.year + 1 else year - 100


def _parse_month(name: str) -> int:
    if name[:3].lower() not in _MONTHS:
        raise ValueError
    return _MONTHS[name[:3].lower()]
