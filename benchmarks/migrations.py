"""What each migration costs those who read and write meanwhile: `python -m benchmarks.migrations`.

A database is taken from nothing to now, a migration at a time, in the order in which they are run.
From the first table of films on there are thousands of films, members and ratings, as many as their
tables can hold by then, and during each migration one session has read every table and does not end,
as a dump would, while others read and write all the time. The old code is not there to be served
from, so that their statements stand for its requests; `make chaos` measures requests to the present
code behind migrations to come. Prints a row a migration: how long it took, how many statements of
others ran meanwhile, and how long the slowest of their reads and writes took.
Ends with status 1 where one took longer than is promised.
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

from benchmarks.service import SETTINGS, database_made, manage, ms
from nexus.dev import embedded

PROMISED_S = 2.0
# How long the long reader stays: longer than any limit of a lock.
READER_S = 3.0
ROWS = {"movies_movie": 5000, "accounts_user": 1000, "social_rating": 20_000}
READERS = 4
# What a column holds that has a rule of its own; of any other, something of its type.
VALUES = {
    "movies_movie.tmdb_id": "n",
    "movies_movie.imdb_id": "NULL",
    "movies_movie.search_vector": "''",
    "social_rating.movie_id": "1 + n % 5000",
    "social_rating.user_id": "1 + n / 5000",
    "social_rating.score": "1 + n % 5",
}
BY_TYPE = {
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
class Others:
    """What those who are being served meanwhile did, and how long it took, in seconds."""

    reads: list[float] = field(default_factory=list)
    writes: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def tables(session: psycopg.Connection[Any]) -> list[str]:
    rows = session.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        " AND relname <> 'django_migrations' ORDER BY relname"
    )
    return [row[0] for row in rows]


def fill(session: psycopg.Connection[Any]) -> None:
    """Put rows into those of ROWS that are there and empty."""
    present = tables(session)
    for table, rows in ROWS.items():
        if (
            table not in present
            or session.execute(
                sql.SQL("SELECT 1 FROM {} LIMIT 1").format(sql.Identifier(table))
            ).fetchone()
        ):
            continue
        columns = session.execute(
            "SELECT column_name, data_type, character_maximum_length"
            " FROM information_schema.columns WHERE table_name = %s AND is_nullable = 'NO'"
            " AND is_generated = 'NEVER' AND column_default IS NULL AND is_identity = 'NO'",
            [table],
        ).fetchall()
        names = [name for name, *_ in columns]
        values = [
            VALUES.get(f"{table}.{name}") or BY_TYPE[kind].format(length=length)
            for name, kind, length in columns
        ]
        session.execute(
            f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)}"
            f" FROM generate_series(1, {rows}) AS n"
        )
        session.execute(f"ANALYZE {table}")


@contextmanager
def busy(url: str) -> Iterator[Others]:
    """Others who read every table there is, and write those that have rows."""
    others, over = Others(), threading.Event()
    with psycopg.connect(url) as session:
        present = tables(session)
    reads = [f"SELECT * FROM {table} LIMIT 20" for table in present]
    writes = [
        f"UPDATE {table} SET {column} = {column} WHERE id = 7"
        for table, column in (
            ("movies_movie", "popularity"),
            ("accounts_user", "bio"),
            ("social_rating", "score"),
        )
        if table in present
    ]

    def work(statements: Sequence[str], took: list[float]) -> None:
        # Without prepared statements, as Django's are.
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as session:
            while not over.is_set():
                for statement in statements:
                    started = time.perf_counter()
                    try:
                        session.execute(statement)
                    except psycopg.Error as error:
                        others.failures.append(str(error))
                    took.append(time.perf_counter() - started)
                    time.sleep(0.002)

    threads = [threading.Thread(target=work, args=(reads, others.reads)) for _ in range(READERS)]
    if writes:
        threads.append(threading.Thread(target=work, args=(writes, others.writes)))
    for thread in threads:
        thread.start()
    try:
        yield others
    finally:
        over.set()
        for thread in threads:
            thread.join()


@contextmanager
def long_reader(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A session that has read every table, sees them all as of then, and does not end."""
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        for table in tables(session):
            session.execute(f"SELECT count(*) FROM {table}")
        yield session


def measure(app: str, name: str, environment: dict[str, str]) -> bool:
    """Run one migration behind a long reader; whether nobody waited longer than is promised."""
    url = environment["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as session:
        fill(session)
        if "movies_movie" not in tables(session):
            manage("migrate", app, name, "--verbosity", "0", environment=environment)
            return True
    with ExitStack() as stack:
        reader = stack.enter_context(long_reader(url))
        others = stack.enter_context(busy(url))
        command = [sys.executable, "manage.py", "migrate", app, name, "--verbosity", "0"]
        started = time.perf_counter()
        migrating = subprocess.Popen(
            command, env=environment, cwd=embedded.ROOT, stderr=subprocess.PIPE, text=True
        )
        with suppress(subprocess.TimeoutExpired):
            migrating.wait(READER_S)
        reader.close()
        _, told = migrating.communicate(timeout=60)
        took_s = time.perf_counter() - started
    for line in {told.strip() if migrating.returncode else "", *others.failures} - {""}:
        print(line, file=sys.stderr)
    waited = "trying again" in told or "Waiting" in told
    slowest = [max(each, default=0.0) for each in (others.reads, others.writes)]
    kept = max(slowest) <= PROMISED_S and not others.failures and not migrating.returncode
    print(
        f"{'ok  ' if kept else 'MISS'} {f'{app}.{name}':<48} {took_s:>5.1f} s "
        f"{'yes' if waited else '-':>6} {len(others.reads) + len(others.writes):>7} "
        f"{len(others.failures):>6} {ms(slowest[0]):>10} {ms(slowest[1]):>10}",
        flush=True,
    )
    return kept


def plan(environment: dict[str, str]) -> list[tuple[str, str]]:
    """All migrations, in the order in which they are run on an empty database."""
    told = manage("showmigrations", "--plan", environment=environment)
    return [(found[1], found[2]) for found in re.finditer(r"^\[ \] +(\w+)\.(\w+)", told, re.M)]


def main(wanted: Sequence[str] = ()) -> int:
    """Measure the migrations whose names begin like one of `wanted`, or all."""
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    rows = []
    print(
        f"     {'migration':<48} {'took':>7} {'waited':>6} {'others':>7} {'failed':>6} "
        f"{'read max':>10} {'write max':>10}"
    )
    with tempfile.TemporaryDirectory(prefix="migrations-") as folder:
        Path(folder).chmod(0o755)
        with embedded.run_servers(Path(folder)):
            database = database_made("migrations")
            environment = {**os.environ, **SETTINGS, "DATABASE_URL": database}
            for app, name in plan(environment):
                if not wanted or f"{app}.{name}".startswith(tuple(wanted)):
                    rows.append(measure(app, name, environment))
                else:
                    manage("migrate", app, name, "--verbosity", "0", environment=environment)
    print(f"{sum(rows)} of {len(rows)} migrations kept nobody waiting {PROMISED_S:g} s.")
    return 0 if all(rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
