"""Rules for text and URLs that members show to others. Free of Django.

Text is plain if everything in it is visible or has a visible effect: no control characters, no marks
that change the direction of the text around them, and no zero-width characters but those that join
letters of scripts that need them, or emoji.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import urlsplit

_CONTROLS = r"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
_LINE_BREAKS = r"\t\n\r\x85\u2028\u2029"
_INVISIBLE = (
    # Soft hyphen, grapheme joiner, Hangul fillers, Mongolian separator, zero-width space, BOM.
    r"\u00ad\u034f\u115f\u1160\u180e\u200b\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0"
    # Direction marks, embeddings, overrides and isolates.
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
    # Specials and noncharacters, halves of surrogate pairs, musical and shorthand formatting, tags.
    r"\ufff0-\ufffb\ufffe\uffff\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U000e007f"
)
# Letters of scripts with joiners, and emoji; their parts are beyond Hebrew.
_JOINABLE = r"[^\s\x00-\u05ff\u200c\u200d]"
_LONE_ZERO_WIDTH = (
    rf"(?<!{_JOINABLE})[\u200c\u200d]|[\u200c\u200d](?!{_JOINABLE})"
    # A variation selector needs a character that has variants, such as an emoji or a digit.
    r"|(?<![^\sA-Za-z\ufe00-\ufe0f])[\ufe00-\ufe0f]"
)
_NOT_PLAIN = re.compile(rf"[{_CONTROLS}\x85\u2028\u2029{_INVISIBLE}]|{_LONE_ZERO_WIDTH}")
_NOT_PLAIN_LINE = re.compile(rf"[{_CONTROLS}{_LINE_BREAKS}{_INVISIBLE}]|{_LONE_ZERO_WIDTH}")
_LINE_BREAK = re.compile(rf"[{_LINE_BREAKS}]+")
# The flags of England, Scotland and Wales are a black flag and invisible tags.
_TAG_FLAG = re.compile("(?<=\U0001f3f4)[\U000e0020-\U000e007f]{1,8}")
_BLANK_BRAILLE = "\u2800"
_MARKUP = re.compile(r"[\s<>\"'`{}|\\^]")


def find_invisible(text: str, *, is_line: bool) -> str | None:
    """Return the first character that is not plain, or None. A line has no line breaks or tabs."""
    match = _get_pattern(is_line).search(_TAG_FLAG.sub("", text))
    return match.group() if match else None


def remove_invisible(text: str, *, is_line: bool) -> str:
    """Return the text without what `find_invisible` finds. In a line, breaks become spaces."""
    if is_line:
        text = _LINE_BREAK.sub(" ", text)
    pattern = _get_pattern(is_line)
    # Not the tags of a flag, which are kept as they are; and a removal may leave a joiner alone.
    while find_invisible(text, is_line=is_line) is not None:
        pieces = re.split(f"({_TAG_FLAG.pattern})", text)
        text = "".join(
            piece if number % 2 else pattern.sub("", piece) for number, piece in enumerate(pieces)
        )
    return text if has_visible(text) else ""


def has_visible(text: str) -> bool:
    """Return whether the text has a letter, digit, sign or symbol, and not only space and marks."""
    # C are, after `find_invisible`, private characters and those newer than Python's table.
    return any(unicodedata.category(char)[0] in "LNPSC" for char in text if char != _BLANK_BRAILLE)


def describe_character(char: str) -> str:
    """Return `U+202E (right-to-left override)`; only the number of a character without a name."""
    name = unicodedata.name(char, "").lower()
    return f"U+{ord(char):04X}" + (f" ({name})" if name else "")


def find_url_problem(url: str) -> str | None:
    """Return what is wrong with an URL that browsers of others will load, or None."""
    if find_invisible(url, is_line=True) or _MARKUP.search(url):
        return "Remove spaces, quotes, brackets and invisible characters, or percent-encode them."
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError:
        return "The address of the server is malformed."
    if parts.scheme != "https" or not host:
        return "Use an https URL."
    if "@" in parts.netloc:
        return "Remove the username and the password."
    return None


def _get_pattern(is_line: bool) -> re.Pattern[str]:
    return _NOT_PLAIN_LINE if is_line else _NOT_PLAIN
