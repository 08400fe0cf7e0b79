"""PostgreSQL full text over words folded by nexus.core.text. Free of Django.

Vectors and queries are written out as PostgreSQL's own literals, so that no server-side parser,
dictionary or extension (unaccent) takes part, and both sides fold alike.
"""

from __future__ import annotations

from nexus.core.text import split_words

# A film's words are few; the bound keeps one absurd title from filling an index page.
MAX_WORDS = 400
TITLE, ORIGINAL_TITLE, PEOPLE = "A", "B", "C"
# How words begin is kept beside them, up to so many letters: PostgreSQL gathers all that a prefix of
# a letter or two stands for before it looks at anything else, which is half of a catalogue.
MAX_BEGINNING = 4
_LENGTHS = range(1, MAX_BEGINNING + 1)
# In front of a beginning; no word has it.
_BEGINS = "^"


def build_search_vector(*, title: str, original_title: str, people: list[str]) -> str:
    """The tsvector literal of a film: title weighs A, original title B, people C.

    A beginning of words (MAX_BEGINNING) weighs A where one of the title has it, else D.
    """
    places: dict[str, list[str]] = {}
    position = 0
    of_title = split_words(title)
    texts = [
        (of_title, TITLE),
        (of_title if original_title == title else split_words(original_title), ORIGINAL_TITLE),
        *((split_words(each), PEOPLE) for each in people),
    ]
    for found, weight in texts:
        for word in found:
            position += 1
            if position > MAX_WORDS:
                break
            places.setdefault(word, []).append(f"{position}{weight}")
    # Without a place a beginning would be found by any weight.
    titled: dict[str, None] = {}
    others: dict[str, None] = {}
    for word, at in places.items():
        beginnings = titled if at[0][-1] == TITLE else others
        for length in _LENGTHS:
            beginnings[word[:length]] = None
    return " ".join(
        [f"'{word}':{','.join(at)}" for word, at in places.items()]
        + [f"'{_BEGINS}{letters}':1{TITLE}" for letters in titled]
        + [f"'{_BEGINS}{letters}':1" for letters in others if letters not in titled]
    )


def build_tsquery(text: str, *, weights: str = "") -> str | None:
    """The tsquery literal for all words of a text, the last as a prefix; None without words.

    `weights` keeps to words of those weights; of beginnings, only "A" (the title) is told apart.
    """
    found = split_words(text)[:20]
    if not found:
        return None
    suffix = f":{weights}" if weights else ""
    last = f"'{found[-1]}':*{weights}"
    if len(found[-1]) <= MAX_BEGINNING:
        last = f"'{_BEGINS}{found[-1]}'{suffix}"
    return " & ".join([*(f"'{word}'{suffix}" for word in found[:-1]), last])


def build_ranking_tsquery(text: str) -> str:
    """The tsquery literal by which films that `query` finds are ranked: with the places of words."""
    found = split_words(text)[:20]
    return " & ".join([*(f"'{word}'" for word in found[:-1]), f"'{found[-1]}':*"])


def build_whole_words_tsquery(text: str, *, weights: str) -> str:
    """The tsquery literal for all words of a text, whole, with any of the weights."""
    return " & ".join(f"'{word}':{weights}" for word in dict.fromkeys(split_words(text)[:20]))


_ARTICLES = {"the", "a", "an"}


def make_sort_title(title: str) -> str:
    """The title as it sorts: its folded words without a leading English article."""
    found = split_words(title)
    if len(found) > 1 and found[0] in _ARTICLES:
        found = found[1:]
    return " ".join(found)[:600] or title[:600]
