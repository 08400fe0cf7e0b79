"""Keep each movie's rating count, rating sum and trend up to date with members' ratings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import connection
from django.utils import timezone

from movies.models import SUMMARY_FIELDS, Movie
from nexus.core.db.raw_sql import Columns, prepared_rows

# The two windows of the community's trend: the half-life of a rating's weight, in days.
TREND_HALF_LIFE_DAYS = {"trend_day": 1.0, "trend_week": 7.0}
_TREND_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)


def movie_apply_rating(
    *, movie_id: int, old_score: float | None, new_score: float | None
) -> Movie | None:
    """Move a film's rating sums and trend by one rating set, changed (`old_score`, `new_score`) or withdrawn.

    The film as a MovieSummary shows it from now on; None where it is gone.
    """
    now = timezone.now()
    positions = [
        compute_log_weight(half_life_days, now) if old_score is None else None
        for half_life_days in TREND_HALF_LIFE_DAYS.values()
    ]
    count = int(new_score is not None) - int(old_score is not None)
    found = prepared_rows(
        _CHANGED, [count, (new_score or 0.0) - (old_score or 0.0), *positions, movie_id]
    )
    return _SUMMARY.instance(found[0]) if found else None


@dataclass(frozen=True)
class RatingChange:
    """One rating of a film set (`old_score` None), changed, or withdrawn (`new_score` None) as of a moment."""

    movie_id: int
    old_score: float | None
    new_score: float | None
    rated_at: datetime | None = None


def movies_apply_ratings(*, changes: Sequence[RatingChange]) -> None:
    """movie_apply_rating for many at once, in two queries; the films are locked in order of their ids.

    A rating of long ago weighs in the trend as it would by now.
    """
    if not changes:
        return
    counts: dict[int, int] = {}
    sums: dict[int, float] = {}
    newest: dict[int, datetime | None] = {}
    for change in changes:
        film = change.movie_id
        counts[film] = (
            counts.get(film, 0) + (change.new_score is not None) - (change.old_score is not None)
        )
        sums[film] = sums.get(film, 0.0) + (change.new_score or 0.0) - (change.old_score or 0.0)
        if change.old_score is None:
            newest[film] = change.rated_at
    ids = sorted(counts)
    positions = {
        column: [
            compute_log_weight(half_life_days, newest[film]) if film in newest else None
            for film in ids
        ]
        for column, half_life_days in TREND_HALF_LIFE_DAYS.items()
    }
    columns = ", ".join(TREND_HALF_LIFE_DAYS)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM (SELECT id FROM movies_movie WHERE id = ANY(%s::bigint[])"
            " ORDER BY id FOR NO KEY UPDATE) AS locked",
            [ids],
        )
        cursor.execute(
            f"UPDATE movies_movie AS movie SET rating_count = movie.rating_count + by.count,"  # noqa: S608
            f" rating_sum = movie.rating_sum + by.sum, {_TRENDS}"
            " FROM unnest(%s::bigint[], %s::int[], %s::float8[], %s::float8[], %s::float8[])"
            f" AS by (movie_id, count, sum, {columns}) WHERE movie.id = by.movie_id",
            [
                ids,
                [counts[film] for film in ids],
                [sums[film] for film in ids],
                *positions.values(),
            ],
        )


def compute_log_weight(half_life_days: float, at: datetime | None = None) -> float:
    """log2 of the weight that a rating of that moment has: forward decay.

    Because every weight grows by the same factor with time, films keep their order without ever
    being touched. Source: Cormode et al., "Forward Decay", ICDE 2009.
    """
    age = (at or timezone.now()) - _TREND_EPOCH
    return age.total_seconds() / 86_400 / half_life_days


# log2(2^trend + 2^position) without leaving the range of a double: beyond 200 halvings the smaller
# term is nothing, and a power of it would underflow. A position that is null leaves the trend.
_TRENDS = ", ".join(
    f"{column} = CASE WHEN by.{column} IS NULL THEN movie.{column} ELSE"
    f" greatest(coalesce(movie.{column}, by.{column} - 200), by.{column}) + ln(1 + power(2, -least("
    f"abs(coalesce(movie.{column}, by.{column} - 200) - by.{column}), 200))) / ln(2) END"
    for column in TREND_HALF_LIFE_DAYS
)
_SUMMARY = Columns(
    Movie,
    "movie",
    but=[each.name for each in Movie._meta.concrete_fields if each.name not in SUMMARY_FIELDS],
)
_POSITIONS = ", ".join(f"%s::float8 AS {column}" for column in TREND_HALF_LIFE_DAYS)
_CHANGED = (
    f"UPDATE movies_movie AS movie SET rating_count = movie.rating_count + by.count,"  # noqa: S608
    f" rating_sum = movie.rating_sum + by.sum, {_TRENDS}"
    f" FROM (SELECT %s::int AS count, %s::float8 AS sum, {_POSITIONS}) AS by"
    f" WHERE movie.id = %s::bigint RETURNING {_SUMMARY.sql}"
).encode()
