"""Search of people: words of their names, and TMDb's popularity to order them by.

The next migration fills the words.
"""

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.operations import AddIndexConcurrently, ValidateConstraint
from django.db import migrations, models


class Migration(migrations.Migration):
    # Indexes are made concurrently, which a transaction cannot do.
    atomic = False

    dependencies = [("movies", "0007_people_search_columns")]

    operations = [
        ValidateConstraint("person", name="person_popularity_range"),
        # An index made concurrently waits for those who read the table, and may.
        migrations.RunSQL("SET lock_timeout = 0", "SET lock_timeout = 0"),
        AddIndexConcurrently(
            "person",
            models.Index(models.F("popularity").desc(), "id", name="person_popularity"),
        ),
        AddIndexConcurrently("person", GinIndex(fields=["search_vector"], name="person_words")),
        migrations.RunSQL("RESET lock_timeout", "RESET lock_timeout"),
    ]
