"""`migrate` while others read and write, on the real PostgreSQL."""

import re
import threading
import time
from contextlib import contextmanager

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, connections

from nexus.core.db.advisory_locks import AdvisoryLock
from nexus.core.management.commands import migrate
from nexus.dev.pytest_plugin import get_database_url

FIELD_MIGRATION, INDEX_MIGRATION = "0098_extra_field", "0099_extra_indexes"
INDEX = "extra_index"
BOTH_INDEXES = [(INDEX, True), (f"{INDEX}_down", True)]
SOURCES = {
    "__init__": "import movies.migrations as real\n__path__.extend(real.__path__)\n",
    FIELD_MIGRATION: """
from django.db import migrations, models
class Migration(migrations.Migration):
    dependencies = [("movies", "{last}")]
    operations = [migrations.AddField("movie", "extra", models.IntegerField(null=True))]
""",
    INDEX_MIGRATION: f"""
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
class Migration(migrations.Migration):
    atomic = False
    dependencies = [("movies", "{FIELD_MIGRATION}")]
    operations = [
        AddIndexConcurrently("movie", models.Index(fields=["extra"], name="{INDEX}")),
        AddIndexConcurrently("movie", models.Index(fields=["-extra"], name="{INDEX}_down")),
    ]
""",
}
OPEN_TRANSACTION = r"process \d+ \(.+\), for \d s, idle in transaction"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def extra_migrations(settings, tmp_path, monkeypatch):
    """Two more migrations of movies: a field, and two concurrent indexes on it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(name) FROM django_migrations WHERE app = 'movies'")
        last = cursor.fetchone()[0]
    package = tmp_path / "extra_migrations"
    package.mkdir()
    for name, source in SOURCES.items():
        (package / f"{name}.py").write_text(source.replace("{last}", last))
    monkeypatch.syspath_prepend(tmp_path)
    settings.MIGRATION_MODULES = {"movies": "extra_migrations"}
    monkeypatch.setattr(migrate, "RETRY_AFTER_S", 0.3)
    yield
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE movies_movie DROP COLUMN IF EXISTS extra")
        names = [FIELD_MIGRATION, INDEX_MIGRATION]
        cursor.execute("DELETE FROM django_migrations WHERE name = ANY(%s)", [names])


def connect():
    return psycopg.connect(get_database_url(), autocommit=True)


def start_reading(session):
    """Read movies in a snapshot, as a dump does: concurrent index builds wait for its end."""
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    session.execute("SELECT count(*) FROM movies_movie")


@pytest.fixture
def reader(make_movie):
    """A session with an open transaction that has read the movies."""
    make_movie("Brazil")
    with connect() as session:
        start_reading(session)
        yield session


@contextmanager
def run_traffic(make_movie):
    """Read and write movies during the block; yield the seconds each statement took."""
    movie_id, is_over, durations = make_movie("Alien").pk, threading.Event(), []

    def work(sql):
        with connect() as session:
            while not is_over.wait(0.01):
                started = time.monotonic()
                session.execute(sql, [movie_id])
                durations.append(time.monotonic() - started)

    statements = (
        "SELECT title FROM movies_movie WHERE id = %s",
        "UPDATE movies_movie SET popularity = 1 WHERE id = %s",
    )
    threads = [threading.Thread(target=work, args=[sql]) for sql in statements]
    for thread in threads:
        thread.start()
    try:
        yield durations
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


@contextmanager
def run_migrate(target=INDEX_MIGRATION, **options):
    """Run `migrate` during the block; yield a list that gets its error, or None for success."""
    outcome = []

    def run():
        try:
            call_command("migrate", "movies", target, verbosity=0, **options)
            outcome.append(None)
        except Exception as error:
            outcome.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    yield outcome
    thread.join()


def list_indexes():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON oid = indexrelid"
            " WHERE relname LIKE %s ORDER BY relname",
            [f"{INDEX}%"],
        )
        return cursor.fetchall()


def list_waiting_index_builds():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%'"
            " AND wait_event_type = 'Lock'"
        )
        return [row[0] for row in cursor.fetchall()]


def test_table_change_behind_a_long_reader_blocks_nobody_and_succeeds_after_it(
    extra_migrations, reader, make_movie, capsys
):
    with run_traffic(make_movie) as durations, run_migrate() as outcome:
        time.sleep(2)
        outcome_behind_reader = list(outcome)
        reader.close()

    assert outcome_behind_reader == []
    assert outcome == [None]
    # Each attempt waits for half a second.
    assert 0.3 < max(durations) < 2
    assert len(durations) > 50
    assert list_indexes() == BOTH_INDEXES
    assert re.search(
        rf"open transactions: {OPEN_TRANSACTION}.* Trying again", capsys.readouterr().err
    )


def test_concurrent_index_waits_for_a_long_reader_and_blocks_nobody(
    extra_migrations, reader, make_movie, capsys
):
    reader.execute("ROLLBACK")
    call_command("migrate", "movies", FIELD_MIGRATION, verbosity=0)
    start_reading(reader)
    time.sleep(0.4)

    with run_traffic(make_movie) as durations, run_migrate() as outcome:
        # Longer than any lock timeout.
        time.sleep(2.5)
        builds, outcome_behind_reader = list_waiting_index_builds(), list(outcome)
        longest = max(durations)
        reader.close()

    assert builds
    assert outcome_behind_reader == []
    assert outcome == [None]
    assert longest < 0.5
    assert list_indexes() == BOTH_INDEXES
    assert re.search(rf"Waiting.* open transactions: {OPEN_TRANSACTION}", capsys.readouterr().err)


def test_invalid_index_is_rebuilt_and_a_valid_one_is_kept(extra_migrations, reader, capsys):
    reader.execute("ROLLBACK")
    call_command("migrate", "movies", FIELD_MIGRATION, verbosity=0)
    reader.execute(f"CREATE INDEX {INDEX} ON movies_movie (extra)")
    start_reading(reader)
    with run_migrate() as interrupted:
        deadline = time.monotonic() + 10
        while not (builds := list_waiting_index_builds()) and time.monotonic() < deadline:
            time.sleep(0.05)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", builds)
        reader.close()
    indexes_after_interruption = list_indexes()

    with run_migrate() as outcome:
        pass

    assert isinstance(interrupted[0], OperationalError)
    assert indexes_after_interruption == [(INDEX, True), (f"{INDEX}_down", False)]
    assert outcome == [None]
    assert list_indexes() == BOTH_INDEXES
    assert f'Rebuilding "{INDEX}_down", left invalid' in capsys.readouterr().err


def test_table_that_stays_in_use_ends_with_an_error_that_names_the_user(extra_migrations, reader):
    with run_migrate(FIELD_MIGRATION, wait=0.3) as outcome:
        pass
    reader.close()
    with run_migrate(FIELD_MIGRATION) as second_outcome:
        pass

    assert isinstance(outcome[0], CommandError)
    assert re.search(rf"Gave up after 0.3 s. .*: {OPEN_TRANSACTION}", str(outcome[0]))
    assert second_outcome == [None]


def test_second_of_two_simultaneous_runs_waits_and_has_nothing_to_do(extra_migrations):
    with run_migrate() as first, run_migrate() as second:
        pass

    assert first == second == [None]
    assert list_indexes() == BOTH_INDEXES


def test_run_that_never_ends_is_reported_to_the_next_one(extra_migrations, reader):
    reader.execute("SELECT pg_advisory_lock(%s)", [AdvisoryLock.MIGRATION])

    with run_migrate(wait=0.2) as outcome:
        pass

    assert str(outcome[0]) == "Another `migrate` is running on this database."


def test_timeouts_of_the_session_are_restored(extra_migrations):
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        before = cursor.fetchone()

    call_command("migrate", "movies", INDEX_MIGRATION, verbosity=0)

    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == before
