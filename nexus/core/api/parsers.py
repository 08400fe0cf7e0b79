"""JSON as the contract takes it: what cannot be stored or computed with is refused at the edge."""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

MAX_NESTING_DEPTH = 32


class StrictJSONParser(BaseParser):
    """UTF-8 JSON without NaN, infinities, NUL, lone surrogates or deep nesting.

    Raises ParseError (400) that says which. PostgreSQL's JSONB and text refuse NUL and surrogates,
    and Python's own decoder takes 1e999 for infinity and fails on deep nesting.
    """

    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            text = codecs.decode(stream.read(), "utf-8")
            value = json.loads(text, parse_constant=_refuse_constant)
        except UnicodeDecodeError as error:
            raise ParseError("The body is not UTF-8.") from error
        except RecursionError as error:
            raise ParseError(f"The JSON is nested more than {MAX_NESTING_DEPTH} deep.") from error
        except ValueError as error:
            raise ParseError(f"The body is not JSON: {error}") from error
        _check(value)
        return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _check(value: Any) -> None:
    """Level by level, so that depth costs no recursion."""
    level, depth = [value], 0
    while level:
        if depth > MAX_NESTING_DEPTH:
            raise ParseError(f"The JSON is nested more than {MAX_NESTING_DEPTH} deep.")
        below: list[Any] = []
        for each in level:
            if isinstance(each, str):
                _check_text(each)
            elif isinstance(each, float):
                if not math.isfinite(each):
                    raise ParseError("The JSON holds a number too large for a float.")
            elif isinstance(each, dict):
                below.extend(each.keys())
                below.extend(each.values())
            elif isinstance(each, list):
                below.extend(each)
        level, depth = below, depth + 1


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise ParseError("The JSON holds a NUL character.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ParseError("The JSON holds a lone surrogate.") from error
