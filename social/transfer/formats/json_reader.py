"""JSON arrays as streams: one element is in memory, and the elements before an error count.

Free of Django.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from social.transfer.formats.records import FileError, InvalidRow, RowError

# Bounds the time a file can take: a hundred thousand rows of twenty values each.
MAX_VALUES = 2_000_000
# Bound the memory an element can take: a playlist of ten thousand movies with long notes.
MAX_ELEMENT_LENGTH = 8 * 1024 * 1024
MAX_ELEMENT_VALUES = 250_000
# A number that ends so close to the end of a chunk may go on in the next one.
_LONGEST_CUT = 3
_SPACE = re.compile(r"[ \t\r\n]*")


def _reject_constant(name: str) -> None:
    """Raise for NaN and Infinity, which json.loads accepts."""
    raise ValueError(f"{name} is not a JSON value")


_DECODER = json.JSONDecoder(parse_constant=_reject_constant)


def read_array(chunks: Iterable[str]) -> Iterator[tuple[int, Any] | InvalidRow]:
    """Yield each element with its number from 1, and an InvalidRow last if the rest is not JSON.

    Raises FileError if the text is not an array or has more than MAX_VALUES.
    """
    text = _Text(chunks)
    if text.peek() != "[":
        raise FileError("bad_json", "The JSON is not an array.")
    yield from _read_elements(text)


def read_sections(chunks: Iterable[str]) -> Iterator[tuple[str, tuple[int, Any] | InvalidRow]]:
    """Yield the elements of each array in an object, with the array's name and their numbers.

    Other values of the object are passed over. After an error nothing more is read. Raises FileError
    like `read_array`.
    """
    text = _Text(chunks)
    if text.peek() != "{":
        raise FileError("bad_json", "The JSON is not an object.")
    text.skip()
    while text.peek() == '"':
        try:
            name = text.decode_value()
            if text.peek() != ":":
                raise ValueError
            text.skip()
            if text.peek() != "[":
                text.decode_value()
        except (ValueError, RecursionError):
            yield "", InvalidRow(1, _make_not_json_error())
            return
        except RowError as error:
            yield "", InvalidRow(1, error)
            return
        if text.peek() == "[":
            for item in _read_elements(text):
                yield name, item
                if isinstance(item, InvalidRow):
                    return
            text.skip()
        if text.peek() == ",":
            text.skip()


def _read_elements(text: _Text) -> Iterator[tuple[int, Any] | InvalidRow]:
    """Yield the elements of the array at the current position, which stays at its end."""
    text.skip()
    number = 0
    while text.peek() != "]":
        number += 1
        try:
            value = text.decode_value()
        except (ValueError, RecursionError):
            yield InvalidRow(number, _make_not_json_error())
            return
        except RowError as error:
            yield InvalidRow(number, error)
            return
        yield number, value
        separator = text.peek()
        if separator == ",":
            text.skip()
        elif separator != "]":
            yield InvalidRow(number + 1, _make_not_json_error())
            return


class _Text:
    """The part of a text that is being decoded, and the chunks after it."""

    def __init__(self, chunks: Iterable[str]) -> None:
        self._chunks = iter(chunks)
        self._text = ""
        self._position = 0
        self._has_ended = False
        self._values = 0

    def peek(self) -> str:
        """Return the next character that is no space, and go there; an empty text at the end."""
        while True:
            match = _SPACE.match(self._text, self._position)
            self._position = match.end() if match else self._position
            if self._position < len(self._text) or self._has_ended:
                return self._text[self._position : self._position + 1]
            self._read(1)

    def skip(self) -> None:
        """Go forward by one character."""
        self._position += 1

    def decode_value(self) -> Any:
        """Return the next value.

        Raises ValueError if it is not JSON, RecursionError if it is too deep, RowError if too large.
        """
        self.peek()
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._position)
            except ValueError:
                if self._has_ended:
                    raise
            else:
                if self._has_ended or end < len(self._text) - _LONGEST_CUT:
                    self._position = end
                    return value
            self._grow()

    def _grow(self) -> None:
        """Double the part that is decoded, so that a long value is not decoded too many times."""
        self._read(max(1, len(self._text) - self._position))
        if len(self._text) > MAX_ELEMENT_LENGTH or _count_values(self._text) > MAX_ELEMENT_VALUES:
            raise RowError("too_large", "This element is too large; the file is read up to it.")

    def _read(self, length: int) -> None:
        """Drop what is decoded, and read chunks until they have this length or the text ends."""
        parts = [self._text[self._position :]]
        while length > 0 and not self._has_ended:
            chunk = next(self._chunks, "")
            self._has_ended = not chunk
            self._values += _count_values(chunk)
            if self._values > MAX_VALUES:
                message = f"The JSON contains more than {MAX_VALUES:,} values."
                raise FileError("too_large", message)
            parts.append(chunk)
            length -= len(chunk)
        self._text, self._position = "".join(parts), 0


def _count_values(text: str) -> int:
    return sum(text.count(character) for character in ",[{")


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
