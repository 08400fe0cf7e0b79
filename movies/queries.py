"""Raw SQL of this app, where the ORM takes several times as long."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection

from movies.models import Movie


def update_rating_figures(movies: Sequence[Movie]) -> None:
    """Store the rating columns of locked movies.

    One UPDATE from arrays. `bulk_update` writes a CASE with a branch per movie for each column: for
    1,000 movies it takes 2.3 s instead of 0.1 s on a busy machine, 0.4 s of them in Python.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE movies_movie AS movie
            SET rating_count = new.rating_count, rating_sum = new.rating_sum,
                trend_day = new.trend_day, trend_week = new.trend_week
            FROM unnest(%s::bigint[], %s::integer[], %s::float8[], %s::float8[], %s::float8[])
                AS new (id, rating_count, rating_sum, trend_day, trend_week)
            WHERE movie.id = new.id
            """,
            [
                [movie.pk for movie in movies],
                [movie.rating_count for movie in movies],
                [movie.rating_sum for movie in movies],
                [movie.trend_day for movie in movies],
                [movie.trend_week for movie in movies],
            ],
        )
