"""Batch answers of the engine, through the same code as the endpoints."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TextIO

from accounts.models import User
from movies.models import Movie
from recommendations import engine

RECOMMENDATION_COLUMNS = ("username", "rank", "movie_id", "tmdb_id", "imdb_id", "match_score")
PAIR_COLUMNS = ("username", "imdb_id")


class PairsFormatError(ValueError):
    """The file of pairs cannot be read; the message says what is wrong and where."""


@dataclass(frozen=True)
class Pair:
    line: int
    username: str
    imdb_id: str


def recommendation_rows(users: Iterable[User], *, top: int) -> Iterator[list[list[object]]]:
    """The rows of each member in turn: their `top` recommendations, best first."""
    for user in users:
        items = engine.feed(user, Movie.objects.all()).items[:top]
        ids = Movie.objects.only("tmdb_id", "imdb_id").in_bulk([item.movie_id for item in items])
        shown = [(item, ids[item.movie_id]) for item in items if item.movie_id in ids]
        yield [
            [user.username, rank, film.pk, film.tmdb_id or "", film.imdb_id or "", item.match_score]
            for rank, (item, film) in enumerate(shown, start=1)
        ]


def read_pairs(file: TextIO) -> list[Pair]:
    """The pairs of a CSV file. Raises PairsFormatError where a column is missing."""
    reader = csv.DictReader(file)
    missing = [name for name in PAIR_COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        expected = ",".join(PAIR_COLUMNS)
        raise PairsFormatError(
            f"The first line must name the columns {expected}; missing: {', '.join(missing)}."
        )
    return [
        Pair(reader.line_num, (row["username"] or "").strip(), (row["imdb_id"] or "").strip())
        for row in reader
    ]


def pair_scores(pairs: list[Pair]) -> Iterator[list[tuple[Pair, float | None]]]:
    """The score of each pair in the file's order, a run of one member's pairs at a time.

    None where the member or the film is unknown.
    """
    for username, run in groupby(pairs, key=lambda pair: pair.username):
        some = list(run)
        user = User.objects.filter(username__iexact=username).first()
        films = dict(
            Movie.objects.filter(imdb_id__in={pair.imdb_id for pair in some}).values_list(
                "imdb_id", "id"
            )
        )
        scores: dict[int, float] = {}
        if user is not None:
            found = engine.matches(user, sorted(set(films.values())), explained=False)
            scores = {match.movie_id: match.match_score for match in found}
        yield [(pair, scores.get(films.get(pair.imdb_id, 0))) for pair in some]
