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

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.fields.array import ArrayContains  # type: ignore[attr-defined]
from django.db.models import F, Func, IntegerField, Q

from movies.dto import FIRST_YEAR, LAST_YEAR
from nexus.core.text import MAX_WORD_LENGTH, split_words

# --- Words ----------------------------------------------------------------------------------------

# One absurd cast list must not fill an index page.
MAX_WORDS = 400
MAX_QUERY_WORDS = 20
TITLE, OTHER_TITLE, PEOPLE = "A", "B", "C"
# Each word's prefixes up to this length are lexemes of their own. For a query of one letter, PostgreSQL
# would otherwise gather half of the catalogue from all words that begin with it.
MAX_PREFIX = 4
# Mark a lexeme as a prefix, and as a whole title. No word contains them.
_PREFIX_MARK = "^"
_TITLE_MARK = "="
MAX_TITLE_KEY_LENGTH = 200
_ARTICLES = {"the", "a", "an"}
_YEAR = re.compile(r"\(?([0-9]{4})\)?")
_AMPERSAND = re.compile(r"[&＆]|(?<=\s)\+(?=\s)")
# Scripts that write words without spaces between them: Thai to Khmer, kana, Han, and Hangul, whose
# words have endings.
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf"
    r"\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]+"
)
_ROMAN_NUMBERS = {
    roman: str(number)
    for number, roman in enumerate(
        ("ii", "iii", "iv", "", "vi", "vii", "viii", "ix", "", "xi", "xii", "xiii"), start=2
    )
    if roman
}
# The digits that people type for a number in a title: "rocky 2", "oceans 11".
_NUMBERS = _ROMAN_NUMBERS | {
    word: str(number)
    for number, word in enumerate(
        [
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
        ],
        start=1,
    )
}


def build_search_vector(
    *,
    title: str,
    original_title: str,
    people: list[str],
    translated_titles: Sequence[tuple[str, str]] = (),
) -> str:
    """Return the tsvector literal of a movie.

    `translated_titles` are languages and titles. Words of the title weigh A, of the original and
    translated titles B, of people C. A prefix of up to MAX_PREFIX letters weighs A if a word of the
    title begins with it, else D. Each whole title is a lexeme too, with the language if translated.
    """
    positions: dict[str, list[str]] = {}
    position = 0
    title_lexemes = _list_lexemes(title)
    other_titles = {other for _, other in translated_titles} - {title, original_title}
    texts = [
        (title_lexemes, TITLE),
        (
            title_lexemes if original_title == title else _list_lexemes(original_title),
            OTHER_TITLE,
        ),
        *((_list_lexemes(person), PEOPLE) for person in people),
        *((_list_lexemes(other), OTHER_TITLE) for other in sorted(other_titles)),
    ]
    for text_lexemes, weight in texts:
        for lexemes in text_lexemes:
            position += 1
            if position > MAX_WORDS:
                break
            for lexeme in lexemes:
                positions.setdefault(lexeme, []).append(f"{position}{weight}")
    title_prefixes: dict[str, None] = {}
    other_prefixes: dict[str, None] = {}
    for lexeme, lexeme_positions in positions.items():
        if _UNSPACED.match(lexeme):
            continue
        prefixes = title_prefixes if lexeme_positions[0][-1] == TITLE else other_prefixes
        for length in range(1, MAX_PREFIX + 1):
            prefixes[lexeme[:length]] = None
    # A lexeme without a position would match queries of any weight.
    return " ".join(
        [f"'{lexeme}':{','.join(placed)}" for lexeme, placed in positions.items()]
        + [f"'{_PREFIX_MARK}{prefix}':1{TITLE}" for prefix in title_prefixes]
        + [
            f"'{_PREFIX_MARK}{prefix}':1"
            for prefix in other_prefixes
            if prefix not in title_prefixes
        ]
        + [f"'{lexeme}':1{TITLE}" for lexeme in _list_title_lexemes(title, translated_titles)]
    )


def build_tsquery(text: str, *, weights: str = "") -> str | None:
    """Return the tsquery literal for all words of a text, the last one as a prefix.

    `weights` restricts the match to words of these weights. Prefixes know only "A" (the title).
    Returns None if the text has no words.
    """
    words = _split_query(text)
    if not words:
        return None
    *whole, last = words
    suffix = f":{weights}" if weights else ""
    if _UNSPACED.match(last):
        prefix = f"'{last}'{suffix}"
    elif len(last) <= MAX_PREFIX:
        prefix = f"'{_PREFIX_MARK}{last}'{suffix}"
    else:
        prefix = f"'{last}':*{weights}"
    return " & ".join([*(f"'{word}'{suffix}" for word in whole), prefix])


def build_ranking_tsquery(text: str) -> str:
    """Return the tsquery literal that ranks the movies found by `build_tsquery`.

    The last word counts most if it is a whole word. A prefix counts once, however many words of the
    movie begin with it.
    """
    *whole, last = _split_query(text)
    prefix = f"'{_PREFIX_MARK}{last}'" if len(last) <= MAX_PREFIX else f"'{last}':*"
    return " & ".join([*(f"'{word}'" for word in whole), f"('{last}' | {prefix})"])


def build_title_tsquery(text: str, language: str | None = None) -> str:
    """Return the tsquery literal for the movies whose whole title is the text, also in a language."""
    key = _make_title_key(text)
    query = f"'{_TITLE_MARK}{key}'"
    return f"{query} | '{_TITLE_MARK}{language}:{key}'" if language else query


def build_whole_words_tsquery(text: str, *, weights: str) -> str:
    """Return the tsquery literal for all words of a text, whole, with any of the weights."""
    unique = dict.fromkeys(_split_query(text))
    return " & ".join(f"'{word}':{weights}" for word in unique)


def split_year(text: str) -> tuple[str, int | None]:
    """Return the words of a text without the year beside them, and the year: `dune 1984`.

    The year is None if the text has no other word.
    """
    words = text.split()
    for position in range(len(words) - 1, -1, -1):
        match = _YEAR.fullmatch(words[position])
        rest = " ".join(words[:position] + words[position + 1 :])
        if match and FIRST_YEAR <= int(match[1]) <= LAST_YEAR and split_words(rest):
            return rest, int(match[1])
    return text, None


def make_sort_title(title: str) -> str:
    """Return the folded words of a title without a leading English article."""
    return " ".join(_drop_article(split_words(title)))[:600] or title[:600]


def _list_title_lexemes(title: str, translated_titles: Sequence[tuple[str, str]]) -> list[str]:
    """Return the lexemes of the whole title and of its translations. Words contain no colon."""
    title_key = _make_title_key(title)
    lexemes = [f"{_TITLE_MARK}{title_key}"] if title_key else []
    for language, translated in translated_titles:
        key = _make_title_key(translated)
        if key and key != title_key:
            lexemes.append(f"{_TITLE_MARK}{language}:{key}")
    return list(dict.fromkeys(lexemes))


def _make_title_key(title: str) -> str:
    """Return a title without spaces, and with its Roman numbers in digits.

    `Spider-Man` and `spiderman` have the same key, and so do `Rocky II` and `rocky 2`.
    """
    first, *others = _drop_article(split_words(_spell_ampersands(title))) or [""]
    key = first + "".join(_ROMAN_NUMBERS.get(word, word) for word in others)
    return key[:MAX_TITLE_KEY_LENGTH]


def _drop_article(words: list[str]) -> list[str]:
    return words[1:] if len(words) > 1 and words[0] in _ARTICLES else words


def _spell_ampersands(text: str) -> str:
    """Replace each & between words by "and"."""
    parts = _AMPERSAND.split(text)
    return " and ".join(part for part in parts if split_words(part)) if len(parts) > 1 else text


def _list_lexemes(text: str) -> list[list[str]]:
    """Return the lexemes of each word of a text: the word, and other spellings of it.

    `Spider-Man` is also found as spiderman, `Alien³` as alien3 and `Rocky II` as rocky 2. A word of a
    script without spaces has a lexeme for each letter and for each two letters.
    """
    lexemes: list[list[str]] = []
    for token in _spell_ampersands(text).split():
        words = split_words(token)
        first = len(lexemes)
        for word in words:
            for part in _split_scripts(word):
                if _UNSPACED.match(part):
                    lexemes += [
                        [part[at], part[at : at + 2]] if at + 1 < len(part) else [part[at]]
                        for at in range(len(part))
                    ]
                    continue
                if part.isdigit() and lexemes and not _UNSPACED.match(lexemes[-1][0]):
                    lexemes[-1].append(lexemes[-1][0] + part)
                lexemes.append([part, _NUMBERS[part]] if part in _NUMBERS else [part])
        if len(words) > 1 and not _UNSPACED.search(joined := "".join(words)):
            lexemes[first].append(joined)
    return [
        list(dict.fromkeys(lexeme[:MAX_WORD_LENGTH] for lexeme in spellings))
        for spellings in lexemes
    ]


def _split_query(text: str) -> list[str]:
    """Return the words to look for, at most MAX_QUERY_WORDS.

    A word of a script without spaces is looked for as its pairs of letters.
    """
    words: list[str] = []
    for word in split_words(_spell_ampersands(text)):
        for part in _split_scripts(word):
            if _UNSPACED.match(part) and len(part) > 1:
                words += [part[at : at + 2] for at in range(len(part) - 1)]
            else:
                words.append(part)
    return words[:MAX_QUERY_WORDS]


def _split_scripts(word: str) -> list[str]:
    """Return the parts of a word in scripts with and without spaces."""
    if word.isascii():
        return [word]
    parts = []
    end = 0
    for run in _UNSPACED.finditer(word):
        parts += [word[end : run.start()], run[0]]
        end = run.end()
    return [part for part in (*parts, word[end:]) if part]


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
    if "original_language" in params:
        code = params["original_language"].lower()
        tokens.append(_LANGUAGES + ord(code[0]) * 128 + ord(code[1]))
    return Q(ArrayContains(SEARCH_TOKENS, tokens)) if tokens else Q()
