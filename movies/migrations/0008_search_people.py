"""Search of people: words of their names, and TMDb's popularity to order them by."""

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.operations import AddIndexConcurrently, ValidateConstraint
from django.db import migrations, models

from nexus.core.text import split_words

BATCH = 2_000
UPDATE = """
UPDATE movies_person SET search_vector = new.vector::tsvector
FROM unnest(%s::bigint[], %s::text[]) AS new (id, vector) WHERE movies_person.id = new.id
"""


def build_vector(name):
    """Return the tsvector literal as movies.search builds it for a name."""
    positions = {}
    for position, word in enumerate(split_words(name), start=1):
        positions.setdefault(word, []).append(f"{position}A")
    prefixes = dict.fromkeys(word[:length] for word in positions for length in range(1, 5))
    return " ".join(
        [f"'{word}':{','.join(places)}" for word, places in positions.items()]
        + [f"'^{prefix}':1A" for prefix in prefixes]
    )


def add_words(apps, schema_editor):
    person = apps.get_model("movies", "Person")
    last = 0
    with schema_editor.connection.cursor() as cursor:
        while rows := list(
            person.objects.filter(id__gt=last, search_vector=None)
            .order_by("id")
            .values_list("id", "name")[:BATCH]
        ):
            ids, names = zip(*rows, strict=True)
            cursor.execute(UPDATE, [list(ids), [build_vector(name) for name in names]])
            last = ids[-1]


class Migration(migrations.Migration):
    # Each batch is a transaction, so that nobody waits for all of them.
    atomic = False

    dependencies = [("movies", "0007_people_search_columns")]

    operations = [
        ValidateConstraint("person", name="person_popularity_range"),
        migrations.RunPython(add_words, migrations.RunPython.noop),
        # An index made concurrently waits for those who read the table, and may.
        migrations.RunSQL("SET lock_timeout = 0", "SET lock_timeout = 0"),
        AddIndexConcurrently(
            "person",
            models.Index(models.F("popularity").desc(), "id", name="person_popularity"),
        ),
        AddIndexConcurrently("person", GinIndex(fields=["search_vector"], name="person_words")),
        migrations.RunSQL("RESET lock_timeout", "RESET lock_timeout"),
    ]
