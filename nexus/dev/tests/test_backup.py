"""`manage.py backup` and `manage.py restore` on the real database."""

import os
import re
import subprocess
import sys

import psycopg
import pytest
import requests
from django.core.management import call_command

from nexus.dev.embedded import ROOT
from nexus.dev.pytest_plugin import SLOT, get_database_url


def connect(url):
    return psycopg.connect(url, autocommit=True)


def run_command(*arguments, database_url):
    return subprocess.run(
        [sys.executable, "manage.py", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database_url},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def read_contents(url):
    """Return the number and a digest of the rows of each table, and the value of each sequence."""
    with connect(url) as database:
        tables = database.execute(
            "SELECT c.relname, c.relkind FROM pg_class c WHERE c.relkind IN ('r', 'S')"
            " AND c.relnamespace = 'public'::regnamespace"
        ).fetchall()
        return {
            name: database.execute(
                f'SELECT last_value FROM "{name}"'
                if kind == "S"
                else f"SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text)) FROM \"{name}\" t"
            ).fetchone()
            for name, kind in tables
        }


@pytest.fixture
def other_database(transactional_db):
    """The URL of an empty database, which is not the test database."""
    name = f"restored_{SLOT}_{os.environ.get('PYTEST_XDIST_WORKER', 'gw0')}"
    with connect(os.environ["DATABASE_URL"]) as server:
        server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {name}")
        yield re.sub(r"(://[^/]*/)[^?]*", rf"\g<1>{name}", os.environ["DATABASE_URL"])
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def backup(transactional_db, make_movie, tmp_path):
    """A backup of the test database, which has one movie."""
    make_movie("Alien")
    file = tmp_path / "nexus.dump"
    process = run_command("backup", file, database_url=get_database_url())
    assert process.returncode == 0, process.stderr
    return file


@pytest.mark.django_db(transaction=True)
def test_a_restored_database_has_the_same_rows_and_serves(other_database, tmp_path, gunicorn):
    call_command("load_starter")
    file = tmp_path / "nexus.dump"

    backup = run_command("backup", file, database_url=get_database_url())
    restore = run_command("restore", file, "--no-input", database_url=other_database)
    check = run_command("migrate", "--check", database_url=other_database)

    assert (backup.returncode, restore.returncode) == (0, 0), backup.stderr + restore.stderr
    contents = read_contents(get_database_url())
    assert contents["movies_movie"][0] == 375
    assert read_contents(other_database) == contents
    assert check.returncode == 0, check.stdout
    url = gunicorn(DATABASE_URL=other_database)
    assert requests.get(f"{url}/health/ready/", timeout=10).json()["status"] == "ok"
    assert requests.get(f"{url}/movies/?search=alien", timeout=10).json()["count"] > 0


def test_restoring_removes_what_the_backup_does_not_have_and_changes_nothing_if_it_fails(
    backup, other_database
):
    run_command("restore", backup, "--no-input", database_url=other_database)
    with connect(other_database) as database:
        database.execute("CREATE TABLE table_of_a_later_version (id int)")
        database.execute("UPDATE movies_movie SET title = 'Aliens'")

    again = run_command("restore", backup, "--no-input", database_url=other_database)
    before = read_contents(other_database)
    backup.write_bytes(backup.read_bytes()[:5_000])
    truncated = run_command("restore", backup, "--no-input", database_url=other_database)

    assert (again.returncode, again.stderr) == (0, "")
    assert before == read_contents(get_database_url())
    assert truncated.returncode == 1
    assert "pg_restore" in truncated.stderr
    assert read_contents(other_database) == before


def test_a_backup_is_private_and_neither_overwritten_nor_restored_without_consent(backup):
    again = run_command("backup", backup, database_url=get_database_url())
    restore = run_command("restore", backup, database_url=get_database_url())

    assert backup.stat().st_mode & 0o777 == 0o600
    assert again.returncode == 1
    assert f"{backup} exists" in again.stderr
    assert [path.name for path in backup.parent.iterdir()] == ["nexus.dump"]
    assert restore.returncode == 1
    assert "Replace everything" in restore.stdout
    assert restore.stderr == "CommandError: Nothing was changed.\n"
