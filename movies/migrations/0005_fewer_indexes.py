"""Replace 32 indexes of movies by 8 (docs/adr/0001-indexes-of-movies.md).

Each new index is complete before an old one is dropped, so that no list is without its index. Nothing
here blocks reads or writes.
"""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
from django.db.models import F

FILTERED = (
    "genres",
    "release_year",
    "original_language",
    "vote_average",
    "vote_count",
    "runtime",
    "popularity",
)
REMOVED = (
    "movie_by_popularity",
    "movie_by_vote_average",
    "movie_by_vote_average_voted",
    "movie_by_weighted_rating",
    "movie_by_release_date_asc",
    "movie_by_release_date_desc",
    "movie_by_runtime",
    "movie_runtime_asc",
    "movie_by_release_year",
    "movie_by_original_language",
    "movie_by_vote_count",
    "movie_sample",
    "movie_sample_words",
    "movie_action",
    "movie_adventure",
    "movie_animation",
    "movie_comedy",
    "movie_crime",
    "movie_documentary",
    "movie_drama",
    "movie_family",
    "movie_fantasy",
    "movie_history",
    "movie_horror",
    "movie_music",
    "movie_mystery",
    "movie_romance",
    "movie_science_fiction",
    "movie_thriller",
    "movie_tv_movie",
    "movie_war",
    "movie_western",
)


def filtered_without(column):
    return [name for name in FILTERED if name != column]


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("movies", "0004_samples_and_words")]

    operations = [
        *(
            AddIndexConcurrently(
                "movie",
                models.Index(column, "id", name=f"movie_{column}", include=filtered_without(column)),
            )
            for column in ("release_year", "original_language", "vote_count")
        ),
        *(
            AddIndexConcurrently(
                "movie",
                models.Index(
                    F(column).desc(), "id", name=f"movie_{column}", include=filtered_without(column)
                ),
            )
            for column in ("popularity", "vote_average", "weighted_rating")
        ),
        *(
            AddIndexConcurrently(
                "movie",
                models.Index(
                    F(column).desc(nulls_last=True),
                    "id",
                    name=f"movie_{column}",
                    include=filtered_without(column),
                ),
            )
            for column in ("release_date", "runtime")
        ),
        *(RemoveIndexConcurrently("movie", name) for name in REMOVED),
    ]
