"""The parsers of bodies: what cannot be parsed, stored or computed with is a 400."""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Mapping
from typing import IO, Any

from django.core.exceptions import TooManyFieldsSent, TooManyFilesSent
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser, MultiPartParser

MAX_NESTING_DEPTH = 32

_TOO_DEEP = f"The JSON is nested more than {MAX_NESTING_DEPTH} levels deep. Flatten it."


class StrictJSONParser(BaseParser):
    """Parses UTF-8 JSON without NaN, infinities, NUL, lone surrogates or deep nesting.

    Raises ParseError (400) that names the cause. PostgreSQL's jsonb and text types reject NUL and
    surrogates; Python's decoder turns 1e999 into infinity and fails on deep nesting.
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
            value = json.loads(text, parse_constant=_reject_constant)
        except UnicodeDecodeError as error:
            raise ParseError("The body is not UTF-8. Encode the JSON as UTF-8.") from error
        except RecursionError as error:
            raise ParseError(_TOO_DEEP) from error
        except ValueError as error:
            raise ParseError(f"The body is not JSON: {error}") from error
        _check_values(value)
        return value


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")


def _check_values(value: Any) -> None:
    """Raise ParseError for a value that is not allowed. Goes level by level, without recursion."""
    level, depth = [value], 0
    while level:
        if depth > MAX_NESTING_DEPTH:
            raise ParseError(_TOO_DEEP)
        next_level: list[Any] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item)
            elif isinstance(item, float):
                if not math.isfinite(item):
                    raise ParseError("The JSON contains a number that is too large for a float.")
            elif isinstance(item, dict):
                next_level.extend(item.keys())
                next_level.extend(item.values())
            elif isinstance(item, list):
                next_level.extend(item)
        level, depth = next_level, depth + 1


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise ParseError("The JSON contains a NUL character, which cannot be stored.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ParseError("The JSON contains a lone surrogate, which is not a character.") from error


class StrictMultiPartParser(MultiPartParser):
    """Parses multipart/form-data as UTF-8.

    Raises ParseError (400) also for too many parts. The charset of the Content-Type is ignored: RFC 7578
    does not define it, and it may name an encoding that is not one of text.
    """

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        context = {**(parser_context or {}), "encoding": "utf-8"}
        try:
            return super().parse(stream, media_type, context)
        except (TooManyFieldsSent, TooManyFilesSent) as error:
            raise ParseError("The body has too many parts. Send fewer.") from error
