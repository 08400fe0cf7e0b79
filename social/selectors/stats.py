"""Statistics of a member's ratings and viewings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict

from django.utils import timezone

from social.models import MAX_SCORE, MIN_SCORE, Rating
from social.queries import StatsRow, fetch_member_stats

#: Entries in the lists of genres and of directors.
TOP_LIST_LENGTH = 10
#: Entries in the lists of the highest and the lowest rated movies.
RATED_LIST_LENGTH = 5
MONTH_COUNT = 12
SCORES = [half / 2 for half in range(int(MIN_SCORE * 2), int(MAX_SCORE * 2) + 1)]
#: Ratings at the member's own average that are added to each genre's before they are compared.
PRIOR_RATINGS = 5
#: A movie is compared with the average of the other members only if at least this many rated it.
MIN_OTHERS = 5


class Streak(TypedDict):
    """Consecutive days (UTC) with a viewing; the current streak ends today or yesterday."""

    current_days: int
    longest_days: int


class Comparison(TypedDict):
    """Averages over the movies that at least MIN_OTHERS other members rated; None without any."""

    films: int
    own_average: float | None
    others_average: float | None


class MemberStats(TypedDict):
    """The fields of StatsSerializer."""

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


def get_member_stats(*, user_id: int, year: int | None = None) -> MemberStats:
    """Return a member's statistics of one year (UTC) or of all years, in two queries.

    A rated movie without a viewing counts as watched once, at the time of its rating.
    """
    rows: dict[str, list[StatsRow]] = defaultdict(list)
    for row in fetch_member_stats(
        user_id,
        start=datetime(year, 1, 1, tzinfo=UTC) if year is not None else None,
        end=datetime(year + 1, 1, 1, tzinfo=UTC) if year is not None else None,
        yesterday=timezone.now().astimezone(UTC).date() - timedelta(days=1),
        min_others=MIN_OTHERS,
        top=TOP_LIST_LENGTH,
        best=RATED_LIST_LENGTH,
        months=MONTH_COUNT,
    ):
        rows[row.kind].append(row)
    count_by_score = {float(row.key or 0): row.count for row in rows["score"]}
    total = sum(count_by_score.values())
    score_sum = sum(score * count for score, count in count_by_score.items())
    average = score_sum / total if total else 0.0
    [viewings] = rows["viewings"]
    minutes = int(viewings.total or 0)
    highest_rated, lowest_rated = _read_ratings(rows["highest"], rows["lowest"])
    return {
        "year": year,
        "total_ratings": total,
        "average_rating": round(average, 2),
        "rating_histogram": {f"{score:.1f}": count_by_score.get(score, 0) for score in SCORES},
        "watched_count": rows["movies"][0].count,
        "viewing_count": viewings.count,
        "watch_time_minutes": minutes,
        "watch_time_hours": round(minutes / 60, 1),
        "top_genres": _rank_by_count(rows["genre"]),
        "loved_genres": _rank_by_shrunk_score(rows["genre"], average),
        "top_directors": [_summarize("name", row.key, row) for row in rows["director"]],
        "decades": [_summarize("decade", int(row.key or 0), row) for row in rows["decade"]],
        "months": [{"month": row.key, "count": row.count} for row in rows["month"]],
        "streak": {
            "current_days": rows["current_streak"][0].count,
            "longest_days": rows["longest_streak"][0].count,
        },
        "compared_with_others": _compare(own=rows["own"][0], others=rows["others"][0]),
        "highest_rated": highest_rated,
        "lowest_rated": lowest_rated,
    }


def _read_ratings(*lists: Sequence[StatsRow]) -> list[list[Rating]]:
    """Return the ratings that the keys of each list name, in one query for all lists."""
    id_lists = [[int(row.key or 0) for row in rows] for rows in lists]
    ratings = Rating.objects.with_movie().in_bulk({pk for ids in id_lists for pk in ids})
    return [[ratings[pk] for pk in ids if pk in ratings] for ids in id_lists]


def _summarize(name: str, value: Any, row: StatsRow) -> dict[str, Any]:
    return {name: value, "count": row.count, "average_score": round(row.average, 2)}


def _rank_by_count(genres: Sequence[StatsRow]) -> list[dict[str, Any]]:
    ranked = sorted(genres, key=lambda row: (-row.count, -row.average, row.key))
    return [_summarize("genre", row.key, row) for row in ranked[:TOP_LIST_LENGTH]]


def _rank_by_shrunk_score(genres: Sequence[StatsRow], average: float) -> list[dict[str, Any]]:
    """Rank genres by their average, shrunk towards the member's own average.

    PRIOR_RATINGS ratings at the member's average are added to each genre, so that a single movie
    with five stars does not make its genre the first.
    """
    shrunk_scores = {
        row.key: ((row.total or 0.0) + PRIOR_RATINGS * average) / (row.count + PRIOR_RATINGS)
        for row in genres
    }
    ranked = sorted(genres, key=lambda row: (-shrunk_scores[row.key], -row.count, row.key))
    return [
        {
            **_summarize("genre", row.key, row),
            "shrunk_score": round(shrunk_scores[row.key], 2),
        }
        for row in ranked[:TOP_LIST_LENGTH]
    ]


def _compare(*, own: StatsRow, others: StatsRow) -> Comparison:
    return {
        "films": own.count,
        "own_average": round(own.average, 2) if own.count else None,
        "others_average": round(others.average, 2) if own.count else None,
    }
