"""Which films of the catalogue somebody else's file means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import Q

from movies import search
from movies.dto import MovieReference
from movies.models import Movie
from nexus.core.text import split_words

MAX_CANDIDATES = 10
# How many films of one title are looked at; beyond that a title alone says nothing.
_LOOKED_AT = 50
_WORDS_LOOKED_AT = 2000
_ARTICLE_BEHIND = re.compile(r"^(.+), (the|a|an)$", re.IGNORECASE)


@dataclass(frozen=True)
class ReferenceMatch:
    """The one film that is meant, or those that may be, the likeliest first; neither for none."""

    movie_id: int | None = None
    candidates: tuple[int, ...] = ()


class _Film(NamedTuple):
    id: int
    tmdb_id: int | None
    imdb_id: str | None
    title: str
    original_title: str
    sort_title: str
    year: int | None
    votes: int


_COLUMNS = [
    "id",
    "tmdb_id",
    "imdb_id",
    "title",
    "original_title",
    "sort_title",
    "release_year",
    "vote_count",
]


def match_references(references: Sequence[MovieReference]) -> list[ReferenceMatch]:
    """What each reference means, in order, in three queries at most, one of which is told its bound before.

    Ids come first. A title is compared as search folds it (no accents, case, punctuation or leading
    English article, & as and), with the title and the original title; it means a film when that is
    the only one of its title and year. Where several are, or the only one is of the year before or
    after, or of no known year, those are candidates. A film whose ids are others is never meant.
    """
    by_id = _Index(_with_ids(references))
    matches = [by_id.match(reference) for reference in references]
    for films_of in (_titled, _originally_titled):
        left = [place for place, match in enumerate(matches) if match == ReferenceMatch()]
        if not left:
            break
        found = films_of([references[place] for place in left])
        for place, films in zip(left, found, strict=True):
            matches[place] = _by_title(references[place], films)
    return matches


def _with_ids(references: Sequence[MovieReference]) -> list[_Film]:
    tmdb_ids = {each.tmdb_id for each in references if each.tmdb_id}
    imdb_ids = {each.imdb_id for each in references if each.imdb_id}
    own_ids = {each.movie_id for each in references if each.movie_id}
    if not (tmdb_ids or imdb_ids or own_ids):
        return []
    named = Q(tmdb_id__in=tmdb_ids) | Q(imdb_id__in=imdb_ids) | Q(id__any=own_ids)
    return [_Film(*row) for row in Movie.objects.filter(named).values_list(*_COLUMNS)]


class _Index:
    """Films by each of their ids."""

    def __init__(self, films: list[_Film]) -> None:
        self._by_tmdb = {film.tmdb_id: film for film in films if film.tmdb_id}
        self._by_imdb = {film.imdb_id: film for film in films if film.imdb_id}
        self._by_own = {film.id: film for film in films}

    def match(self, reference: MovieReference) -> ReferenceMatch:
        named = [
            self._by_tmdb.get(reference.tmdb_id or 0),
            self._by_imdb.get(reference.imdb_id or ""),
        ]
        films = list(dict.fromkeys(film for film in named if film is not None))
        if len(films) == 1:
            return ReferenceMatch(films[0].id)
        if films:
            # The two ids name two films; which is meant is for a person to say.
            return ReferenceMatch(candidates=tuple(film.id for film in films))
        # Another instance's id of the same number is of another film.
        own = self._by_own.get(reference.movie_id or 0)
        if own is not None and own.title == reference.title and own.year == reference.year:
            return ReferenceMatch(own.id)
        return ReferenceMatch()


def _titled(references: Sequence[MovieReference]) -> list[list[_Film]]:
    """The films of each reference's title, of its year or one beside it, or of no year."""
    sought = [
        (place, key, reference.year)
        for place, reference in enumerate(references)
        for key in _keys(reference.title)
    ]
    return _looked_up("movie.sort_title = sought.key", sought, len(references))


def _originally_titled(references: Sequence[MovieReference]) -> list[list[_Film]]:
    """The same by original title, through the search words."""
    sought = [
        (
            place,
            f"{search.build_whole_words_tsquery(reference.title, weights='AB')}",
            reference.year,
        )
        for place, reference in enumerate(references)
        if split_words(reference.title)
    ]
    with transaction.atomic(), connection.cursor() as cursor:
        # Of a title all of whose words are in countless films, some of these films will do.
        cursor.execute("SET LOCAL gin_fuzzy_search_limit = %s", [_WORDS_LOOKED_AT])
        found = _looked_up("movie.search_vector @@ sought.key::tsquery", sought, len(references))
        cursor.execute("SET LOCAL gin_fuzzy_search_limit = 0")
    return [
        [film for film in films if split_words(film.original_title) == split_words(reference.title)]
        for reference, films in zip(references, found, strict=True)
    ]


def _looked_up(
    condition: str, sought: Sequence[tuple[int, str, int | None]], count: int
) -> list[list[_Film]]:
    """For each place, the films that meet the condition on its keys; _LOOKED_AT of each key."""
    films: list[dict[int, _Film]] = [{} for _ in range(count)]
    if sought:
        places, keys, years = zip(*sought, strict=True)
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT sought.place, {', '.join(f'movie.{name}' for name in _COLUMNS)}"  # noqa: S608
                " FROM unnest(%s::int[], %s::text[], %s::int[]) AS sought (place, key, year),"
                " LATERAL (SELECT * FROM movies_movie AS movie"
                f" WHERE {condition} AND (sought.year IS NULL OR movie.release_year IS NULL"
                " OR movie.release_year BETWEEN sought.year - 1 AND sought.year + 1)"
                " LIMIT %s) AS movie",
                [list(places), list(keys), list(years), _LOOKED_AT],
            )
            for place, *row in cursor.fetchall():
                films[place][row[0]] = _Film(*row)
    return [list(each.values()) for each in films]


def _by_title(reference: MovieReference, films: Iterable[_Film]) -> ReferenceMatch:
    possible = [film for film in films if _may_be(reference, film)]
    sure = [film for film in possible if reference.year in (None, film.year)]
    if len(sure) == 1 and (reference.year is not None or len(possible) == 1):
        return ReferenceMatch(sure[0].id)
    ranked = sorted(possible, key=lambda film: (film.year != reference.year, -film.votes, film.id))
    return ReferenceMatch(candidates=tuple(film.id for film in ranked[:MAX_CANDIDATES]))


def _may_be(reference: MovieReference, film: _Film) -> bool:
    same_tmdb = None in (reference.tmdb_id, film.tmdb_id) or reference.tmdb_id == film.tmdb_id
    same_imdb = None in (reference.imdb_id, film.imdb_id) or reference.imdb_id == film.imdb_id
    return same_tmdb and same_imdb


def _keys(title: str) -> list[str]:
    """The sort titles that a title may have been stored under."""
    behind = _ARTICLE_BEHIND.match(title.strip())
    plain = behind.group(1) if behind else title
    spellings = [plain, plain.replace("&", " and "), re.sub(r"\band\b", " ", plain, flags=re.I)]
    return list(dict.fromkeys(search.make_sort_title(each) for each in spellings))
