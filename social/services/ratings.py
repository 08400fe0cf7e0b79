"""Writes of ratings.

Each locks its rating or playlist before it looks at it, and a film's counters last. Rows that are
only referred to are locked FOR KEY SHARE, which stands in nobody's way but a deletion's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from movies.models import Movie
from movies.services.ratings import TREND_HALF_LIFE_DAYS, compute_log_weight, movie_apply_rating
from nexus.core.api.exceptions import NotFound, Problem
from nexus.core.db.raw_sql import Columns, prepared_rows
from social.models import Rating
from social.services.locks import require_member_and_movie

# How often a rating that is withdrawn while it is being replaced is tried again.
_ATTEMPTS = 5


@dataclass(frozen=True)
class RatingSet:
    rating: Rating
    created: bool


@transaction.atomic
def rating_set(
    *,
    user_id: int,
    movie_id: int,
    score: float,
    review: str | None = None,
    contains_spoilers: bool | None = None,
    keep_in_watchlist: bool = False,
) -> RatingSet:
    """A member's rating of a film, new or replaced; a replaced one keeps what is None.

    It takes the film off the member's watchlist, unless told to keep it there. Raises
    ValidationError (400) on `movie` for an unknown film.
    """
    rating = Rating(
        user_id=user_id,
        movie_id=movie_id,
        score=score,
        review=review or "",
        contains_spoilers=bool(contains_spoilers),
        created_at=(now := timezone.now()),
        updated_at=now,
    )
    for _ in range(_ATTEMPTS):
        made_id, known = _rating_insert(rating, keep_in_watchlist=keep_in_watchlist)
        if made_id is not None:
            rating.id = made_id
            rating.movie = _shown(
                rating, movie_apply_rating(movie_id=movie_id, old_score=None, new_score=score)
            )
            return RatingSet(rating, created=True)
        if known is not None:
            _rating_write(known, score=score, review=review, contains_spoilers=contains_spoilers)
            return RatingSet(known, created=False)
    raise Problem(409, "conflict", "This rating is being changed elsewhere. Try again.")


@transaction.atomic
def rating_update(
    *,
    rating_id: int,
    score: float | None = None,
    review: str | None = None,
    contains_spoilers: bool | None = None,
) -> Rating:
    """Change what is not None of a rating. Raises NotFound where it is gone."""
    rating = Rating.objects.select_for_update().filter(id=rating_id).first()
    if rating is None:
        raise NotFound
    _rating_write(rating, score=score, review=review, contains_spoilers=contains_spoilers)
    return rating


@transaction.atomic
def rating_delete(*, rating_id: int) -> None:
    """Withdraw a rating. Raises NotFound where it is gone."""
    rating = Rating.objects.select_for_update().filter(id=rating_id).first()
    if rating is None:
        raise NotFound
    rating.delete()
    movie_apply_rating(movie_id=rating.movie_id, old_score=rating.score, new_score=None)


@transaction.atomic
def ratings_recount(*, movie_ids: Sequence[int] | None = None) -> int:
    """Recompute films' rating counters and trends from their ratings; how many were off.

    For imports, which write ratings past the services. All films where `movie_ids` is None.
    """
    every = movie_ids is None
    films = "" if every else "WHERE movie.id = ANY(%(movie_ids)s)"
    ratings = "" if every else "WHERE rating.movie_id = ANY(%(movie_ids)s)"
    params: dict[str, Any] = {"movie_ids": None if movie_ids is None else list(movie_ids)}
    unix = datetime.fromtimestamp(0, UTC)
    for column, half_life_days in TREND_HALF_LIFE_DAYS.items():
        # A position is linear in time, so its value at the Unix epoch and its slope are all of it.
        params[f"{column}_start"] = compute_log_weight(half_life_days, unix)
        params[f"{column}_slope"] = 1 / 86_400 / half_life_days
    with connection.cursor() as cursor:
        # A whole catalogue takes longer than a request may.
        cursor.execute("SET LOCAL statement_timeout = '10min'; SET LOCAL lock_timeout = '1min'")
        # Locked first, so that a rating made meanwhile is either seen below or added after.
        cursor.execute(
            f"SELECT count(*) FROM (SELECT id FROM movies_movie AS movie {films}"  # noqa: S608
            " ORDER BY id FOR NO KEY UPDATE) AS locked",
            params,
        )
        cursor.execute(_RECOUNT.format(films=films, ratings=ratings), params)
        return int(cursor.rowcount)


# The trend of movies.services for all ratings at once: log2(sum(2^position)), with the
# greatest position taken out so that the powers stay within a double.
# Materialized, because without statistics (a first import) the planner would compute the sums again
# for every film.
_RECOUNT = """
    WITH found AS MATERIALIZED (
        SELECT movie_id,
               count(*) AS rating_count,
               sum(score) AS rating_sum,
               max(day_top) + ln(sum(power(2, greatest(day - day_top, -200)))) / ln(2)
                   AS trend_day,
               max(week_top) + ln(sum(power(2, greatest(week - week_top, -200)))) / ln(2)
                   AS trend_week
        FROM (
            SELECT movie_id, score, day, week,
                   max(day) OVER film AS day_top,
                   max(week) OVER film AS week_top
            FROM (
                SELECT rating.movie_id, rating.score,
                       %(trend_day_start)s::float8 + %(trend_day_slope)s::float8
                           * extract(epoch FROM rating.created_at)::float8 AS day,
                       %(trend_week_start)s::float8 + %(trend_week_slope)s::float8
                           * extract(epoch FROM rating.created_at)::float8 AS week
                FROM social_rating AS rating
                {ratings}
            ) AS placed
            WINDOW film AS (PARTITION BY movie_id)
        ) AS topped
        GROUP BY movie_id
    ),
    now AS MATERIALIZED (
        SELECT movie.id,
               coalesce(found.rating_count, 0) AS rating_count,
               coalesce(found.rating_sum, 0) AS rating_sum,
               found.trend_day,
               found.trend_week
        FROM movies_movie AS movie
        LEFT JOIN found ON found.movie_id = movie.id
        {films}
    )
    UPDATE movies_movie AS target
    SET rating_count = now.rating_count,
        rating_sum = now.rating_sum,
        trend_day = now.trend_day,
        trend_week = now.trend_week
    FROM now
    WHERE target.id = now.id
      AND (target.rating_count, target.rating_sum, target.trend_day, target.trend_week)
          IS DISTINCT FROM (now.rating_count, now.rating_sum, now.trend_day, now.trend_week)
"""


_RATING = Columns(Rating, "known")
# What a rating refers to is kept from deletion, and a rating that is there already is locked. Who
# waits for a rival's commit here finds nothing and has made nothing, and tries again.
_INSERT = f"""
WITH member AS MATERIALIZED (SELECT id FROM accounts_user WHERE id = %(user)s::bigint FOR KEY SHARE),
film AS MATERIALIZED (SELECT id FROM movies_movie WHERE id = %(movie)s::bigint FOR KEY SHARE),
known AS MATERIALIZED (
    SELECT * FROM social_rating
    WHERE user_id = %(user)s::bigint AND movie_id = %(movie)s::bigint FOR UPDATE
),
unlisted AS (
    DELETE FROM social_watchlistitem
    WHERE user_id = %(user)s::bigint AND movie_id = %(movie)s::bigint AND %(unlist)s::boolean
),
made AS (
    INSERT INTO social_rating
        (user_id, movie_id, score, review, contains_spoilers, created_at, updated_at)
    SELECT member.id, film.id, %(score)s::float8, %(review)s::text, %(spoilers)s::boolean,
        %(now)s::timestamptz, %(now)s::timestamptz
    FROM member, film WHERE NOT EXISTS (SELECT FROM known)
    ON CONFLICT (user_id, movie_id) DO NOTHING RETURNING id
)
SELECT (SELECT id FROM member), (SELECT id FROM film), (SELECT id FROM made), {_RATING.sql}
FROM (SELECT) AS one LEFT JOIN known ON true
""".encode()  # noqa: S608 (column names of our own)


def _rating_insert(rating: Rating, *, keep_in_watchlist: bool) -> tuple[int | None, Rating | None]:
    """The new row's id, or the rating that is there already, locked; neither after a rival's commit.

    Raises as lock_member_and_movie does.
    """
    [(member_id, movie_id, made_id, *known)] = prepared_rows(
        _INSERT,
        {
            "user": rating.user_id,
            "movie": rating.movie_id,
            "score": rating.score,
            "review": rating.review,
            "spoilers": rating.contains_spoilers,
            "now": rating.created_at,
            "unlist": not keep_in_watchlist,
        },
    )
    require_member_and_movie(member_id is not None, movie_id is not None, rating.movie_id)
    return made_id, None if known[0] is None else _RATING.instance(known)


_UPDATE = b"""
UPDATE social_rating SET score = %s::float8, review = %s::text, contains_spoilers = %s::boolean,
    reviewed_at = %s::timestamptz, updated_at = %s::timestamptz
WHERE id = %s::bigint RETURNING id
"""


def _rating_write(
    rating: Rating, *, score: float | None, review: str | None, contains_spoilers: bool | None
) -> None:
    """Change a locked rating and what follows from its score; its film comes with it."""
    old = rating.score
    now = timezone.now()
    if score is not None:
        rating.score = score
    if review is not None:
        if not review:
            rating.reviewed_at = None
        elif not rating.review:
            rating.reviewed_at = now
        rating.review = review
    if contains_spoilers is not None:
        rating.contains_spoilers = contains_spoilers
    rating.updated_at = now
    written = [rating.score, rating.review, rating.contains_spoilers, rating.reviewed_at, now]
    prepared_rows(_UPDATE, [*written, rating.id])
    film = None
    if rating.score != old:
        film = movie_apply_rating(movie_id=rating.movie_id, old_score=old, new_score=rating.score)
    rating.movie = _shown(rating, film)


def _shown(rating: Rating, film: Movie | None) -> Movie:
    """The rating's film as it is shown."""
    return film or Movie.objects.summaries().get(id=rating.movie_id)
