"""Parsers for the cells of a row: titles, years, ids, scores, dates and texts. Free of Django.

Functions raise RowError for a text that is not such a value; a CellParser leaves the cell out instead
and notes it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

from movies.dto import FIRST_YEAR, LAST_YEAR, MAX_TMDB_ID
from nexus.core.visible_text import remove_invisible
from social.transfer.formats.dates import UNKNOWN_DAY, DateOrder, Moment, parse_moment
from social.transfer.formats.records import (
    MAX_LIST_NAME_LENGTH,
    MAX_TITLE_LENGTH,
    LeftOut,
    RowError,
    sanitize,
)

MAX_REVIEW_LENGTH = 10_000
MAX_DESCRIPTION_LENGTH = 2_000
MAX_NOTE_LENGTH = 500

T = TypeVar("T")

# A spreadsheet may have made a number of it, and some files have the day of the release.
_YEAR = re.compile(r"\(?([0-9]{4})(?:\.0|-[0-9]{2}-[0-9]{2}(?:T.*)?)?\)?")
_ID = re.compile(r"([0-9]{1,19})(?:\.0)?")
_IMDB_ID = re.compile(r"(?:https?://\S*/)?(tt[0-9]{7,10})(?:/\S*)?")
_SCORE = re.compile(r"[0-9]{1,3}(?:[.,][0-9]{0,3})?")


@dataclass(frozen=True)
class FileContext:
    """What the parsers of a file's rows know about the file."""

    file: str
    today: date
    #: The order of day and month in its numeric dates; None if they read both ways or in none.
    date_order: DateOrder | None = None


class CellParser:
    """Parses the cells of one row and notes what it changed or left out, so that the row says so.

    A cell that is not the value it should be costs the cell and not the row.
    """

    def __init__(self, context: FileContext) -> None:
        self._context = context
        self._changes: list[str] = []
        self._left_out: list[LeftOut] = []

    def parse_movie(
        self, *, title: str, year: str = "", tmdb_id: str = "", imdb_id: str = ""
    ) -> dict[str, Any]:
        """Return the fields of a record that identify its movie.

        Raises RowError if there is neither an id nor a title, or the title cannot be stored.
        """
        movie: dict[str, Any] = {
            "tmdb_id": self._parse(parse_id, tmdb_id),
            "imdb_id": self._parse(parse_imdb_id, imdb_id),
            "year": self._parse(parse_year, year),
        }
        if not (movie["tmdb_id"] or movie["imdb_id"]):
            movie["title"] = parse_title(title)
        elif len(title) > MAX_TITLE_LENGTH:
            movie["title"] = self.clean(
                title.strip(), name="title", max_length=MAX_TITLE_LENGTH, is_line=True
            )
        else:
            movie["title"] = clean_text(title, name="title", max_length=MAX_TITLE_LENGTH)
        return movie

    def parse_id(self, text: str, *, largest: int = MAX_TMDB_ID) -> int | None:
        return self._parse(lambda value: parse_id(value, largest=largest), text)

    def parse_moment(self, text: str) -> Moment:
        """Return the day and the moment of a text; an unknown one if it is no date."""
        moment = self._parse(self._parse_moment, text) or Moment()
        if moment.day == UNKNOWN_DAY.isoformat():
            self.add_change(f"The date {UNKNOWN_DAY} stands for an unknown day.")
            return Moment()
        return moment

    def parse_time(self, text: str) -> str | None:
        """Return the moment of a text, the start of its day if it has no time; None if unknown."""
        return self.parse_moment(text).sort_time

    def parse_score(self, text: str, *, out_of: int) -> float | None:
        """Return half stars from 1 to 5; None for an empty text or one that is no score."""
        if not text.strip():
            return None
        return self._parse(lambda value: self.require_score(value, out_of=out_of), text)

    def require_score(self, text: str, *, out_of: int) -> float:
        """Return half stars from 1 to 5. Raises RowError if the text is no score."""
        if not text.strip():
            raise RowError("no_score", "The row has no score.")
        stars, change = parse_score(text, out_of=out_of)
        if change:
            self.add_change(change)
        return stars

    def clean(self, text: str, *, name: str, max_length: int, is_line: bool = False) -> str:
        """Return a text of the member without invisible characters, cut to `max_length`.

        So others can see it. Surrounding space stays.
        """
        cut = text[:max_length]
        if cut != text:
            self.add_change(f"The {name} was cut to {max_length:,} characters.")
            self._left_out.append(LeftOut("too_long", "Texts were cut to what fits."))
        cleaned = remove_invisible(cut, is_line=is_line)
        if cleaned != cut and cut.strip():
            self.add_change(f"Invisible characters were removed from the {name}.")
        return cleaned

    def clean_review(self, text: str) -> str:
        return self.clean(text.strip(), name="review", max_length=MAX_REVIEW_LENGTH)

    def clean_note(self, text: str) -> str:
        return self.clean(text.strip(), name="note", max_length=MAX_NOTE_LENGTH)

    def clean_list_name(self, text: str) -> str:
        """Return the name of a list. Raises RowError if it is empty."""
        name = self.clean(
            text.strip(), name="list's name", max_length=MAX_LIST_NAME_LENGTH, is_line=True
        )
        if not name:
            raise RowError("no_name", "The list has no name.")
        return name

    def clean_description(self, text: str) -> str:
        return self.clean(text.strip(), name="description", max_length=MAX_DESCRIPTION_LENGTH)

    def add_change(self, sentence: str) -> None:
        self._changes.append(sentence)

    def leave_out(self, kind: str, reason: str, *, count: int = 1) -> None:
        """Note that the row has something that an account here has no place for."""
        self._left_out.append(LeftOut(kind, reason, count))

    def get_values(self) -> dict[str, str]:
        """Return the value `changes` of the record, if there were any."""
        return {"changes": " ".join(self._changes)} if self._changes else {}

    def get_left_out(self) -> Iterator[LeftOut]:
        yield from self._left_out

    def _parse(self, parse: Callable[[str], T], text: str) -> T | None:
        try:
            return parse(text)
        except RowError as error:
            self.add_change(f"{error.reason} It was left out.")
            self._left_out.append(LeftOut(error.code, f"Cells were left out: {error.reason}"))
            return None

    def _parse_moment(self, text: str) -> Moment:
        return parse_moment(text, today=self._context.today, order=self._context.date_order)


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


def parse_title(text: str) -> str:
    title = clean_text(text, name="title", max_length=MAX_TITLE_LENGTH)
    if not title:
        raise RowError("no_title", "The row has no title.")
    return title


def parse_year(text: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    match = _YEAR.fullmatch(text)
    if match is None:
        raise RowError("bad_year", f"“{sanitize(text)[:20]}” is not a year.")
    year = int(match[1])
    if not FIRST_YEAR <= year <= LAST_YEAR:
        raise RowError("bad_year", f"The year {year} is not from {FIRST_YEAR} to {LAST_YEAR}.")
    return year


def parse_imdb_id(text: str) -> str | None:
    """Return the IMDb id of a text, which may be the URL of a title."""
    text = text.strip()
    if not text:
        return None
    match = _IMDB_ID.fullmatch(text)
    if match is None:
        raise RowError("bad_id", f"“{sanitize(text)[:20]}” is not an IMDb id.")
    return match[1]


def parse_id(text: str, *, largest: int = MAX_TMDB_ID) -> int | None:
    text = text.strip()
    if not text:
        return None
    match = _ID.fullmatch(text)
    if match is None or not 1 <= int(match[1]) <= largest:
        raise RowError("bad_id", f"“{sanitize(text)[:20]}” is not an id.")
    return int(match[1])


def parse_score(text: str, *, out_of: int) -> tuple[float, str]:
    """Convert a score out of 5 or 10 to half stars from 1 to 5; return it and how it changed.

    The change is empty if there is none. Other services start at half a star, this one at one star, so
    less than one star becomes one. A score between half stars (TMDb has half points out of 10) is
    rounded to the nearest, ties upwards.
    """
    text = text.strip()
    if not _SCORE.fullmatch(text):
        raise RowError("bad_score", f"“{sanitize(text)[:20]}” is not a score.")
    value = float(text.replace(",", "."))
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
