"""JSON arrays, read one element at a time, so that the elements before an error count.

Free of Django.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from social.transfer.formats.records import FileError, InvalidRow, RowError

# Bounds the memory a file can take: a hundred thousand rows of twenty values each.
MAX_VALUES = 2_000_000
_SPACE = re.compile(r"[ \t\r\n]*")


def _reject_constant(name: str) -> None:
    """Raise for NaN and Infinity, which json.loads accepts."""
    raise ValueError(f"{name} is not a JSON value")


_DECODER = json.JSONDecoder(parse_constant=_reject_constant)


def read_array(text: str) -> Iterator[tuple[int, Any] | InvalidRow]:
    """Yield each element with its number from 1, and an InvalidRow last if the rest is not JSON.

    Raises FileError if the text is not an array or contains more than MAX_VALUES.
    """
    if sum(text.count(character) for character in ",[{") > MAX_VALUES:
        raise FileError("too_large", f"The JSON contains more than {MAX_VALUES:,} values.")
    position = _skip_space(text, 0)
    if text[position : position + 1] != "[":
        raise FileError("bad_json", "The JSON is not an array.")
    position = _skip_space(text, position + 1)
    number = 0
    while text[position : position + 1] != "]":
        number += 1
        try:
            value, position = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError):
            yield InvalidRow(number, _make_not_json_error())
            return
        yield number, value
        position = _skip_space(text, position)
        separator = text[position : position + 1]
        if separator == ",":
            position = _skip_space(text, position + 1)
        elif separator != "]":
            yield InvalidRow(number + 1, _make_not_json_error())
            return


def _skip_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _make_not_json_error() -> RowError:
    return RowError("bad_json", "From here on, the file is not valid JSON.")


# --- Values of an element ------------------------------------------------------------------------


def to_dict(value: Any) -> dict[str, Any]:
    """Return the value, which must be a JSON object. Raises RowError otherwise."""
    if not isinstance(value, dict):
        raise RowError("bad_shape", "The element is not a JSON object.")
    return value


def to_text(value: Any) -> str:
    """Return a text or number as text, and null as an empty text. Raises RowError for the rest."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        # No value in an import is larger, and writing the digits of a huge integer takes seconds.
        return str(value) if abs(value) < 1e18 else "too large"
    raise RowError("bad_shape", "A value is neither text nor a number.")


def get_movie_title(element: Any) -> str:
    """Return the title of an element's `movie` if there is one, to show with an invalid row."""
    movie = element.get("movie") if isinstance(element, dict) else None
    title = movie.get("title") if isinstance(movie, dict) else None
    return title if isinstance(title, str) else ""
