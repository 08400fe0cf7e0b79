"""Reads across models that return plain data."""

from __future__ import annotations

from typing import Any, TypedDict

from django.db import connection
from django.db.models import Avg, Count, F, Sum

from movies.models import Credit
from social.models import MAX_SCORE, MIN_SCORE, Rating

TOP = 10
BEST = 5
MONTHS = 12
SCORES = [half / 2 for half in range(int(MIN_SCORE * 2), int(MAX_SCORE * 2) + 1)]


class MemberStats(TypedDict):
    """StatsSerializer's fields; the films rated highest and lowest are Ratings with their movie."""

    total_ratings: int
    average_rating: float
    rating_histogram: dict[str, int]
    watched_count: int
    watch_time_minutes: int
    watch_time_hours: float
    top_genres: list[dict[str, Any]]
    top_directors: list[dict[str, Any]]
    decades: list[dict[str, Any]]
    months: list[dict[str, Any]]
    highest_rated: list[Rating]
    lowest_rated: list[Rating]


def member_stats(*, user_id: int) -> MemberStats:
    """A member's ratings in numbers, in seven queries; a rating counts as one viewing."""
    ratings = Rating.objects.filter(user_id=user_id)
    by_score = {
        row["score"]: row
        for row in ratings.order_by()
        .values("score")
        .annotate(count=Count("id"), minutes=Sum("movie__runtime"))
    }
    total = sum(row["count"] for row in by_score.values())
    stars = sum(score * row["count"] for score, row in by_score.items())
    minutes = sum(row["minutes"] or 0 for row in by_score.values())
    return {
        "total_ratings": total,
        "average_rating": round(stars / total, 2) if total else 0.0,
        "rating_histogram": {
            f"{score:.1f}": by_score[score]["count"] if score in by_score else 0 for score in SCORES
        },
        "watched_count": total,
        "watch_time_minutes": minutes,
        "watch_time_hours": round(minutes / 60, 1),
        "top_genres": _top_genres(user_id),
        "top_directors": _top_directors(user_id),
        "decades": _decades(user_id),
        "months": _months(user_id),
        "highest_rated": list(ratings.with_movie().order_by("-score", "-created_at", "-id")[:BEST]),
        "lowest_rated": list(ratings.with_movie().order_by("score", "-created_at", "-id")[:BEST]),
    }


def _top_genres(user_id: int) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT genre, count(*), avg(rating.score)"
            " FROM social_rating AS rating"
            " JOIN movies_movie AS movie ON movie.id = rating.movie_id,"
            " jsonb_array_elements_text(movie.genres) AS genre"
            " WHERE rating.user_id = %s"
            " GROUP BY genre ORDER BY 2 DESC, 3 DESC, 1 LIMIT %s",
            [user_id, TOP],
        )
        return [
            {"genre": genre, "count": count, "average_score": round(score, 2)}
            for genre, count, score in cursor.fetchall()
        ]


def _top_directors(user_id: int) -> list[dict[str, Any]]:
    rows = (
        Credit.objects.filter(role=Credit.Role.DIRECTOR, movie__ratings__user_id=user_id)
        .order_by()
        .values("person_id", "person__name")
        .annotate(count=Count("id"), score=Avg("movie__ratings__score"))
        .order_by("-count", "-score", "person__name", "person_id")[:TOP]
    )
    return [
        {
            "name": row["person__name"],
            "count": row["count"],
            "average_score": round(row["score"], 2),
        }
        for row in rows
    ]


def _decades(user_id: int) -> list[dict[str, Any]]:
    rows = (
        Rating.objects.filter(user_id=user_id, movie__release_year__isnull=False)
        .order_by()
        .values(decade=F("movie__release_year") / 10 * 10)
        .annotate(count=Count("id"), average=Avg("score"))
        .order_by("decade")
    )
    return [
        {
            "decade": row["decade"],
            "count": row["count"],
            "average_score": round(row["average"], 2),
        }
        for row in rows
    ]


def _months(user_id: int) -> list[dict[str, Any]]:
    """The last months with a rating, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM') AS month, count(*)"
            " FROM social_rating WHERE user_id = %s GROUP BY month ORDER BY month DESC LIMIT %s",
            [user_id, MONTHS],
        )
        return [{"month": month, "count": count} for month, count in reversed(cursor.fetchall())]
