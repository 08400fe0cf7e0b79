"""Indexes that hold what films are filtered by beside what they are found or ordered by.

Each is made beside the old one and without stopping writers; only then the old ones go.
"""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
from django.db.models import F, Q

FILTERED = (
    "genres",
    "release_year",
    "original_language",
    "vote_average",
    "vote_count",
    "runtime",
    "popularity",
    "weighted_rating",
)
GENRES = (
    "Action",
    "Adventure",
    "Animation",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Family",
    "Fantasy",
    "History",
    "Horror",
    "Music",
    "Mystery",
    "Romance",
    "Science Fiction",
    "TV Movie",
    "Thriller",
    "War",
    "Western",
)


def beside(column):
    return [name for name in FILTERED if name != column]


def index(key, name, column, condition=None):
    return models.Index(key, "id", name=name, include=beside(column), condition=condition)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("movies", "0002_details_and_removal")]

    operations = [
        # An index made concurrently waits for whoever reads the table, and may.
        migrations.RunSQL("SET lock_timeout = 0", "SET lock_timeout = 0"),
        # The planner's guess at how many films have a genre is made from whole lists of genres, of
        # which there are thousands. ANALYZE, the server's own too, then reads 300,000 films.
        migrations.RunSQL(
            "ALTER TABLE movies_movie ALTER COLUMN genres SET STATISTICS 1000",
            "ALTER TABLE movies_movie ALTER COLUMN genres SET STATISTICS -1",
        ),
        *(
            AddIndexConcurrently(
                "movie",
                index(
                    F("popularity").desc(),
                    f"movie_{name.lower().replace(' ', '_')}",
                    "popularity",
                    Q(genres__contains=[name]),
                ),
            )
            for name in GENRES
        ),
        *(
            AddIndexConcurrently("movie", index(F(column), f"movie_by_{column}", column))
            for column in ("release_year", "original_language", "vote_count")
        ),
        *(
            AddIndexConcurrently("movie", index(F(column).desc(), f"movie_by_{column}", column))
            for column in ("popularity", "vote_average", "weighted_rating")
        ),
        AddIndexConcurrently(
            "movie", index(F("runtime").desc(nulls_last=True), "movie_by_runtime", "runtime")
        ),
        AddIndexConcurrently(
            "movie",
            index(
                F("release_date").asc(nulls_last=True), "movie_by_release_date_asc", "release_date"
            ),
        ),
        AddIndexConcurrently(
            "movie",
            index(
                F("release_date").desc(nulls_last=True), "movie_by_release_date_desc", "release_date"
            ),
        ),
        *(
            RemoveIndexConcurrently("movie", name)
            for name in (
                "movie_release_year",
                "movie_language",
                "movie_runtime_desc",
                "movie_release_date_asc",
                "movie_release_date_desc",
                "movie_popularity_desc",
                "movie_vote_average_desc",
                "movie_weighted_rating_desc",
            )
        ),
        # Django's second index of a unique text, for LIKE, which nobody asks of an IMDb id.
        migrations.RunSQL(
            'DROP INDEX CONCURRENTLY IF EXISTS "movies_movie_imdb_id_07ddfa3f_like"',
            'CREATE INDEX CONCURRENTLY "movies_movie_imdb_id_07ddfa3f_like"'
            " ON movies_movie (imdb_id varchar_pattern_ops)",
        ),
        migrations.RunSQL("RESET lock_timeout", "RESET lock_timeout"),
    ]
