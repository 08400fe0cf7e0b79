"""Rebuild the search words of people and movies, and the sort titles, as movies.search builds them.

A thousand movies at a time, each in a transaction of its own, so that nobody waits for more. Rows that
have the lexeme of their whole title or name were written by the new code or by an interrupted run.
"""

from django.db import migrations

from movies.search import build_search_vector, make_sort_title

BATCH = 1_000


def rebuild_search_words(apps, schema_editor):
    movies = apps.get_model("movies", "Movie").objects.using(schema_editor.connection.alias)
    credits = apps.get_model("movies", "Credit").objects.using(schema_editor.connection.alias)
    last_id = 0
    while True:
        batch = movies.filter(id__gt=last_id).order_by("id")[:BATCH]
        rows = list(batch.values_list("id", "title", "original_title"))
        if not rows:
            return
        first_id, last_id = rows[0][0], rows[-1][0]
        people = {}
        names = credits.filter(movie_id__gte=first_id, movie_id__lte=last_id)
        for movie_id, name in names.order_by("-role", "position").values_list(
            "movie_id", "person__name"
        ):
            people.setdefault(movie_id, []).append(name)
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(
                """
                UPDATE movies_movie AS movie
                SET search_vector = new.search_vector::tsvector, sort_title = new.sort_title
                FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[])
                    AS new (id, title, original_title, sort_title, search_vector)
                WHERE movie.id = new.id AND NOT movie.search_vector @@ '''='':*'::tsquery
                    AND movie.title = new.title AND movie.original_title = new.original_title
                """,
                [
                    [movie_id for movie_id, _, _ in rows],
                    [title for _, title, _ in rows],
                    [original_title for _, _, original_title in rows],
                    [make_sort_title(title) for _, title, _ in rows],
                    [
                        build_search_vector(
                            title=title,
                            original_title=original_title,
                            people=people.get(movie_id, []),
                        )
                        for movie_id, title, original_title in rows
                    ],
                ],
            )


def rebuild_names(apps, schema_editor):
    people = apps.get_model("movies", "Person").objects.using(schema_editor.connection.alias)
    last_id = 0
    while rows := list(
        people.filter(id__gt=last_id).order_by("id").values_list("id", "name")[:BATCH]
    ):
        last_id = rows[-1][0]
        with schema_editor.connection.cursor() as cursor:
            cursor.execute(
                """
                UPDATE movies_person AS person SET search_vector = new.search_vector::tsvector
                FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS new (id, name, search_vector)
                WHERE person.id = new.id AND person.name = new.name
                    AND (person.search_vector @@ '''='':*'::tsquery) IS NOT TRUE
                """,
                [
                    [person_id for person_id, _ in rows],
                    [name for _, name in rows],
                    [
                        build_search_vector(title=name, original_title="", people=[])
                        for _, name in rows
                    ],
                ],
            )


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("movies", "0008_search_people")]

    operations = [
        migrations.RunPython(rebuild_names, migrations.RunPython.noop),
        migrations.RunPython(rebuild_search_words, migrations.RunPython.noop),
    ]
