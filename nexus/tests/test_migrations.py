"""No migration stops those who read and write while it runs."""

import pytest
from django.contrib.postgres.operations import (
    AddConstraintNotValid,
    AddIndexConcurrently,
    RemoveIndexConcurrently,
    ValidateConstraint,
)
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.models import NOT_PROVIDED

OURS = ("core", "movies", "accounts", "social", "tmdb", "recommendations")
# Read by somebody, with the reason why it holds nobody up.
LOOKED_AT = {
    ("core", "0001_limit_window"): "SET UNLOGGED on a table that is empty",
    (
        "movies",
        "0003_list_indexes",
    ): "lock_timeout, a column's statistics target, DROP INDEX CONCURRENTLY",
    (
        "movies",
        "0004_samples_and_words",
    ): "lock_timeout, statistics; films' words, a thousand at a time, each only once",
    ("recommendations", "0001_initial"): "storage settings of a table that is empty",
    ("social", "0003_feed_indexes"): "an UPDATE of playlists alone, in a transaction of its own",
    ("accounts", "0003_roles"): "a few rows of groups and permissions",
    (
        "accounts",
        "0004_remove_follow_counts",
    ): "defaults of two columns, which change the catalog alone",
    ("social", "0005_moderators_reports"): "a few rows of groups and permissions",
    ("recommendations", "0002_admins_trainings"): "a few rows of groups and permissions",
}
ALWAYS_SAFE = (
    migrations.CreateModel,
    migrations.AlterModelOptions,
    migrations.AlterModelManagers,
    AddConstraintNotValid,
    ValidateConstraint,
)
# What `migrate` does once more where it was cut off outside a transaction.
REPEATABLE = (AddIndexConcurrently, RemoveIndexConcurrently, ValidateConstraint)


def _complaints(migration: migrations.Migration) -> list[str]:
    made = {
        each.name_lower for each in migration.operations if isinstance(each, migrations.CreateModel)
    }
    looked_at = (migration.app_label, migration.name) in LOOKED_AT
    return [
        complaint
        for each in migration.operations
        if (complaint := _complaint(each, made, atomic=migration.atomic, looked_at=looked_at))
    ]


def _complaint(each: Operation, made: set[str], *, atomic: bool, looked_at: bool) -> str:
    name = getattr(each, "model_name_lower", "")
    if not atomic and not looked_at and not isinstance(each, REPEATABLE):
        return f"{type(each).__name__} without a transaction: cut off, it could not be run again"
    if isinstance(each, ALWAYS_SAFE) or name in made:
        return ""
    if isinstance(each, migrations.SeparateDatabaseAndState) and not each.database_operations:
        return ""
    if isinstance(each, AddIndexConcurrently | RemoveIndexConcurrently):
        return "a concurrent index in a transaction" if atomic else ""
    if isinstance(each, migrations.AddField):
        field = each.field
        if field.unique or field.db_index:
            return f"{name}.{each.name} comes with an index that locks the table"
        filled = field.null or field.db_default is not NOT_PROVIDED or field.has_default()
        return "" if filled else f"{name}.{each.name} has no value for the rows there are"
    if isinstance(each, migrations.RunSQL | migrations.RunPython):
        return "" if looked_at else "what it runs is not looked at yet (LOOKED_AT)"
    return f"{type(each).__name__} on {name or '?'}, which others are using"


def _migrations():
    for (app, name), migration in sorted(MigrationLoader(None).disk_migrations.items()):
        if app in OURS:
            yield pytest.param(migration, id=f"{app}.{name}")


@pytest.mark.parametrize("migration", list(_migrations()))
def test_a_migration_stops_nobody(migration):
    assert _complaints(migration) == []


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddIndex("movie", models.Index(fields=["title"], name="x")),
        migrations.AddConstraint("movie", models.UniqueConstraint(fields=["title"], name="x")),
        migrations.AddField("movie", "x", models.ForeignKey("movies.Person", models.CASCADE)),
        migrations.AddField("movie", "x", models.IntegerField()),
        migrations.AlterField("movie", "title", models.TextField()),
        migrations.RemoveField("movie", "title"),
        migrations.RenameField("movie", "title", "name"),
        migrations.RunSQL("UPDATE movies_movie SET title = ''"),
        AddIndexConcurrently("movie", models.Index(fields=["title"], name="x")),
    ],
    ids=lambda operation: operation.describe(),
)
def test_a_careless_one_is_told(operation):
    class Careless(migrations.Migration):
        operations = [operation]

    assert len(_complaints(Careless("x", "movies"))) == 1


def test_what_cannot_be_repeated_belongs_in_a_transaction():
    class Careless(migrations.Migration):
        atomic = False
        operations = [
            migrations.AddField("movie", "x", models.IntegerField(null=True)),
            AddIndexConcurrently("movie", models.Index(fields=["x"], name="x")),
        ]

    assert _complaints(Careless("x", "movies")) == [
        "AddField without a transaction: cut off, it could not be run again"
    ]


def test_what_was_looked_at_exists():
    assert set(LOOKED_AT) <= set(MigrationLoader(None).disk_migrations)
