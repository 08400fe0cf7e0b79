"""A sample of the films, and one index for all that is found by words, genres and keywords.

The beginnings of words join the words of films that are there already, a thousand at a time;
each index is made beside the old ones and without stopping writers, and only then the old ones go.
"""

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models
from django.db.models import F, Func, Q, Value
from django.db.models.lookups import Exact

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
IN_SAMPLE = Q(
    Exact(
        Func(F("id"), Value(127), function="MOD", output_field=models.BigIntegerField()), Value(0)
    )
)


FLOORS = {
    "release_year": (100, (1970, 1980, 1990, 2000, 2005, 2010, 2015, 2020, 2023, 2025)),
    "runtime": (200, (60, 90, 120, 150)),
    "vote_average": (300, (0.5, 5, 6, 7, 8, 8.5)),
    "vote_count": (400, (1, 10, 50, 100, 1000)),
    "popularity": (500, (0.6, 1.4, 3, 10, 50)),
}
CEILINGS = {
    "release_year": (150, (1930, 1950, 1960, 1970, 1980, 1990, 2000, 2010)),
    "runtime": (250, (10, 20, 40, 60, 90)),
    "vote_average": (350, (0.5, 5)),
}


def tokens(column, sign, sides):
    first, edges = sides.get(column, (0, ()))
    return [
        Func(
            F(column),
            template=f"CASE WHEN %(expressions)s {sign} {edge:g} THEN {first + number} END",
            output_field=models.IntegerField(),
        )
        for number, edge in enumerate(edges)
    ]


TOKENS = Func(
    *(
        token
        for column in FLOORS
        for token in (*tokens(column, ">=", FLOORS), *tokens(column, "<", CEILINGS))
    ),
    Func(
        F("original_language"),
        template="1000 + ascii(NULLIF(%(expressions)s, '')) * 128"
        " + ascii(substr(%(expressions)s, 2))",
        output_field=models.IntegerField(),
    ),
    template="(ARRAY[%(expressions)s])",
    output_field=ArrayField(models.IntegerField()),
)
# Whoever writes one of these films meanwhile waits for the others.
BATCH = 1_000
# As movies.search.vector has them; a film that has some was written by the new code.
BEGINNINGS = r"""
UPDATE movies_movie SET search_vector = search_vector || coalesce((
    SELECT string_agg(format('''^%%s'':1%%s', letters, CASE WHEN of_title THEN 'A' END), ' ')
    FROM (
        SELECT left(lexeme, length) AS letters, bool_or('A' = ANY(weights)) AS of_title
        FROM unnest(search_vector), generate_series(1, 4) AS length
        WHERE length(lexeme) >= length
        GROUP BY 1
    ) AS beginnings
), '')::tsvector
WHERE id > %s AND id <= %s AND NOT search_vector @@ '''^'':*'::tsquery
"""


def beginnings_add(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(max(id), 0) FROM movies_movie")
        [last] = cursor.fetchone()
        for start in range(0, last, BATCH):
            cursor.execute(BEGINNINGS, [start, start + BATCH])


def beside(column):
    return [name for name in FILTERED if name != column]


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("movies", "0003_list_indexes")]

    operations = [
        # An index made concurrently waits for whoever reads the table, and may.
        migrations.RunSQL("SET lock_timeout = 0", "SET lock_timeout = 0"),
        # To look through a thousand lists of genres at each plan takes longer than most lists.
        migrations.RunSQL(
            "ALTER TABLE movies_movie ALTER COLUMN genres SET STATISTICS -1",
            "ALTER TABLE movies_movie ALTER COLUMN genres SET STATISTICS 1000",
        ),
        # Words with beginnings serve the old code too.
        migrations.RunPython(beginnings_add, migrations.RunPython.noop),
        *(
            AddIndexConcurrently(
                "movie",
                GinIndex(
                    OpClass("search_vector", "tsvector_ops"),
                    OpClass("genres", "jsonb_path_ops"),
                    OpClass("keywords", "jsonb_path_ops"),
                    OpClass(TOKENS, "array_ops"),
                    name=name,
                    condition=condition,
                ),
            )
            for name, condition in (("movie_words", None), ("movie_sample_words", IN_SAMPLE))
        ),
        AddIndexConcurrently(
            "movie",
            models.Index(
                F("popularity").desc(),
                "id",
                name="movie_sample",
                include=sorted([*beside("popularity"), "release_date", "created_at"]),
                condition=IN_SAMPLE,
            ),
        ),
        AddIndexConcurrently(
            "movie",
            models.Index(
                F("vote_average").desc(),
                "id",
                name="movie_by_vote_average_voted",
                include=beside("vote_average"),
                condition=Q(vote_count__gte=1),
            ),
        ),
        *(
            RemoveIndexConcurrently("movie", name)
            for name in ("movie_genres", "movie_keywords", "movie_search")
        ),
        migrations.RunSQL("RESET lock_timeout", "RESET lock_timeout"),
    ]
