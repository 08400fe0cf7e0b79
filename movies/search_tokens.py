"""Facets: what a film is in a few coarse tokens, which one index holds beside its words.

Bitmaps of each condition's films, to be intersected, take as long to make as the most frequent
condition is frequent. Within one inverted index (GIN) the rarest leads and the others are skipped
through, so that words, genres, keywords and facets together cost what they have in common. Facets
only narrow; the columns themselves decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.fields.array import ArrayContains  # type: ignore[attr-defined]
from django.db.models import F, Func, IntegerField, Q

# The tokens of a column's ceilings begin so far behind those of its floors.
_CEILINGS = 50


@dataclass(frozen=True)
class _Ranges:
    """A column and where it is cut: a film has a token for each of the `floors` that it reaches, and
    of the `ceilings` that it stays below."""

    column: str
    base: int
    floors: tuple[float, ...]
    ceilings: tuple[float, ...] = ()

    @property
    def tokens(self) -> list[Func]:
        sides = [(">=", self.floors, self.base), ("<", self.ceilings, self.base + _CEILINGS)]
        return [
            Func(
                F(self.column),
                template=f"CASE WHEN %(expressions)s {sign} {edge:g} THEN {first + number} END",
                output_field=IntegerField(),
            )
            for sign, edges, first in sides
            for number, edge in enumerate(edges)
        ]

    def between(self, low: float | None, high: float | None) -> list[int]:
        """What all films from `low` to `high` have: the nearest edge on either side.

        However many films are there, to skip through them takes less than to look at one in fifty.
        """
        reached = [n for n, edge in enumerate(self.floors) if low is not None and edge <= low]
        kept = [n for n, edge in enumerate(self.ceilings) if high is not None and high < edge]
        above = [self.base + reached[-1]] if reached else []
        return above + ([self.base + _CEILINGS + kept[0]] if kept else [])


# At the edges people ask for, and where films part into shares worth telling apart. Each token of a
# film is one more entry of the index, which an import of a million films writes.
_YEARS = _Ranges(
    "release_year",
    100,
    floors=(1970, 1980, 1990, 2000, 2005, 2010, 2015, 2020, 2023, 2025),
    ceilings=(1930, 1950, 1960, 1970, 1980, 1990, 2000, 2010),
)
_RUNTIMES = _Ranges("runtime", 200, floors=(60, 90, 120, 150), ceilings=(10, 20, 40, 60, 90))
_RATINGS = _Ranges("vote_average", 300, floors=(0.5, 5, 6, 7, 8, 8.5), ceilings=(0.5, 5))
_VOTES = _Ranges("vote_count", 400, floors=(1, 10, 50, 100, 1000))
_POPULARITY = _Ranges("popularity", 500, floors=(0.6, 1.4, 3, 10, 50))
_RANGES = (_YEARS, _RUNTIMES, _RATINGS, _VOTES, _POPULARITY)
# Two codes may share a token.
_LANGUAGES = 1000

#: A film's tokens; those of what is unknown are null, which no list asks for.
TOKENS = Func(
    *(token for ranges in _RANGES for token in ranges.tokens),
    Func(
        F("original_language"),
        template=f"{_LANGUAGES} + ascii(NULLIF(%(expressions)s, '')) * 128"
        " + ascii(substr(%(expressions)s, 2))",
        output_field=IntegerField(),
    ),
    template="(ARRAY[%(expressions)s])",
    output_field=ArrayField(IntegerField()),
)

# The low and the high end that a list's parameters give each column.
_ENDS = {
    _YEARS: (("year", "year_gte"), ("year", "year_lte")),
    _RUNTIMES: (("min_runtime",), ("max_runtime",)),
    _RATINGS: (("min_rating",), ("max_rating",)),
    _VOTES: (("min_votes",), ()),
    _POPULARITY: (("min_popularity",), ()),
}


def narrowing(params: Mapping[str, Any]) -> Q:
    """What all films that pass these validated MovieFilters have in their tokens."""
    tokens = []
    for ranges, (lows, highs) in _ENDS.items():
        low = max((params[name] for name in lows if name in params), default=None)
        high = min((params[name] for name in highs if name in params), default=None)
        tokens += ranges.between(low, high)
    if "language" in params:
        code = params["language"].lower()
        tokens.append(_LANGUAGES + ord(code[0]) * 128 + ord(code[1]))
    return _having(tokens)


def ranging(column: str, low: Any, high: Any) -> Q:
    """What all films have in their tokens whose column lies between; nothing of other columns."""
    tokens = [
        token for each in _RANGES if each.column == column for token in each.between(low, high)
    ]
    return _having(tokens)


def _having(tokens: list[int]) -> Q:
    return Q(ArrayContains(TOKENS, tokens)) if tokens else Q()
