"""Find the movies of the catalogue that the rows of a file mean.

A movie is looked up by ids first, then by title, then by original title. Titles that search folds to the
same words make candidates: without accents, case, punctuation or a leading English article. Only the
same title, as movies.titles says, and the same year make a match.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from django.db import connection
from django.db.models import IntegerField, Q, QuerySet, Value

from movies import search
from movies.dto import MovieReference
from movies.filters import LiteralSearchQuery
from movies.models import Movie
from movies.titles import make_title_key
from nexus.core.db.transactions import session_settings
from nexus.core.text import split_words

MAX_CANDIDATES = 10
# Bounds of one lookup. TMDb's commonest title has some 400 movies.
_MAX_ROWS_BY_TITLE = 10_000
_MAX_ROWS_BY_ORIGINAL_TITLE = 50
# PostgreSQL stops collecting the rows of an index here. Beyond it, all words of the title are too
# frequent to find a movie by.
_MAX_ROWS_OF_WORDS = "2000"
_TRAILING_ARTICLE = re.compile(r"^(.+), (the|a|an)$", re.IGNORECASE)


@dataclass(frozen=True)
class ReferenceMatch:
    """The one movie that a reference means, or the movies it may mean, the likeliest first."""

    movie_id: int | None = None
    candidates: tuple[int, ...] = ()
    #: Whether several of the candidates have all that the reference says, its title and year or ids.
    has_namesakes: bool = False


class _Candidate(NamedTuple):
    """The columns of a movie that decide whether a reference means it."""

    id: int
    tmdb_id: int | None
    imdb_id: str | None
    title: str
    original_title: str
    sort_title: str
    release_year: int | None
    vote_count: int


def match_references(references: Sequence[MovieReference]) -> list[ReferenceMatch]:
    """Return the match of each reference, in order, in three queries at most.

    A title and a year mean a movie if it is the only one that has them. If there are several, or only
    ones with another spelling, of the year before or after or of no known year, these are candidates.
    So are all movies of a title without a year, those that are not released yet first. A movie with
    another TMDb or IMDb id than the reference's is never a match.
    """
    matches = _match_by_ids(references)
    by_position: dict[int, list[_Candidate]] = {}
    for find_candidates, get_title in (
        (_find_by_title, lambda movie: movie.title),
        (_find_by_original_title, lambda movie: movie.original_title),
    ):
        unmatched = [
            position
            for position, match in enumerate(matches)
            if match.movie_id is None and not match.has_namesakes and references[position].title
        ]
        if not unmatched:
            break
        candidates = find_candidates([references[position] for position in unmatched])
        for position, movies in zip(unmatched, candidates, strict=True):
            by_position[position] = list(
                {movie.id: movie for movie in (*by_position.get(position, ()), *movies)}.values()
            )
            matches[position] = _match_by_title(
                references[position], by_position[position], get_title
            )
    return matches


def rank_candidates(
    references: Sequence[MovieReference], candidates: Sequence[Iterable[int]]
) -> list[ReferenceMatch]:
    """Return the candidates of each reference, the likeliest first and never a match, in one query."""
    ids = {movie_id for movie_ids in candidates for movie_id in movie_ids}
    if not ids:
        return [ReferenceMatch()] * len(references)
    movies = {movie.id: movie for movie in _read_candidates(Movie.objects.filter(id__in=ids))}
    ranked = []
    for reference, movie_ids in zip(references, candidates, strict=True):
        known = [movies[key] for key in dict.fromkeys(movie_ids) if key in movies]
        namesakes = [
            movie
            for movie in known
            if _is_certain(reference, movie, movie.title)
            or _is_certain(reference, movie, movie.original_title)
        ]
        ranked.append(
            ReferenceMatch(candidates=_rank(reference, known), has_namesakes=len(namesakes) > 1)
        )
    return ranked


def _match_by_ids(references: Sequence[MovieReference]) -> list[ReferenceMatch]:
    tmdb_ids = {reference.tmdb_id for reference in references if reference.tmdb_id}
    imdb_ids = {reference.imdb_id for reference in references if reference.imdb_id}
    own_ids = {reference.movie_id for reference in references if reference.movie_id}
    movies: list[_Candidate] = []
    if tmdb_ids or imdb_ids or own_ids:
        has_id = Q(tmdb_id__in=tmdb_ids) | Q(imdb_id__in=imdb_ids) | Q(id__in=own_ids)
        movies = _read_candidates(Movie.objects.filter(has_id))
    by_tmdb_id = {movie.tmdb_id: movie for movie in movies if movie.tmdb_id}
    by_imdb_id = {movie.imdb_id: movie for movie in movies if movie.imdb_id}
    by_own_id = {movie.id: movie for movie in movies}
    matches = []
    for reference in references:
        by_id = (
            by_tmdb_id.get(reference.tmdb_id or 0),
            by_imdb_id.get(reference.imdb_id or ""),
        )
        # Two ids that name two movies are for the member to decide.
        ids = tuple(dict.fromkeys(movie.id for movie in by_id if movie))
        own = by_own_id.get(reference.movie_id or 0)
        if len(ids) == 1:
            matches.append(ReferenceMatch(ids[0]))
        elif ids:
            matches.append(ReferenceMatch(candidates=ids, has_namesakes=True))
        # The same number may be another movie's id in another instance.
        elif own and (own.title, own.release_year) == (reference.title, reference.year):
            matches.append(ReferenceMatch(own.id))
        else:
            matches.append(ReferenceMatch())
    return matches


def _find_by_title(references: Sequence[MovieReference]) -> list[list[_Candidate]]:
    """Return the movies of each reference's title and of about its year."""
    sort_titles = [_make_sort_titles(reference.title) for reference in references]
    wanted = {title for titles in sort_titles for title in titles}
    by_sort_title: dict[str, list[_Candidate]] = {}
    for movie in _read_candidates(Movie.objects.filter(sort_title__in=wanted)[:_MAX_ROWS_BY_TITLE]):
        by_sort_title.setdefault(movie.sort_title, []).append(movie)
    return [
        [
            movie
            for title in titles
            for movie in by_sort_title.get(title, ())
            if _is_about_year(movie, reference.year)
        ]
        for reference, titles in zip(references, sort_titles, strict=True)
    ]


def _find_by_original_title(references: Sequence[MovieReference]) -> list[list[_Candidate]]:
    """Return the movies of each reference's original title and of about its year.

    They are found by their search words, because original titles have no index of their own.
    """
    lookups = []
    for position, reference in enumerate(references):
        if not split_words(reference.title):
            continue
        words = search.build_whole_words_tsquery(reference.title, weights="AB")
        movies = Movie.objects.filter(search_vector=LiteralSearchQuery(words))
        if reference.year is not None:
            years = (reference.year - 1, reference.year + 1)
            movies = movies.filter(Q(release_year=None) | Q(release_year__range=years))
        movies = movies.annotate(position=Value(position, output_field=IntegerField())).order_by()
        columns = movies.values_list("position", *_Candidate._fields)
        lookups.append(columns[:_MAX_ROWS_BY_ORIGINAL_TITLE])
    candidates: list[list[_Candidate]] = [[] for _ in references]
    if not lookups:
        return candidates
    with session_settings(connection, gin_fuzzy_search_limit=_MAX_ROWS_OF_WORDS):
        for position, *values in lookups[0].union(*lookups[1:], all=True):
            movie = _Candidate(*values)
            if split_words(movie.original_title) == split_words(references[position].title):
                candidates[position].append(movie)
    return candidates


def _read_candidates(movies: QuerySet[Movie]) -> list[_Candidate]:
    return [_Candidate(*row) for row in movies.values_list(*_Candidate._fields)]


def _is_about_year(movie: _Candidate, year: int | None) -> bool:
    return year is None or movie.release_year is None or abs(movie.release_year - year) <= 1


def _match_by_title(
    reference: MovieReference,
    movies: Iterable[_Candidate],
    get_title: Callable[[_Candidate], str],
) -> ReferenceMatch:
    possible = [movie for movie in movies if not _has_other_ids(movie, reference)]
    certain = [movie for movie in possible if _is_certain(reference, movie, get_title(movie))]
    if len(certain) == 1:
        return ReferenceMatch(certain[0].id)
    return ReferenceMatch(candidates=_rank(reference, possible), has_namesakes=len(certain) > 1)


def _is_certain(reference: MovieReference, movie: _Candidate, title: str) -> bool:
    """Return whether a movie with this title has the title and the year of a reference."""
    return (
        reference.year is not None
        and movie.release_year == reference.year
        and make_title_key(title) == make_title_key(reference.title)
    )


def _rank(reference: MovieReference, movies: Iterable[_Candidate]) -> tuple[int, ...]:
    """Return the likeliest movies first: of the year, or unreleased if there is none; of the title."""
    key = make_title_key(reference.title)
    ranked = sorted(
        movies,
        key=lambda movie: (
            movie.release_year != reference.year,
            key not in (make_title_key(movie.title), make_title_key(movie.original_title)),
            -movie.vote_count,
            movie.id,
        ),
    )
    return tuple(movie.id for movie in ranked[:MAX_CANDIDATES])


def _has_other_ids(movie: _Candidate, reference: MovieReference) -> bool:
    tmdb_ids = {movie.tmdb_id, reference.tmdb_id} - {None}
    imdb_ids = {movie.imdb_id, reference.imdb_id} - {None}
    return len(tmdb_ids) > 1 or len(imdb_ids) > 1


def _make_sort_titles(title: str) -> list[str]:
    """Return the sort titles that a movie of this title may be stored with."""
    match = _TRAILING_ARTICLE.match(title.strip())
    plain = match.group(1) if match else title
    spellings = [plain, plain.replace("&", " and "), re.sub(r"\band\b", " ", plain, flags=re.I)]
    return list(dict.fromkeys(search.make_sort_title(spelling) for spelling in spellings))
