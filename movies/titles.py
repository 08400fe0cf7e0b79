"""When two titles are the same. Free of Django.

A sign or an article makes another title: “Mother!” is not “Mother”, and “The Thing” is not “Thing”.
Spelling does not: case, accents, dashes, quotation marks, and & or “and”.
"""

from __future__ import annotations

import re

from nexus.core.text import fold

# A colon before a subtitle is written as a dash by some services, or left out like one.
_DASHES = re.compile(r"[-\u2010-\u2015\u2212\u00b7\u2022:]")
_QUOTES = str.maketrans(
    {**dict.fromkeys("’‘ʼ`´′", "'"), **dict.fromkeys("“”„«»″", '"')},
)
_TRAILING_ARTICLE = re.compile(r"(.+), (the|a|an|le|la|les|der|die|das|el|los|las|il)")


def make_title_key(title: str) -> str:
    """Return a text that two titles have in common exactly if they are the same.

    “Matrix, The” is the same as “The Matrix”.
    """
    # Quotation marks first: folding takes an acute accent for a combining one.
    key = fold(title.translate(_QUOTES)).replace("&", " and ")
    key = " ".join(_DASHES.sub(" ", key).split())
    match = _TRAILING_ARTICLE.fullmatch(key)
    return f"{match[2]} {match[1]}" if match else key
