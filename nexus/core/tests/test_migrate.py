"""`migrate` while others read and write, on the real PostgreSQL."""

import re
import threading
import time
from contextlib import contextmanager

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, connections

from nexus.core.management.commands import migrate
from nexus.dev.pytest_plugin import database_url

FIELD, INDEX = "0098_passing_field", "0099_passing_index"
NAME = "passing_index"
BOTH = [(NAME, True), (f"{NAME}_down", True)]
SOURCES = {
    "__init__": "import movies.migrations as real\n__path__.extend(real.__path__)\n",
    FIELD: """
from django.db import migrations, models
class Migration(migrations.Migration):
    dependencies = [("movies", "{last}")]
    operations = [migrations.AddField("movie", "passing", models.IntegerField(null=True))]
""",
    INDEX: f"""
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
class Migration(migrations.Migration):
    atomic = False
    dependencies = [("movies", "{FIELD}")]
    operations = [
        AddIndexConcurrently("movie", models.Index(fields=["passing"], name="{NAME}")),
        AddIndexConcurrently("movie", models.Index(fields=["-passing"], name="{NAME}_down")),
    ]
""",
}
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def passing(settings, tmp_path, monkeypatch):
    """Two more migrations of films: a field, and two concurrent indexes on it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT max(name) FROM django_migrations WHERE app = 'movies'")
        last = cursor.fetchone()[0]
    package = tmp_path / "passing_migrations"
    package.mkdir()
    for name, source in SOURCES.items():
        (package / f"{name}.py").write_text(source.replace("{last}", last))
    monkeypatch.syspath_prepend(tmp_path)
    settings.MIGRATION_MODULES = {"movies": "passing_migrations"}
    monkeypatch.setattr(migrate, "PAUSE_S", 0.3)
    yield
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE movies_movie DROP COLUMN IF EXISTS passing")
        cursor.execute("DELETE FROM django_migrations WHERE name IN (%s, %s)", [FIELD, INDEX])


def connected():
    return psycopg.connect(database_url(), autocommit=True)


def reads(session):
    # As a dump does, which sees all as of one moment: that is what concurrent indexes wait for.
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    session.execute("SELECT count(*) FROM movies_movie")


@pytest.fixture
def reader(make_movie):
    """Somebody who has read the films, and does not end before it is closed."""
    make_movie("Brazil")
    with connected() as session:
        reads(session)
        yield session


@contextmanager
def others(make_movie):
    """Others who read and write films; the seconds each of their statements took."""
    film, over, took = make_movie("Alien").pk, threading.Event(), []

    def work(sql):
        with connected() as session:
            while not over.wait(0.01):
                started = time.monotonic()
                session.execute(sql, [film])
                took.append(time.monotonic() - started)

    statements = (
        "SELECT title FROM movies_movie WHERE id = %s",
        "UPDATE movies_movie SET popularity = 1 WHERE id = %s",
    )
    threads = [threading.Thread(target=work, args=[sql]) for sql in statements]
    for thread in threads:
        thread.start()
    try:
        yield took
    finally:
        over.set()
        for thread in threads:
            thread.join()


@contextmanager
def migrating(target=INDEX, **options):
    """`migrate` beside what the block does; the block gets what it failed with, once it has ended."""
    ended = []

    def run():
        try:
            call_command("migrate", "movies", target, verbosity=0, **options)
            ended.append(None)
        except Exception as error:
            ended.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    yield ended
    thread.join()


def indexes():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, indisvalid FROM pg_index JOIN pg_class ON oid = indexrelid"
            " WHERE relname LIKE %s ORDER BY relname",
            [f"{NAME}%"],
        )
        return cursor.fetchall()


def held_up_indexes():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%'"
            " AND wait_event_type = 'Lock'"
        )
        return [row[0] for row in cursor.fetchall()]


def test_a_migration_behind_a_long_reader_keeps_nobody_waiting_and_ends_after_it(
    passing, reader, make_movie, capsys
):
    with others(make_movie) as took, migrating() as ended:
        time.sleep(2)
        assert ended == []
        reader.close()
    assert ended == [None]
    # A change of a table waits half a second at a time.
    assert 0.3 < max(took) < 2
    assert len(took) > 50
    assert indexes() == BOTH
    assert re.search(
        r"trying again: process \d+ \(.+\) uses it, in a transaction for \d s, idle in transaction",
        capsys.readouterr().err,
    )


def test_a_concurrent_index_waits_for_a_long_reader_and_keeps_nobody_waiting(
    passing, reader, make_movie
):
    # A column makes it through before the reader comes, who then reads what is to be indexed.
    reader.execute("ROLLBACK")
    call_command("migrate", "movies", FIELD, verbosity=0)
    reads(reader)
    with others(make_movie) as took, migrating() as ended:
        # Longer than any limit that is set for a lock.
        time.sleep(2.5)
        assert held_up_indexes()
        assert ended == []
        longest = max(took)
        reader.close()
    assert ended == [None]
    assert longest < 0.5
    assert indexes() == BOTH


def test_an_index_left_unfinished_is_made_anew_and_a_whole_one_is_kept(passing, reader, capsys):
    reader.execute("ROLLBACK")
    call_command("migrate", "movies", FIELD, verbosity=0)
    reader.execute(f"CREATE INDEX {NAME} ON movies_movie (passing)")
    reads(reader)
    with migrating() as ended:
        deadline = time.monotonic() + 10
        while not (waiting := held_up_indexes()) and time.monotonic() < deadline:
            time.sleep(0.05)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", waiting)
        reader.close()
    assert isinstance(ended[0], OperationalError)
    assert indexes() == [(NAME, True), (f"{NAME}_down", False)]
    with migrating() as ended:
        pass
    assert ended == [None]
    assert indexes() == BOTH
    told = capsys.readouterr().err
    assert f"{NAME}_down was left unfinished by a run that was cut off: made anew." in told


def test_a_table_that_does_not_become_free_is_given_up_and_who_holds_it_is_told(passing, reader):
    with migrating(FIELD, wait=0.3) as ended:
        pass
    assert re.search(
        r"Gave up after 0.3 s: process \d+ \(.+\) uses it, in a transaction for \d s, idle in",
        str(ended[0]),
    )
    assert isinstance(ended[0], CommandError)
    reader.close()
    with migrating(FIELD) as ended:
        pass
    assert ended == [None]


def test_of_two_at_once_one_waits_and_finds_nothing_left_to_do(passing):
    with migrating() as one, migrating() as other:
        pass
    assert one == other == [None]
    assert indexes() == BOTH


def test_another_migration_that_does_not_end_is_told(passing, reader):
    reader.execute("SELECT pg_advisory_lock(%s)", [migrate._ADVISORY_LOCK])
    with migrating(wait=0.2) as ended:
        pass
    assert str(ended[0]) == "Another `migrate` is at work on this database."
