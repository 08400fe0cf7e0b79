"""Text as search sees it: no accents, no case, words only. Free of Django."""

from __future__ import annotations

import re
import unicodedata

# Letters that decomposition leaves whole, as their usual plain spelling.
_PLAIN = str.maketrans(
    {"ø": "o", "đ": "d", "ð": "d", "ł": "l", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"}
)
_WORD = re.compile(r"[^\W_]+")
# Apostrophes join: "don't" is searched as dont, and "O'Brien" as obrien.
_JOINERS = re.compile(r"['’ʼ`´]")
MAX_WORD = 60


def fold(text: str) -> str:
    """Lower case, without accents: `Amélie` and `AMELIE` are both `amelie`."""
    if text.isascii():
        # Nothing to decompose; most titles are, and a million of them are folded in one go.
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(char for char in decomposed if not unicodedata.combining(char))
    # Once more: some letters decompose into capitals or compatibility forms.
    return unicodedata.normalize("NFKC", bare).casefold().translate(_PLAIN)


def split_words(text: str) -> list[str]:
    """The folded words of a text, in order."""
    return [word[:MAX_WORD] for word in _WORD.findall(_JOINERS.sub("", fold(text)))]
