"""Migrations must not block requests while they run (docs/deployment.md)."""

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

APPS = ("core", "movies", "accounts", "social", "tmdb", "recommendations")
# Migrations with SQL or Python that was reviewed, with the reason why it blocks nobody.
REVIEWED = {
    ("accounts", "0003_roles"): "inserts a few rows of groups and permissions",
    ("accounts", "0004_remove_follow_counts"): "sets column defaults, in the system catalog only",
    ("accounts", "0006_rename_users_with_at"): "renames the few users who have an @ in their name",
    ("accounts", "0007_admins_jobs"): "inserts a few rows of permissions",
    ("accounts", "0009_successor_of_a_refresh_token"): "sets a default, in the system catalog only",
    (
        "accounts",
        "0012_existing_addresses_are_verified",
    ): "concurrent indexes, updates of 1,000 rows",
    ("accounts", "0013_personal_access_tokens"): "a new table, and a few rows of permissions",
    ("core", "0001_limit_window"): "SET UNLOGGED on an empty table",
    ("movies", "0003_list_indexes"): "timeouts, a statistics target and DROP INDEX CONCURRENTLY",
    ("movies", "0004_samples_and_words"): "timeouts, statistics, and updates of 1,000 rows each",
    ("movies", "0008_search_people"): "timeouts alone",
    ("movies", "0009_search_as_people_type"): "updates of 1,000 rows each",
    ("recommendations", "0001_initial"): "storage settings of an empty table",
    ("recommendations", "0002_admins_trainings"): "inserts a few rows of groups and permissions",
    ("social", "0003_feed_indexes"): "updates playlists in a transaction of its own",
    ("social", "0005_moderators_reports"): "inserts a few rows of groups and permissions",
    ("social", "0009_moderation"): "drops a NOT NULL, in the system catalog only",
    ("social", "0018_clean_texts"): "updates rows with invisible characters, one at a time",
    ("social", "0027_imports_by_name"): "concurrent operations on indexes alone",
    ("social", "0015_import_feedback"): "updates the few entries of the admin's log",
    ("social", "0011_existing_moderation"): "reads the ratings, and writes the few hidden reviews",
    ("social", "0012_imports_in_the_task_worker"): "copies the few files that are not read yet",
    ("social", "0020_days_of_viewings"): "a trigger and a NOT NULL, in the system catalog only",
    ("social", "0021_days_of_existing_viewings"): "updates of 1,000 rows each",
    ("social", "0022_indexes_of_viewings"): "concurrent indexes",
    ("social", "0024_reviews_without_a_score"): "drops a NOT NULL, in the system catalog only",
    ("social", "0013_index_of_unfinished_imports"): "indexes, and changes of the state alone",
    ("social", "0030_moderators_groups"): "inserts a few rows of permissions",
}
SAFE_OPERATIONS = (
    migrations.CreateModel,
    migrations.AlterModelOptions,
    migrations.AlterModelManagers,
    AddConstraintNotValid,
    ValidateConstraint,
)
# `migrate` can run these again after an interruption, although no transaction was rolled back.
REPEATABLE_OPERATIONS = (AddIndexConcurrently, RemoveIndexConcurrently, ValidateConstraint)


def find_problems(migration: migrations.Migration) -> list[str]:
    """Return the reasons why operations of the migration block requests or cannot be repeated."""
    new_models = {
        operation.name_lower
        for operation in migration.operations
        if isinstance(operation, migrations.CreateModel)
    }
    is_reviewed = (migration.app_label, migration.name) in REVIEWED
    problems = [
        find_problem(operation, new_models, is_atomic=migration.atomic, is_reviewed=is_reviewed)
        for operation in migration.operations
    ]
    return [problem for problem in problems if problem]


def find_problem(
    operation: Operation, new_models: set[str], *, is_atomic: bool, is_reviewed: bool
) -> str:
    kind, model = type(operation).__name__, getattr(operation, "model_name_lower", "")
    if not is_atomic and not is_reviewed and not isinstance(operation, REPEATABLE_OPERATIONS):
        return f"{kind} outside a transaction cannot be repeated after an interruption"
    if isinstance(operation, SAFE_OPERATIONS) or model in new_models:
        return ""
    if isinstance(operation, migrations.SeparateDatabaseAndState):
        return "" if not operation.database_operations else f"{kind} has database operations"
    if isinstance(operation, AddIndexConcurrently | RemoveIndexConcurrently):
        return "a concurrent index operation in a transaction" if is_atomic else ""
    if isinstance(operation, migrations.AddField):
        field = operation.field
        if field.unique or field.db_index:
            return f"{model}.{operation.name} has an index, whose build locks the table"
        has_value = field.null or field.db_default is not NOT_PROVIDED or field.has_default()
        return "" if has_value else f"{model}.{operation.name} has no value for existing rows"
    if isinstance(operation, migrations.RunSQL | migrations.RunPython):
        return "" if is_reviewed else f"{kind} is not reviewed yet (REVIEWED)"
    return f"{kind} on {model or 'an existing model'}, which requests use"


def list_migrations():
    for (app, name), migration in sorted(MigrationLoader(None).disk_migrations.items()):
        if app in APPS:
            yield pytest.param(migration, id=f"{app}.{name}")


@pytest.mark.parametrize("migration", list(list_migrations()))
def test_migration_does_not_block_requests(migration):
    assert find_problems(migration) == []


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
        migrations.SeparateDatabaseAndState([migrations.RemoveField("movie", "title")]),
        AddIndexConcurrently("movie", models.Index(fields=["title"], name="x")),
    ],
    ids=lambda operation: operation.describe(),
)
def test_operation_that_blocks_requests_is_found(operation):
    class BlockingMigration(migrations.Migration):
        operations = [operation]

    problems = find_problems(BlockingMigration("x", "movies"))

    assert len(problems) == 1


def test_operation_that_cannot_be_repeated_needs_a_transaction():
    class NonAtomicMigration(migrations.Migration):
        atomic = False
        operations = [
            migrations.AddField("movie", "x", models.IntegerField(null=True)),
            AddIndexConcurrently("movie", models.Index(fields=["x"], name="x")),
        ]

    problems = find_problems(NonAtomicMigration("x", "movies"))

    assert problems == ["AddField outside a transaction cannot be repeated after an interruption"]


def test_reviewed_migrations_exist():
    assert set(REVIEWED) <= set(MigrationLoader(None).disk_migrations)
