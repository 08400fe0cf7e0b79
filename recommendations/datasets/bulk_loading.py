"""Bulk loading for the importers of whole communities: movies in steps, and ratings by COPY."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from movies.dto import MovieData
from movies.models import Movie
from movies.services.upsert import movies_compare, movies_upsert
from nexus.core.db.transactions import long_transaction
from social.services.figures import ratings_recount

MOVIES_AT_ONCE = 1000


class StagedRating(NamedTuple):
    """A rating to write; `at` is when it was made and last changed."""

    user_id: int
    movie_id: int
    score: float
    review: str
    at: datetime


@dataclass
class Written:
    """How many movies or ratings a load wrote, or would write in a dry run."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    #: The same movie as an earlier one of this load.
    repeated: int = 0

    def __add__(self, other: Written) -> Written:
        pairs = zip(astuple(self), astuple(other), strict=True)
        return Written(*(one + another for one, another in pairs))

    def __bool__(self) -> bool:
        """Return whether anything was written."""
        return bool(self.created or self.updated)


def movies_load(
    *,
    movies: Sequence[MovieData],
    source: Movie.Source,
    dry_run: bool,
    progress: Callable[[int, float], None] = lambda count, share: None,
) -> tuple[list[int], Written]:
    """Upsert the movies that differ, in steps that are a transaction each.

    Return the ids in the order of `movies`; in a dry run those of new movies are negative.
    """
    with long_transaction():
        compared = movies_compare(movies=movies, source=source)
    ids = {index: each.movie_id or -1 - index for index, each in enumerate(compared)}
    changed = [index for index, each in enumerate(compared) if each.changes]
    created = sum(ids[index] < 0 for index in changed)
    repeated = sum(each.duplicate_of is not None for each in compared)
    unchanged = len(movies) - len(changed) - repeated
    for start in range(0, 0 if dry_run else len(changed), MOVIES_AT_ONCE):
        step = changed[start : start + MOVIES_AT_ONCE]
        with long_transaction():
            stored = movies_upsert(movies=[movies[index] for index in step], source=source)
        ids |= {index: each.movie.pk for index, each in zip(step, stored, strict=True)}
        progress(start + len(step), (start + len(step)) / len(changed))
    in_order = [
        ids[index if each.duplicate_of is None else each.duplicate_of]
        for index, each in enumerate(compared)
    ]
    return in_order, Written(created, len(changed) - created, unchanged, repeated)


def ratings_stage(ratings: Sequence[StagedRating]) -> Written:
    """Copy ratings into a temporary table, and return what ratings_write would do with them.

    A stored rating that is newer stays. Needs a transaction; a member has one row for a movie.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE IF NOT EXISTS staged_rating (user_id bigint, movie_id bigint,"
            " score double precision, review text, at timestamptz) ON COMMIT DROP"
        )
        cursor.execute("TRUNCATE staged_rating")
        with cursor.copy("COPY staged_rating FROM STDIN") as copy:
            for rating in ratings:
                copy.write_row(rating)
        cursor.execute(
            """
            SELECT count(*) FILTER (WHERE rating.id IS NULL),
                   count(*) FILTER (
                       WHERE rating.updated_at <= staged.at
                         AND (rating.score, rating.updated_at) <> (staged.score, staged.at)
                   ),
                   count(*)
            FROM staged_rating staged LEFT JOIN social_rating rating USING (user_id, movie_id)
            """
        )
        created, updated, total = cursor.fetchone()
    return Written(created, updated, total - created - updated)


def ratings_write() -> None:
    """Insert the staged ratings, or update older ones."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO social_rating AS rating
                (user_id, movie_id, score, review, contains_spoilers, is_counted, created_at,
                 updated_at)
            SELECT user_id, movie_id, score, review, false,
                   member.is_active AND (member.visibility = 'public' OR member.origin = 'movielens'),
                   at, at
            FROM staged_rating JOIN accounts_user AS member ON member.id = user_id
            ON CONFLICT (user_id, movie_id) DO UPDATE
                SET score = excluded.score,
                    created_at = least(rating.created_at, excluded.created_at),
                    updated_at = excluded.updated_at
                WHERE rating.updated_at <= excluded.updated_at
                  AND (rating.score, rating.updated_at) <> (excluded.score, excluded.updated_at)
            """
        )


def movies_recount(movie_ids: Sequence[int]) -> Iterator[int]:
    """Recompute movies' counts from their ratings, in steps; yield how many are done.

    In steps, because a member who rates one of the movies meanwhile has to wait for its row.
    """
    with long_transaction(), connection.cursor() as cursor:
        # Autovacuum comes a minute later. Until then every query would be planned for empty tables.
        cursor.execute("ANALYZE movies_movie, movies_credit, movies_person, social_rating")
    for start in range(0, len(movie_ids), MOVIES_AT_ONCE):
        step = movie_ids[start : start + MOVIES_AT_ONCE]
        with long_transaction():
            ratings_recount(movie_ids=step)
        yield start + len(step)
