from datetime import UTC, datetime

import django.db.models.functions
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models

DAY_CONSTRAINT, NOTE_CONSTRAINT = "viewing_once_a_day", "viewing_once_a_note"


class Migration(migrations.Migration):
    # Each operation can be repeated after an interruption.
    atomic = False

    dependencies = [("social", "0021_days_of_existing_viewings")]

    operations = [
        AddIndexConcurrently(
            "viewing",
            models.Index(
                models.F("user"),
                models.F("watched_on").desc(nulls_last=True),
                django.db.models.functions.Coalesce(
                    "watched_at",
                    models.Value(
                        datetime(1870, 1, 1, tzinfo=UTC), output_field=models.DateTimeField()
                    ),
                ).desc(),
                models.F("id").desc(),
                name="viewing_user_latest",
            ),
        ),
        RemoveIndexConcurrently("viewing", "viewing_user_newest"),
        migrations.RunSQL(
            f'CREATE UNIQUE INDEX CONCURRENTLY "{DAY_CONSTRAINT}" ON social_viewing'
            " (user_id, movie_id, watched_on) WHERE watched_at IS NULL AND watched_on IS NOT NULL",
            f'DROP INDEX CONCURRENTLY IF EXISTS "{DAY_CONSTRAINT}"',
            state_operations=[
                migrations.AddConstraint(
                    "viewing",
                    models.UniqueConstraint(
                        fields=("user", "movie", "watched_on"),
                        condition=models.Q(watched_at__isnull=True, watched_on__isnull=False),
                        name=DAY_CONSTRAINT,
                    ),
                )
            ],
        ),
        migrations.RunSQL(
            f'CREATE UNIQUE INDEX CONCURRENTLY "{NOTE_CONSTRAINT}" ON social_viewing'
            " (user_id, movie_id, md5(note)) WHERE watched_at IS NULL AND watched_on IS NULL",
            f'DROP INDEX CONCURRENTLY IF EXISTS "{NOTE_CONSTRAINT}"',
            state_operations=[
                migrations.AddConstraint(
                    "viewing",
                    models.UniqueConstraint(
                        "user",
                        "movie",
                        django.db.models.functions.MD5("note"),
                        condition=models.Q(watched_at__isnull=True, watched_on__isnull=True),
                        name=NOTE_CONSTRAINT,
                    ),
                )
            ],
        ),
    ]
