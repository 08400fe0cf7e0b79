"""A member's ratings and viewings in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypedDict

from django.db import connection
from django.utils import timezone

from social.models import MAX_SCORE, MIN_SCORE, Rating

TOP = 10
BEST = 5
MONTHS = 12
SCORES = [half / 2 for half in range(int(MIN_SCORE * 2), int(MAX_SCORE * 2) + 1)]
_ENDS = ("highest", "lowest")
#: How many ratings of the member's own mean a genre's mean is mixed with.
PRIOR_RATINGS = 5
#: Other members' ratings of a film show only in an average over at least so many of them.
ENOUGH_OTHERS = 5


class Streak(TypedDict):
    """Days in a row on which a film was seen, in UTC; the current one ends today or yesterday."""

    current_days: int
    longest_days: int


class Comparison(TypedDict):
    """Means over the films that at least ENOUGH_OTHERS other members rated; None without such."""

    films: int
    own_average: float | None
    others_average: float | None


class MemberStats(TypedDict):
    """StatsSerializer's fields; the films rated highest and lowest are Ratings with their movie."""

    year: int | None
    total_ratings: int
    average_rating: float
    rating_histogram: dict[str, int]
    watched_count: int
    viewing_count: int
    watch_time_minutes: int
    watch_time_hours: float
    top_genres: list[dict[str, Any]]
    loved_genres: list[dict[str, Any]]
    top_directors: list[dict[str, Any]]
    decades: list[dict[str, Any]]
    months: list[dict[str, Any]]
    streak: Streak
    compared_with_others: Comparison
    highest_rated: list[Rating]
    lowest_rated: list[Rating]


class _Row(NamedTuple):
    """A line of _NUMBERS: of what kind, its key, how many, and the sum of their stars or minutes."""

    kind: str
    key: str | None
    number: int
    total: float | None

    @property
    def mean(self) -> float:
        assert self.total is not None
        return self.total / self.number


def get_member_stats(*, user_id: int, year: int | None = None) -> MemberStats:
    """A member's ratings and viewings in numbers, in two queries; of one year (UTC) or of all.

    A film that was rated and never noted as seen counts as seen once, when it was rated.
    """
    rows = _numbers(user_id, year)
    by_score = {float(row.key or 0): row.number for row in rows if row.kind == "score"}
    total = sum(by_score.values())
    mean = sum(score * count for score, count in by_score.items()) / total if total else 0.0
    (seen,) = (row for row in rows if row.kind == "seen")
    (films,) = (row for row in rows if row.kind == "films")
    minutes = int(seen.total or 0)
    genres = [row for row in rows if row.kind == "genre"]
    ends = {kind: [int(row.key or 0) for row in rows if row.kind == kind] for kind in _ENDS}
    ratings = Rating.objects.with_movie().in_bulk({each for ids in ends.values() for each in ids})
    highest, lowest = ([ratings[each] for each in ends[kind] if each in ratings] for kind in _ENDS)
    return {
        "year": year,
        "total_ratings": total,
        "average_rating": round(mean, 2),
        "rating_histogram": {f"{score:.1f}": by_score.get(score, 0) for score in SCORES},
        "watched_count": films.number,
        "viewing_count": seen.number,
        "watch_time_minutes": minutes,
        "watch_time_hours": round(minutes / 60, 1),
        "top_genres": _top_genres(genres),
        "loved_genres": _loved_genres(genres, mean),
        "top_directors": [
            {"name": row.key, "count": row.number, "average_score": round(row.mean, 2)}
            for row in rows
            if row.kind == "director"
        ],
        "decades": [
            {"decade": int(row.key or 0), "count": row.number, "average_score": round(row.mean, 2)}
            for row in rows
            if row.kind == "decade"
        ],
        "months": [{"month": row.key, "count": row.number} for row in rows if row.kind == "month"],
        "streak": _streak(rows),
        "compared_with_others": _comparison(rows),
        "highest_rated": highest,
        "lowest_rated": lowest,
    }


def numbers_query(user_id: int, year: int | None) -> tuple[str, dict[str, Any]]:
    """The query for all that is counted, and its parameters."""
    within = _within(year)
    params = {
        "user_id": user_id,
        "start": within.get("created_at__gte"),
        "end": within.get("created_at__lt"),
        "others": ENOUGH_OTHERS,
        "top": TOP,
        "best": BEST,
        "months": MONTHS,
        "yesterday": timezone.now().astimezone(UTC).date() - timedelta(days=1),
    }
    time = "AND {0} >= %(start)s AND {0} < %(end)s" if year is not None else ""
    return (
        _NUMBERS.format(
            rated_then=time.format("rating.created_at"), seen_then=time.format("viewing.watched_at")
        ),
        params,
    )


# Films are read once for ratings and once for viewings; all the rest works on those rows.
_NUMBERS = """
    WITH rated AS MATERIALIZED (
        SELECT rating.id, rating.movie_id, rating.score, rating.created_at,
               movie.genres, movie.runtime, movie.release_year,
               movie.rating_count - 1 AS others, movie.rating_sum - rating.score AS others_sum,
               NOT EXISTS (
                   SELECT 1 FROM social_viewing AS viewing
                   WHERE viewing.user_id = %(user_id)s AND viewing.movie_id = rating.movie_id
               ) AS only_rated
        FROM social_rating AS rating
        JOIN movies_movie AS movie ON movie.id = rating.movie_id
        WHERE rating.user_id = %(user_id)s {rated_then}
    ),
    seen AS MATERIALIZED (
        SELECT viewing.movie_id, viewing.watched_at AS at, movie.runtime
        FROM social_viewing AS viewing
        JOIN movies_movie AS movie ON movie.id = viewing.movie_id
        WHERE viewing.user_id = %(user_id)s {seen_then}
        UNION ALL
        SELECT movie_id, created_at, runtime FROM rated WHERE only_rated
    ),
    streaks AS (
        SELECT count(*) AS days, max(day) AS last_day
        FROM (
            SELECT day, day - row_number() OVER (ORDER BY day)::int AS streak
            FROM (SELECT DISTINCT (at AT TIME ZONE 'UTC')::date AS day FROM seen) AS days
        ) AS placed
        GROUP BY streak
    ),
    genre_sets AS (
        SELECT genres, count(*) AS films, sum(score) AS stars FROM rated GROUP BY genres
    ),
    directors AS (
        SELECT credit.person_id, count(*) AS films, sum(rated.score) AS stars
        FROM rated JOIN movies_credit AS credit USING (movie_id)
        WHERE credit.role = 'director'
        GROUP BY credit.person_id
    ),
    top_directors AS (
        SELECT person.name, films, stars
        FROM directors JOIN movies_person AS person ON person.id = directors.person_id
        ORDER BY films DESC, stars / films DESC, person.name, person.id LIMIT %(top)s
    ),
    months AS (
        SELECT date_trunc('month', created_at AT TIME ZONE 'UTC') AS month, count(*) AS films
        FROM rated GROUP BY 1 ORDER BY 1 DESC LIMIT %(months)s
    )
    SELECT 'score', score::text, count(*), sum(score) FROM rated GROUP BY score
    UNION ALL
    SELECT 'seen', NULL, count(*), sum(runtime) FROM seen
    UNION ALL
    SELECT 'films', NULL, count(DISTINCT movie_id), NULL FROM seen
    UNION ALL
    SELECT 'genre', genre, sum(films), sum(stars)
    FROM genre_sets, jsonb_array_elements_text(genres) AS genre GROUP BY genre
    UNION ALL
    SELECT 'director', name, films, stars FROM top_directors
    UNION ALL
    (SELECT 'decade', (release_year / 10 * 10)::text, count(*), sum(score)
     FROM rated WHERE release_year IS NOT NULL
     GROUP BY release_year / 10 ORDER BY release_year / 10)
    UNION ALL
    (SELECT 'month', to_char(month, 'YYYY-MM'), films, NULL FROM months ORDER BY month)
    UNION ALL
    (SELECT 'highest', id::text, 1, score
     FROM rated ORDER BY score DESC, created_at DESC, id DESC LIMIT %(best)s)
    UNION ALL
    (SELECT 'lowest', id::text, 1, score
     FROM rated ORDER BY score, created_at DESC, id DESC LIMIT %(best)s)
    UNION ALL
    SELECT 'longest', NULL, coalesce(max(days), 0), NULL FROM streaks
    UNION ALL
    SELECT 'current', NULL, coalesce(max(days), 0), NULL
    FROM streaks WHERE last_day >= %(yesterday)s
    UNION ALL
    SELECT 'own', NULL, count(*), sum(score) FROM rated WHERE others >= %(others)s
    UNION ALL
    SELECT 'others', NULL, count(*), sum(others_sum / others)
    FROM rated WHERE others >= %(others)s
"""


def _numbers(user_id: int, year: int | None) -> list[_Row]:
    with connection.cursor() as cursor:
        cursor.execute(*numbers_query(user_id, year))
        return [_Row(kind, key, int(n), total) for kind, key, n, total in cursor.fetchall()]


def _within(year: int | None) -> dict[str, datetime]:
    if year is None:
        return {}
    return {
        "created_at__gte": datetime(year, 1, 1, tzinfo=UTC),
        "created_at__lt": datetime(year + 1, 1, 1, tzinfo=UTC),
    }


def _top_genres(genres: Sequence[_Row]) -> list[dict[str, Any]]:
    ordered = sorted(genres, key=lambda row: (-row.number, -row.mean, row.key))
    return [
        {"genre": row.key, "count": row.number, "average_score": round(row.mean, 2)}
        for row in ordered[:TOP]
    ]


def _loved_genres(genres: Sequence[_Row], mean: float) -> list[dict[str, Any]]:
    """By the mean of a genre's ratings and of PRIOR_RATINGS more at the member's own mean.

    So that one film of five stars does not make a genre the favourite.
    """
    shrunk = {
        row.key: ((row.total or 0.0) + PRIOR_RATINGS * mean) / (row.number + PRIOR_RATINGS)
        for row in genres
    }
    ordered = sorted(genres, key=lambda row: (-shrunk[row.key], -row.number, row.key))
    return [
        {
            "genre": row.key,
            "count": row.number,
            "average_score": round(row.mean, 2),
            "shrunk_score": round(shrunk[row.key], 2),
        }
        for row in ordered[:TOP]
    ]


def _streak(rows: Sequence[_Row]) -> Streak:
    days = {row.kind: row.number for row in rows if row.kind in ("current", "longest")}
    return {"current_days": days["current"], "longest_days": days["longest"]}


def _comparison(rows: Sequence[_Row]) -> Comparison:
    own, others = (next(row for row in rows if row.kind == kind) for kind in ("own", "others"))
    return {
        "films": own.number,
        "own_average": round(own.mean, 2) if own.number else None,
        "others_average": round(others.mean, 2) if own.number else None,
    }
