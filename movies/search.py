"""Search in the catalogue: the contents of the index `movie_words`, and conditions that it serves.

The index is one GIN index over four columns: the words of titles and people (`search_vector`), the
genres, the keywords, and the tokens of SEARCH_TOKENS: coarse values of year, runtime, votes,
popularity and language. A GIN index with several conditions starts with the rarest one and skips
through the others, so that words, genres and tokens together cost as much as their intersection.
With an index for each, PostgreSQL would first gather all movies of every condition.

This module writes the literals of tsvector and tsquery from words that `nexus.core.text` has folded.
PostgreSQL's parser and dictionaries are not used, so that texts and queries are folded alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.fields.array import ArrayContains  # type: ignore[attr-defined]
from django.db.models import F, Func, IntegerField, Q

from nexus.core.text import split_words

# --- Words ----------------------------------------------------------------------------------------

# One absurd cast list must not fill an index page.
MAX_WORDS = 400
MAX_QUERY_WORDS = 20
TITLE, ORIGINAL_TITLE, PEOPLE = "A", "B", "C"
# Each word's prefixes up to this length are lexemes of their own. For a query of one letter, PostgreSQL
# would otherwise gather half of the catalogue from all words that begin with it.
MAX_PREFIX = 4
# Marks a lexeme as a prefix. No word contains it.
_PREFIX_MARK = "^"
_ARTICLES = {"the", "a", "an"}


def build_search_vector(*, title: str, original_title: str, people: list[str]) -> str:
    """Return the tsvector literal of a movie.

    Words of the title weigh A, of the original title B, of people C. A prefix of up to MAX_PREFIX
    letters weighs A if a word of the title begins with it, else D.
    """
    positions: dict[str, list[str]] = {}
    position = 0
    title_words = split_words(title)
    texts = [
        (title_words, TITLE),
        (title_words if original_title == title else split_words(original_title), ORIGINAL_TITLE),
        *((split_words(person), PEOPLE) for person in people),
    ]
    for text_words, weight in texts:
        for word in text_words:
            position += 1
            if position > MAX_WORDS:
                break
            positions.setdefault(word, []).append(f"{position}{weight}")
    title_prefixes: dict[str, None] = {}
    other_prefixes: dict[str, None] = {}
    for word, word_positions in positions.items():
        prefixes = title_prefixes if word_positions[0][-1] == TITLE else other_prefixes
        for length in range(1, MAX_PREFIX + 1):
            prefixes[word[:length]] = None
    # A lexeme without a position would match queries of any weight.
    return " ".join(
        [f"'{word}':{','.join(word_positions)}" for word, word_positions in positions.items()]
        + [f"'{_PREFIX_MARK}{prefix}':1{TITLE}" for prefix in title_prefixes]
        + [
            f"'{_PREFIX_MARK}{prefix}':1"
            for prefix in other_prefixes
            if prefix not in title_prefixes
        ]
    )


def build_tsquery(text: str, *, weights: str = "") -> str | None:
    """Return the tsquery literal for all words of a text, the last one as a prefix.

    `weights` restricts the match to words of these weights. Prefixes know only "A" (the title).
    Returns None if the text has no words.
    """
    *whole, last = split_words(text)[:MAX_QUERY_WORDS] or [""]
    if not last:
        return None
    suffix = f":{weights}" if weights else ""
    prefix = f"'{last}':*{weights}"
    if len(last) <= MAX_PREFIX:
        prefix = f"'{_PREFIX_MARK}{last}'{suffix}"
    return " & ".join([*(f"'{word}'{suffix}" for word in whole), prefix])


def build_ranking_tsquery(text: str) -> str:
    """Return the tsquery literal that ranks the movies found by `build_tsquery`.

    It matches the words themselves, which carry positions and weights, instead of the prefixes.
    """
    *whole, last = split_words(text)[:MAX_QUERY_WORDS]
    return " & ".join([*(f"'{word}'" for word in whole), f"'{last}':*"])


def build_whole_words_tsquery(text: str, *, weights: str) -> str:
    """Return the tsquery literal for all words of a text, whole, with any of the weights."""
    unique = dict.fromkeys(split_words(text)[:MAX_QUERY_WORDS])
    return " & ".join(f"'{word}':{weights}" for word in unique)


def make_sort_title(title: str) -> str:
    """Return the folded words of a title without a leading English article."""
    title_words = split_words(title)
    if len(title_words) > 1 and title_words[0] in _ARTICLES:
        title_words = title_words[1:]
    return " ".join(title_words)[:600] or title[:600]


# --- Tokens ---------------------------------------------------------------------------------------

# The tokens of the ceilings of a column follow those of its floors at this distance.
_CEILINGS = 50


@dataclass(frozen=True)
class TokenRange:
    """The tokens of one column: one for each floor a movie reaches, and each ceiling it is below.

    `base` is the number of the first floor's token.
    """

    column: str
    base: int
    floors: tuple[float, ...]
    ceilings: tuple[float, ...] = ()

    @property
    def expressions(self) -> list[Func]:
        """SQL expressions, one for each edge: the token if the movie has it, else null."""
        sides = [(">=", self.floors, self.base), ("<", self.ceilings, self.base + _CEILINGS)]
        return [
            Func(
                F(self.column),
                template=f"CASE WHEN %(expressions)s {operator} {edge:g} THEN {first + number} END",
                output_field=IntegerField(),
            )
            for operator, edges, first in sides
            for number, edge in enumerate(edges)
        ]

    def find_tokens(self, low: float | None, high: float | None) -> list[int]:
        """Return the tokens of the nearest edges: every value from low to high has them."""
        floors = [n for n, edge in enumerate(self.floors) if low is not None and edge <= low]
        ceilings = [n for n, edge in enumerate(self.ceilings) if high is not None and high < edge]
        tokens = [self.base + floors[-1]] if floors else []
        return tokens + ([self.base + _CEILINGS + ceilings[0]] if ceilings else [])


# The edges are frequent values of the filters, and values that split the catalogue into useful shares.
# Each token of a movie is one more entry in the index.
_YEARS = TokenRange(
    "release_year",
    100,
    floors=(1970, 1980, 1990, 2000, 2005, 2010, 2015, 2020, 2023, 2025),
    ceilings=(1930, 1950, 1960, 1970, 1980, 1990, 2000, 2010),
)
_RUNTIMES = TokenRange("runtime", 200, floors=(60, 90, 120, 150), ceilings=(10, 20, 40, 60, 90))
_RATINGS = TokenRange("vote_average", 300, floors=(0.5, 5, 6, 7, 8, 8.5), ceilings=(0.5, 5))
_VOTES = TokenRange("vote_count", 400, floors=(1, 10, 50, 100, 1000))
_POPULARITY = TokenRange("popularity", 500, floors=(0.6, 1.4, 3, 10, 50))
_RANGES = (_YEARS, _RUNTIMES, _RATINGS, _VOTES, _POPULARITY)
# Two language codes may share a token.
_LANGUAGES = 1000

#: The tokens of a movie as an array. Those of unknown values are null, which no query looks for.
SEARCH_TOKENS = Func(
    *(expression for token_range in _RANGES for expression in token_range.expressions),
    Func(
        F("original_language"),
        template=f"{_LANGUAGES} + ascii(NULLIF(%(expressions)s, '')) * 128"
        " + ascii(substr(%(expressions)s, 2))",
        output_field=IntegerField(),
    ),
    template="(ARRAY[%(expressions)s])",
    output_field=ArrayField(IntegerField()),
)

# The query parameters that bound each column from below and from above.
_BOUNDS = {
    _YEARS: (("year", "year_gte"), ("year", "year_lte")),
    _RUNTIMES: (("min_runtime",), ("max_runtime",)),
    _RATINGS: (("min_rating",), ("max_rating",)),
    _VOTES: (("min_votes",), ()),
    _POPULARITY: (("min_popularity",), ()),
}


def build_token_condition(params: Mapping[str, Any]) -> Q:
    """Return a condition on SEARCH_TOKENS that all movies passing validated MovieFilters meet.

    It only narrows the search in the index: the columns themselves must still be compared.
    """
    tokens = []
    for token_range, (lows, highs) in _BOUNDS.items():
        low = max((params[name] for name in lows if name in params), default=None)
        high = min((params[name] for name in highs if name in params), default=None)
        tokens += token_range.find_tokens(low, high)
    if "language" in params:
        code = params["language"].lower()
        tokens.append(_LANGUAGES + ord(code[0]) * 128 + ord(code[1]))
    return Q(ArrayContains(SEARCH_TOKENS, tokens)) if tokens else Q()
