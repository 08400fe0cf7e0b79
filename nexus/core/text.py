"""Fold and split text for search: no accents, no case, words only. Free of Django."""

from __future__ import annotations

import re
import unicodedata

# Letters that Unicode does not decompose, and their usual spelling without accents.
_PLAIN_LETTERS = str.maketrans(
    {"ø": "o", "đ": "d", "ð": "d", "ł": "l", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
)
_WORD = re.compile(r"[^\W_]+")
# Apostrophes do not separate words: "don't" is found as dont, and "O'Brien" as obrien.
_APOSTROPHES = re.compile(r"['’ʼ`´]")
# Signs that NFKD would glue to the word before them: "8½" is read as "8 1/2", "Alien³" as "Alien 3".
_SEPARATE_NUMBERS = re.compile(r"[¼-¾⅐-⅞↉]|[⁰¹²³⁴-⁹]+")
_TRADE_MARKS = re.compile(r"[™℠]")
MAX_WORD_LENGTH = 60


def fold(text: str) -> str:
    """Return the text in lower case without accents: `Amélie` and `AMELIE` are both `amelie`."""
    if text.isascii():
        # Most titles are ASCII, and an import folds a million of them.
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    # Some letters decompose into capitals or compatibility forms, which need a second pass.
    return unicodedata.normalize("NFKC", bare).casefold().translate(_PLAIN_LETTERS)


def split_words(text: str) -> list[str]:
    """Return the folded words of a text, in order."""
    if not text.isascii():
        text = _SEPARATE_NUMBERS.sub(r" \g<0>", _TRADE_MARKS.sub(" ", text))
    words = _WORD.findall(_APOSTROPHES.sub("", fold(text)))
    return [word[:MAX_WORD_LENGTH] for word in words]
