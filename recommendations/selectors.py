"""Reads of the catalogue that the recommender shares: rows of movies, people, and what may be shown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import BooleanField
from django.db.models.expressions import RawSQL
from psycopg.pq import Format

from accounts.models import User
from movies.models import Credit, Movie, MovieQuerySet
from nexus.core.db.raw_sql import prepared_rows, rows_in_binary
from recommendations.algorithms.similarity import DIRECTOR, LEAD, People
from social.models import Rating, Viewing

# A member's newest ratings; older ones say little more and would cost without end.
HISTORY_LIMIT = 1000
# How deep a feed goes.
FEED_DEPTH = 300
LEADS = 4

COLUMNS = (
    "id",
    "title",
    "genres",
    "release_year",
    "weighted_rating",
    "rating_count",
    "vote_count",
    "vote_average",
)


_MOVIE_ROWS_SQL = f"""
SELECT {", ".join(COLUMNS)} FROM movies_movie WHERE id = ANY(%s::bigint[]) ORDER BY id
""".encode()  # noqa: S608 (column names of our own)


@dataclass(frozen=True)
class MovieRow:
    """The columns of a movie that scoring and its evidence need."""

    id: int
    title: str
    genres: list[str]
    release_year: int | None
    weighted_rating: float
    rating_count: int
    vote_count: int
    vote_average: float


def movie_rows(movie_ids: Iterable[int]) -> list[MovieRow]:
    """The rows of the movies that exist, by id."""
    found = prepared_rows(_MOVIE_ROWS_SQL, [list(movie_ids)], form=Format.BINARY)
    return [MovieRow(*row) for row in found]


# Movies beside one: those named, some by its leading people, and the most rated of all its genres.
FROM_PEOPLE = FROM_KIND = 200
_PEOPLES_MOVIES = 500
_BESIDE_SQL = f"""
WITH own AS MATERIALIZED (
    SELECT person_id FROM movies_credit
    WHERE movie_id = %(movie)s::bigint AND position < {LEADS}
),
theirs AS MATERIALIZED (
    SELECT movie_id FROM own CROSS JOIN LATERAL (
        SELECT movie_id FROM movies_credit
        WHERE person_id = own.person_id AND position < {LEADS} LIMIT {_PEOPLES_MOVIES}
    ) AS credit
    LIMIT {_PEOPLES_MOVIES}
),
kind AS MATERIALIZED (
    SELECT id FROM movies_movie
    WHERE %(genres)s::jsonb <> '[]' AND genres @> %(genres)s::jsonb
    ORDER BY rating_count DESC, id LIMIT {FROM_KIND}
),
chosen AS MATERIALIZED (
    SELECT %(movie)s::bigint AS id UNION SELECT unnest(%(named)s::bigint[])
    UNION (SELECT DISTINCT movie_id FROM theirs ORDER BY movie_id LIMIT {FROM_PEOPLE})
    UNION SELECT id FROM kind
)
SELECT {", ".join(f"movie.{column}" for column in COLUMNS)}
FROM chosen JOIN movies_movie AS movie ON movie.id = chosen.id ORDER BY movie.id
"""  # noqa: S608 (numbers and column names of our own)


def rows_beside(movie: Movie, named: Iterable[int]) -> list[MovieRow]:
    """The movie itself, those named, and others that share leading people or all genres, by id."""
    asked = {"movie": movie.pk, "named": list(named), "genres": json.dumps(movie.genres)}
    # Planned each time: genres may be those of a third of all movies, or of this one alone.
    return [MovieRow(*row) for row in rows_in_binary(_BESIDE_SQL, asked)]


_LEADS_SQL = b"""
SELECT movie_id, person_id, role FROM movies_credit
WHERE movie_id = ANY(%s::bigint[]) AND position < %s::int
"""


def people_of(movie_ids: Sequence[int]) -> dict[int, People]:
    """The directors and leads of movies with the weight of their credit, in one query."""
    people: dict[int, dict[int, float]] = {movie_id: {} for movie_id in movie_ids}
    for movie_id, person_id, role in prepared_rows(_LEADS_SQL, [list(movie_ids), LEADS]):
        weight = DIRECTOR if role == Credit.Role.DIRECTOR else LEAD
        people[movie_id][person_id] = max(weight, people[movie_id].get(person_id, 0.0))
    return dict(people)


# What a member does not want to be shown. Read once a query and kept as a hash: asking the tables for
# each movie, as NOT EXISTS does, takes twice as long to plan, to run and for Django to write.
_JUDGED = (
    "SELECT movie_id FROM social_rating WHERE user_id = %s",
    # A movie of which the member wants less is not wanted itself either.
    "SELECT movie_id FROM recommendations_feedback WHERE user_id = %s AND kind <> 'more'",
)
_SEEN = "SELECT movie_id FROM social_viewing WHERE user_id = %s"
_PLANNED = "SELECT movie_id FROM social_watchlistitem WHERE user_id = %s"


def unjudged(movies: MovieQuerySet, user: User) -> MovieQuerySet:
    """Of these movies those that a member has neither rated nor waved away."""
    return _without(movies, [user], _JUDGED)


def recommendable(
    movies: MovieQuerySet, user: User, *, include_watchlist: bool = True
) -> MovieQuerySet:
    """Of these movies those that a member may be shown: unjudged, unseen, and as asked unplanned."""
    planned = () if include_watchlist else (_PLANNED,)
    return _without(movies, [user], (*_JUDGED, _SEEN, *planned))


def recommendable_to_group(movies: MovieQuerySet, users: Sequence[User]) -> MovieQuerySet:
    """Return those of these movies that none of the members has judged or seen."""
    return _without(movies, users, (*_JUDGED, _SEEN))


def seen_movies(user: User, movie_ids: Sequence[int]) -> set[int]:
    """Return which of these movies the member has rated or watched, in one query."""
    rated = Rating.objects.filter(user=user, movie_id__in=movie_ids).values_list("movie_id")
    watched = Viewing.objects.filter(user=user, movie_id__in=movie_ids).values_list("movie_id")
    return {movie_id for (movie_id,) in rated.union(watched)}


def _without(
    movies: MovieQuerySet, users: Sequence[User], unwanted: Sequence[str]
) -> MovieQuerySet:
    return movies.filter(
        RawSQL(  # noqa: S611 (the words above, and numbers)
            f"movies_movie.id NOT IN ({' UNION ALL '.join([*unwanted] * len(users))})",
            [user.pk for user in users for _ in unwanted],
            output_field=BooleanField(),
        )
    )
