"""Recommendations and match scores of many members, through the same code as the endpoints."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby, islice
from typing import TextIO, TypeVar

from django.db.models.functions import Lower

from accounts.models import User
from movies.models import Movie
from recommendations.recommender.batch import MEMBERS_AT_ONCE, Batch, BatchMember
from recommendations.recommender.feed import build_feed
from recommendations.recommender.match_score import compute_matches
from recommendations.recommender.results import Recommendation
from recommendations.training.store import Progress

Item = TypeVar("Item")

RECOMMENDATION_COLUMNS = ("username", "rank", "movie_id", "tmdb_id", "imdb_id", "match_score")
PAIR_COLUMNS = ("username", "imdb_id")


class PairsFormatError(ValueError):
    """The file of pairs cannot be read; the message says what is wrong and where."""


@dataclass(frozen=True)
class Pair:
    line: int
    username: str
    imdb_id: str


def recommendation_rows(
    users: Iterable[User], *, top: int, batch: Batch | None
) -> Iterator[list[list[object]]]:
    """Yield the rows of each member: their `top` recommendations, best first."""
    ids: dict[int, tuple[int | None, str | None]] = {}
    for chunk in _split_chunks(users, MEMBERS_AT_ONCE):
        for user, items in _recommend(batch, chunk, top):
            unknown = [item.movie_id for item in items if item.movie_id not in ids]
            for row in Movie.objects.filter(id__any=unknown).values_list(
                "id", "tmdb_id", "imdb_id"
            ):
                ids[row[0]] = (row[1], row[2])
            shown = [(item, ids[item.movie_id]) for item in items if item.movie_id in ids]
            yield [
                [user.username, rank, item.movie_id, tmdb or "", imdb or "", item.match_score]
                for rank, (item, (tmdb, imdb)) in enumerate(shown, start=1)
            ]


def _recommend(
    batch: Batch | None, users: list[User], top: int
) -> Iterator[tuple[User, list[Recommendation]]]:
    if batch is None:
        for user in users:
            yield user, build_feed(user, Movie.objects.all()).items.without_reasons(top)
        return
    for user, member in batch.members(users):
        feed = batch.feed(member) or build_feed(user, Movie.objects.all())
        yield user, feed.items.without_reasons(top)


def _split_chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


def open_batch(as_of: datetime | None, *, progress: Progress) -> Batch | None:
    """Return the active training in memory, or what was known at a moment; None without training.

    Raises TrainingError if nothing was known at that moment.
    """
    return Batch.of_active() if as_of is None else Batch.as_of(as_of, progress=progress)


def read_pairs(file: TextIO) -> list[Pair]:
    """Return the pairs of a CSV file. Raises PairsFormatError if a column is missing."""
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


def pair_scores(
    pairs: list[Pair], *, batch: Batch | None
) -> Iterator[list[tuple[Pair, float | None]]]:
    """Yield the pairs with their scores in the file's order, a run of one member's at a time.

    The score is None if the member or the movie is unknown.
    """
    runs = groupby(pairs, key=lambda pair: pair.username.lower())
    for chunk in _split_chunks(((name, list(run)) for name, run in runs), MEMBERS_AT_ONCE):
        users = {
            user.username.lower(): user
            for user in User.objects.annotate(folded=Lower("username")).filter(
                folded__in={name for name, _ in chunk}
            )
        }
        movies = dict(
            Movie.objects.filter(
                imdb_id__in={pair.imdb_id for _, run in chunk for pair in run}
            ).values_list("imdb_id", "id")
        )
        members: dict[int, BatchMember] = {}
        if batch is not None:
            members = {user.pk: member for user, member in batch.members(list(users.values()))}
        for name, run in chunk:
            user = users.get(name)
            scores: dict[int, float] = {}
            if user is not None:
                wanted = sorted({movies[pair.imdb_id] for pair in run if pair.imdb_id in movies})
                if batch is not None:
                    scores = batch.scores(members[user.pk], wanted)
                else:
                    found = compute_matches(user, wanted, explained=False)
                    scores = {match.movie_id: match.match_score for match in found}
            yield [(pair, scores.get(movies.get(pair.imdb_id, 0))) for pair in run]
