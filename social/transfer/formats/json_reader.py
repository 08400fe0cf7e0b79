"""A JSON array one element at a time, of which what comes before a fault counts. Free of Django."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from social.transfer.formats.records import FileError, RowError

# What a file can make us build: a hundred thousand rows of twenty values each.
MAX_PARTS = 2_000_000
_SPACE = re.compile(r"[ \t\r\n]*")


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def elements(text: str) -> Iterator[tuple[int, Any | RowError]]:
    """Each element with its number from 1; a RowError as the last one where the rest is broken.

    Raises FileError where the text is no array, or one built to fill the memory.
    """
    if sum(text.count(mark) for mark in ",[{") > MAX_PARTS:
        raise FileError("too_large", f"The JSON holds more than {MAX_PARTS:,} values.")
    at = _after_space(text, 0)
    if text[at : at + 1] != "[":
        raise FileError("bad_json", "The JSON is not an array.")
    at = _after_space(text, at + 1)
    number = 0
    while text[at : at + 1] != "]":
        number += 1
        try:
            value, at = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            yield number, RowError("bad_json", "From here on the file is not JSON.")
            return
        yield number, value
        at = _after_space(text, at)
        mark = text[at : at + 1]
        if mark == ",":
            at = _after_space(text, at + 1)
        elif mark != "]":
            yield number + 1, RowError("bad_json", "From here on the file is not JSON.")
            return


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


# --- Values of an element ------------------------------------------------------------------------


def as_dict(value: Any) -> dict[str, Any]:
    """Raises RowError where the value is no object."""
    if not isinstance(value, dict):
        raise RowError("bad_shape", "The element is no object.")
    return value


def text_of(value: Any) -> str:
    """A text or number as text, nothing as none. Raises RowError for anything else."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        # Beyond what any of our numbers is, digits alone could take seconds to write.
        return str(value) if abs(value) < 1e18 else "too large"
    raise RowError("bad_shape", "A value is neither text nor number.")
