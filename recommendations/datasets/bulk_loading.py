"""What the importers of whole communities share: movies in steps, and ratings through COPY."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from movies.dto import MovieData
from movies.models import Movie
from movies.services.upsert import movies_upsert
from nexus.core.db.transactions import long_transaction
from social.services.figures import ratings_recount

MOVIES_AT_ONCE = 1000


class StagedRating(NamedTuple):
    """A rating to be written; the moment is both when it was made and last changed."""

    user_id: int
    movie_id: int
    score: float
    review: str
    at: datetime


@dataclass
class WrittenRatings:
    created: int = 0
    updated: int = 0
    unchanged: int = 0

    def __iadd__(self, other: WrittenRatings) -> WrittenRatings:
        self.created += other.created
        self.updated += other.updated
        self.unchanged += other.unchanged
        return self


def movies_store(*, facts: Sequence[MovieData], source: Movie.Source) -> Iterator[list[int]]:
    """Upsert movies in steps, each a transaction; yields the ids of each step's movies, in order."""
    for start in range(0, len(facts), MOVIES_AT_ONCE):
        step = facts[start : start + MOVIES_AT_ONCE]
        with long_transaction():
            stored = movies_upsert(movies=step, source=source)
        yield [each.movie.pk for each in stored]


def ratings_stage(ratings: Sequence[StagedRating]) -> WrittenRatings:
    """Lay ratings out in a temporary table, and say what ratings_write would do with them.

    Of two ratings of one member for one movie the later stands. Needs a transaction; a member or
    movie has one row at most.
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
    return WrittenRatings(created, updated, total - created - updated)


def ratings_write() -> None:
    """Move the staged ratings into the community's."""
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
    """Bring movies' counts in line with their ratings, in steps; yields how many are done.

    In steps, because a member who rates one of the movies meanwhile has to wait for its row.
    """
    with long_transaction(), connection.cursor() as cursor:
        # Autovacuum comes a minute later; until then every plan would be made for empty tables.
        cursor.execute("ANALYZE movies_movie, movies_credit, movies_person, social_rating")
    for start in range(0, len(movie_ids), MOVIES_AT_ONCE):
        step = movie_ids[start : start + MOVIES_AT_ONCE]
        with long_transaction():
            ratings_recount(movie_ids=step)
        yield start + len(step)
