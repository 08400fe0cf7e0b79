"""Measure how long each migration makes other sessions wait.

    python -m benchmarks.migrations [APP.NAME ...]      the migrations whose names start like this

An empty database is migrated to the present state, one migration at a time, in Django's order. The
tables of movies, users and ratings are filled as soon as they exist. During each migration, one
transaction has read every table and stays open, as a dump does, while other sessions read and write.

Each row shows the duration of the migration, the number of statements of the other sessions, and the
slowest read and write. The exit status is 1 if one of them took longer than promised. These
statements stand in for the requests of the old code, which is not available here; `make chaos`
measures requests to the present code during migrations.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from benchmarks.service import SETTINGS, create_database, format_ms, manage
from nexus.dev import embedded

MAX_WAIT_S = 2.0
# Longer than any lock timeout.
LONG_TRANSACTION_S = 3.0
ROWS = {"movies_movie": 5000, "accounts_user": 1000, "social_rating": 20_000}
READERS = 4
# SQL expressions for columns with constraints. Other columns get a value of their type.
VALUES_BY_COLUMN = {
    "movies_movie.tmdb_id": "n",
    "movies_movie.imdb_id": "NULL",
    "movies_movie.search_vector": "''",
    "social_rating.movie_id": "1 + n % 5000",
    "social_rating.user_id": "1 + n / 5000",
    "social_rating.score": "1 + n % 5",
}
VALUES_BY_TYPE = {
    "bigint": "n",
    "integer": "0",
    "smallint": "0",
    "double precision": "0",
    "boolean": "true",
    "jsonb": "'[]'",
    "timestamp with time zone": "now()",
    "date": "'2000-01-01'",
    "character varying": "left('x' || n, {length})",
    "text": "'x' || n",
}


@dataclass
class Traffic:
    """The durations of other sessions' statements in seconds, and their errors."""

    reads: list[float] = field(default_factory=list)
    writes: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def list_tables(session: psycopg.Connection[Any]) -> list[str]:
    rows = session.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        " AND relname <> 'django_migrations' ORDER BY relname"
    )
    return [row[0] for row in rows]


def fill_tables(session: psycopg.Connection[Any]) -> None:
    """Insert rows into those of ROWS that exist and are empty."""
    existing = list_tables(session)
    for table, row_count in ROWS.items():
        first_row = sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier(table))
        if table not in existing or session.execute(first_row).fetchone():
            continue
        columns = session.execute(
            "SELECT column_name, data_type, character_maximum_length"
            " FROM information_schema.columns WHERE table_name = %s AND is_nullable = 'NO'"
            " AND is_generated = 'NEVER' AND column_default IS NULL AND is_identity = 'NO'",
            [table],
        ).fetchall()
        names = [name for name, *_ in columns]
        values = [
            VALUES_BY_COLUMN.get(f"{table}.{name}") or VALUES_BY_TYPE[kind].format(length=length)
            for name, kind, length in columns
        ]
        session.execute(
            f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)}"
            f" FROM generate_series(1, {row_count}) AS n"
        )
        session.execute(f"ANALYZE {table}")


@contextmanager
def run_traffic(url: str) -> Iterator[Traffic]:
    """Read every table and write the filled ones, in sessions of their own, during the block."""
    traffic, is_over = Traffic(), threading.Event()
    with psycopg.connect(url) as session:
        existing = list_tables(session)
    reads = [f"SELECT * FROM {table} LIMIT 20" for table in existing]
    writes = [
        f"UPDATE {table} SET {column} = {column} WHERE id = 7"
        for table, column in (
            ("movies_movie", "popularity"),
            ("accounts_user", "bio"),
            ("social_rating", "score"),
        )
        if table in existing
    ]

    def work(statements: Sequence[str], durations: list[float]) -> None:
        # Without prepared statements, like Django.
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as session:
            while not is_over.is_set():
                for statement in statements:
                    started = time.perf_counter()
                    try:
                        session.execute(statement)
                    except psycopg.Error as error:
                        traffic.errors.append(str(error))
                    durations.append(time.perf_counter() - started)
                    time.sleep(0.002)

    threads = [threading.Thread(target=work, args=(reads, traffic.reads)) for _ in range(READERS)]
    if writes:
        threads.append(threading.Thread(target=work, args=(writes, traffic.writes)))
    for thread in threads:
        thread.start()
    try:
        yield traffic
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


@contextmanager
def open_long_transaction(url: str) -> Iterator[psycopg.Connection[Any]]:
    """Yield a session whose transaction has read every table, as a dump does."""
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        for table in list_tables(session):
            session.execute(f"SELECT count(*) FROM {table}")
        yield session


def measure(app: str, name: str, environment: dict[str, str]) -> bool:
    """Run one migration behind a long transaction; return whether nobody waited too long."""
    url = environment["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as session:
        fill_tables(session)
        if "movies_movie" not in list_tables(session):
            manage("migrate", app, name, "--verbosity", "0", environment=environment)
            return True
    with ExitStack() as stack:
        long_transaction = stack.enter_context(open_long_transaction(url))
        traffic = stack.enter_context(run_traffic(url))
        command = [sys.executable, "manage.py", "migrate", app, name, "--verbosity", "0"]
        started = time.perf_counter()
        process = subprocess.Popen(
            command, env=environment, cwd=embedded.ROOT, stderr=subprocess.PIPE, text=True
        )
        with suppress(subprocess.TimeoutExpired):
            process.wait(LONG_TRANSACTION_S)
        long_transaction.close()
        _, output = process.communicate(timeout=60)
        duration_s = time.perf_counter() - started
    for line in {output.strip() if process.returncode else "", *traffic.errors} - {""}:
        print(line, file=sys.stderr)
    has_waited = "Trying again" in output or "Waiting" in output
    slowest_read, slowest_write = (
        max(durations, default=0.0) for durations in (traffic.reads, traffic.writes)
    )
    is_kept = (
        max(slowest_read, slowest_write) <= MAX_WAIT_S
        and not traffic.errors
        and not process.returncode
    )
    print(
        f"{'ok  ' if is_kept else 'MISS'} {f'{app}.{name}':<48} {duration_s:>6.1f} s "
        f"{'yes' if has_waited else '-':>6} {len(traffic.reads) + len(traffic.writes):>10} "
        f"{len(traffic.errors):>6} {format_ms(slowest_read):>10} {format_ms(slowest_write):>10}",
        flush=True,
    )
    return is_kept


def list_migrations(environment: dict[str, str]) -> list[tuple[str, str]]:
    """Return all migrations as (app, name), in the order in which they run."""
    plan = manage("showmigrations", "--plan", environment=environment)
    return re.findall(r"^\[ \] +(\w+)\.(\w+)", plan, re.MULTILINE)


def main(names: Sequence[str] = ()) -> int:
    """Measure the migrations whose names start with one of `names`, or all; return the exit status."""
    for variable in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(variable, None)
    promises_kept = []
    print(
        f"     {'migration':<48} {'duration':>8} {'waited':>6} {'statements':>10} {'errors':>6} "
        f"{'read max':>10} {'write max':>10}"
    )
    with tempfile.TemporaryDirectory(prefix="migrations-") as folder:
        # PostgreSQL runs as another user if this process runs as root.
        Path(folder).chmod(0o755)
        with embedded.run_servers(Path(folder)):
            database = create_database("migrations")
            environment = {**os.environ, **SETTINGS, "DATABASE_URL": database}
            for app, name in list_migrations(environment):
                if f"{app}.{name}".startswith(tuple(names) or ""):
                    promises_kept.append(measure(app, name, environment))
                else:
                    manage("migrate", app, name, "--verbosity", "0", environment=environment)
    print(
        f"During {sum(promises_kept)} of {len(promises_kept)} migrations no statement took longer "
        f"than {MAX_WAIT_S:g} s."
    )
    return 0 if all(promises_kept) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
