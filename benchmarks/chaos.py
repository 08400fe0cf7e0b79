"""What each fault costs those who are being served: `make chaos`, about six minutes.

gunicorn as it is deployed (2 workers of 4 threads) on a PostgreSQL and a Valkey of its own, under a
steady load of reads and writes from a process of its own; one fault after the other is brought about
and taken away again. Prints a row a fault: requests, failures by kind, p99 while it lasted, the longest
of all, and how long after its end the last request failed. Then benchmarks.migrations. Ends with status 1 where a promise is not kept.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import redis

from benchmarks import migrations
from benchmarks.load import start_load
from benchmarks.service import (
    GUNICORN,
    SETTINGS,
    database_made,
    find_free_port,
    manage,
    ms,
    percentile,
    wait_until_ready,
)
from nexus.dev import embedded

RATE_S = 40
CONNECTIONS = 16
CALM_S, FAULT_S, AFTER_S = 2.0, 5.0, 5.0
MEMBERS = 8
# Behind all that waits for a part that is gone, the platform asks whether the process lives.
LIVE = "/health/live/"


@dataclass(frozen=True)
class Promise:
    """What a fault may cost. Statuses besides those that are answers of the contract's own."""

    #: Which 5xx may be told while it lasts and until `recovery_s` after its end.
    statuses: frozenset[int] = frozenset()
    p99_s: float | None = None
    recovery_s: float = 0.0
    #: Requests that may be cut off (a killed worker's, in flight).
    cut_off: int = 0
    #: The longest that /health/live/ may take; None where all threads may be held.
    live_s: float | None = 1.0
    #: The longest that any request may take.
    longest_s: float | None = None


# Migrations to come, one of each kind that the linter (nexus/tests/test_migrations.py) lets through.
# As `migrate` finds them: a package that begins with the films' own migrations, and settings.
MIGRATIONS = {
    "coming_settings.py": """
from nexus.settings import *
MIGRATION_MODULES = {"movies": "coming"}
""",
    "coming/__init__.py": """
import movies.migrations
__path__.extend(movies.migrations.__path__)
""",
    "coming/0098_tables.py": """
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
class Migration(migrations.Migration):
    dependencies = [("movies", "{last}")]
    operations = [
        migrations.CreateModel("Award", [
            ("id", models.BigAutoField(primary_key=True)),
            ("movie", models.ForeignKey("movies.movie", models.CASCADE)),
        ]),
        migrations.AddField("movie", "coming", models.IntegerField(db_default=0)),
        AddConstraintNotValid("movie", models.CheckConstraint(
            condition=models.Q(coming__gte=0), name="movie_coming_not_negative"
        )),
    ]
""",
    "coming/0099_indexes.py": """
from django.contrib.postgres.operations import AddIndexConcurrently, ValidateConstraint
from django.db import migrations, models
class Migration(migrations.Migration):
    atomic = False
    dependencies = [("movies", "0098_tables")]
    operations = [
        AddIndexConcurrently("movie", models.Index(fields=["coming"], name="movie_coming")),
        ValidateConstraint("movie", "movie_coming_not_negative"),
    ]
""",
}


@dataclass
class Chaos:
    """The running parts."""

    url: str
    data: Path
    environment: dict[str, str]
    master: subprocess.Popen[bytes]
    tokens: list[str]
    movie_ids: list[int]
    rows: list[bool] = field(default_factory=list)

    @property
    def valkey(self) -> redis.Redis:
        return redis.Redis.from_url(self.environment["REDIS_URL"])

    def requests(self, seconds: float) -> list[dict[str, Any] | str]:
        """The load: of ten requests seven read the catalogue, one is personal and two write."""
        found: list[dict[str, Any] | str] = []
        for number in range(int(seconds * RATE_S)):
            token = self.tokens[number // 10 % len(self.tokens)]
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            movie = self.movie_ids[number * 7 % len(self.movie_ids)]
            found.append(
                (
                    "/movies/",
                    f"/movies/{movie}/",
                    "/movies/?genre=Drama&ordering=-weighted_rating",
                    {"path": "/movies/recommendations/", "headers": headers},
                    "/movies/top_rated/",
                    {
                        "method": "POST",
                        "path": "/ratings/",
                        "headers": headers,
                        "body": {"movie": movie, "score": 1 + number % 9 / 2},
                    },
                    LIVE,
                    "/genres/",
                    {
                        "method": "POST",
                        "path": "/playlists/",
                        "headers": headers,
                        "body": {"name": f"Night {number}", "movie_ids": [movie]},
                    },
                    "/movies/?search=the",
                )[number % 10]
            )
        return found

    def workers(self) -> list[int]:
        pid = self.master.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(each) for each in children.split()]

    def valkey_pid(self) -> int:
        return int((self.data / "valkey" / "valkey.pid").read_text())

    def postgres_pid(self) -> int:
        return int((self.data / "postgres" / "postmaster.pid").read_text().split()[0])

    def postgres_processes(self) -> list[int]:
        pid = self.postgres_pid()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [pid, *(int(each) for each in children.split())]

    def start_valkey(self) -> None:
        embedded.start_valkey(self.data)

    def start_postgres(self) -> None:
        embedded.start_postgres(self.data)


Fault = Callable[[Chaos], Iterator[None]]


# --- Faults: each begins, yields while it lasts, and ends ----------------------------------------


def nothing(chaos: Chaos) -> Iterator[None]:
    yield


def valkey_killed(chaos: Chaos) -> Iterator[None]:
    os.kill(chaos.valkey_pid(), signal.SIGKILL)
    yield
    chaos.start_valkey()


def valkey_hung(chaos: Chaos) -> Iterator[None]:
    os.kill(chaos.valkey_pid(), signal.SIGSTOP)
    yield
    os.kill(chaos.valkey_pid(), signal.SIGCONT)


def valkey_flushed(chaos: Chaos) -> Iterator[None]:
    for _ in range(10):
        chaos.valkey.flushall()
        time.sleep(0.2)
    yield


def valkey_full(chaos: Chaos) -> Iterator[None]:
    valkey = chaos.valkey
    valkey.config_set("maxmemory-policy", "noeviction")
    valkey.config_set("maxmemory", "1")
    yield
    valkey.config_set("maxmemory", "128mb")
    valkey.config_set("maxmemory-policy", "allkeys-lru")


def valkey_garbage(chaos: Chaos) -> Iterator[None]:
    """Every key it holds is overwritten, time and again, by bytes and by values of another type."""
    valkey = chaos.valkey
    for turn in range(10):
        for number, name in enumerate(valkey.keys("*")):
            valkey.delete(name)
            if (number + turn) % 2:
                valkey.set(name, b"\xff\x00{")
            else:
                valkey.lpush(name, b"x")
        time.sleep(0.3)
    yield
    valkey.flushall()


def postgres_restarted(chaos: Chaos) -> Iterator[None]:
    embedded.stop_postgres(chaos.data)
    yield
    chaos.start_postgres()


def postgres_killed(chaos: Chaos) -> Iterator[None]:
    for pid in chaos.postgres_processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    yield
    chaos.start_postgres()


def postgres_hung(chaos: Chaos) -> Iterator[None]:
    stopped = chaos.postgres_processes()
    for pid in stopped:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    yield
    for pid in stopped:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def postgres_locked(chaos: Chaos) -> Iterator[None]:
    """As a careless migration would: the table of films, for nobody else."""
    with psycopg.connect(chaos.environment["DATABASE_URL"]) as connection:
        connection.execute("LOCK TABLE movies_movie IN ACCESS EXCLUSIVE MODE")
        yield
        connection.rollback()


def migrated(chaos: Chaos) -> Iterator[None]:
    """Migrations of each kind, while somebody has read the films and does not end."""
    url = chaos.environment["DATABASE_URL"]
    with psycopg.connect(url) as session, tempfile.TemporaryDirectory() as folder:
        sql = "SELECT max(name) FROM django_migrations WHERE app = 'movies'"
        last = session.execute(sql).fetchall()[0][0]
        for name, source in MIGRATIONS.items():
            path = Path(folder) / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(source.replace("{last}", last))
        session.rollback()
        session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        session.execute("SELECT count(*) FROM movies_movie")
        migrating = subprocess.Popen(
            [sys.executable, "manage.py", "migrate", "movies", "--settings", "coming_settings"],
            env={**chaos.environment, "PYTHONPATH": folder},
            cwd=embedded.ROOT,
            stdout=subprocess.DEVNULL,
        )
        yield
        still_waiting = migrating.poll() is None
        session.close()
        if migrating.wait(timeout=30) or not still_waiting:
            raise RuntimeError("The migrations failed, or did not wait for the reader.")


def postgres_without_room(chaos: Chaos) -> Iterator[None]:
    """All connections that are left are taken by others."""
    taken: list[psycopg.Connection[Any]] = []
    with suppress(psycopg.OperationalError):
        while len(taken) < 200:
            taken.append(psycopg.connect(chaos.environment["DATABASE_URL"]))
    yield
    for each in taken:
        each.close()


def worker_killed(chaos: Chaos) -> Iterator[None]:
    os.kill(chaos.workers()[0], signal.SIGKILL)
    yield


def deployed(chaos: Chaos) -> Iterator[None]:
    """A new service takes over the listener (USR2), and the old one is told to end (SIGTERM)."""
    os.kill(chaos.master.pid, signal.SIGUSR2)
    deadline = time.monotonic() + 20
    successor = 0
    while not successor and time.monotonic() < deadline:
        time.sleep(0.1)
        for pid in chaos.workers():
            with suppress(FileNotFoundError):
                if Path(f"/proc/{pid}/task/{pid}/children").read_text():
                    successor = pid
    # Its workers have come up, too.
    time.sleep(1.5)
    os.kill(chaos.master.pid, signal.SIGTERM)
    chaos.master.wait(timeout=30)
    yield


FAULTS: dict[str, tuple[Fault, Promise]] = {
    "nothing": (nothing, Promise(p99_s=0.3)),
    "Valkey killed": (valkey_killed, Promise(p99_s=0.3)),
    # The first three requests of each worker wait for it, and three more every two seconds.
    "Valkey hung (SIGSTOP)": (valkey_hung, Promise(p99_s=0.7)),
    "Valkey flushed": (valkey_flushed, Promise(p99_s=0.3)),
    "Valkey full": (valkey_full, Promise(p99_s=0.3)),
    "Valkey holds garbage": (valkey_garbage, Promise(p99_s=0.3)),
    "PostgreSQL restarted": (postgres_restarted, Promise(frozenset({503}), recovery_s=2.0)),
    "PostgreSQL killed (-9)": (postgres_killed, Promise(frozenset({503}), recovery_s=2.0)),
    # Each thread waits for as long as it hangs, or for lock_timeout.
    "PostgreSQL hung (SIGSTOP)": (postgres_hung, Promise(frozenset({503}), None, 2.0, live_s=None)),
    "films locked by a migration": (
        postgres_locked,
        Promise(frozenset({503}), None, 2.0, live_s=None),
    ),
    "migrations, a long reader": (migrated, Promise(longest_s=2.0)),
    "no connection left": (postgres_without_room, Promise(p99_s=0.5)),
    "worker killed (-9)": (worker_killed, Promise(cut_off=4, recovery_s=2.0)),
    "deploy (USR2, SIGTERM)": (deployed, Promise(p99_s=1.0)),
}


def measure(chaos: Chaos, name: str) -> None:
    """Bring one fault about under load, print its row and note whether its promise was kept."""
    fault, promise = FAULTS[name]
    load = start_load(
        chaos.url,
        chaos.requests(CALM_S + FAULT_S + AFTER_S),
        rate_s=RATE_S,
        connections=CONNECTIONS,
    )
    began = time.perf_counter()
    time.sleep(CALM_S)
    steps = fault(chaos)
    from_s = time.perf_counter() - began
    next(steps)
    time.sleep(max(0.0, CALM_S + FAULT_S - (time.perf_counter() - began)))
    next(steps, None)
    to_s = time.perf_counter() - began
    outcomes = load()
    during = [each for each in outcomes if each.due_s >= from_s and each.due_s <= to_s]
    failed = [
        each
        for each in outcomes
        if each.status >= 500 or each.status == 0 or not each.follows_contract
    ]
    after_s = max((each.due_s - to_s for each in failed), default=0.0)
    kinds = Counter(
        ("cut off" if not each.status else str(each.status))
        + ("" if each.follows_contract else " untold")
        for each in failed
    )
    p99 = percentile([each.latency_s for each in during], 0.99)
    longest = max(each.latency_s for each in outcomes)
    live = max(each.latency_s for each in during if each.path == LIVE)
    cut_off = sum(not each.status for each in failed)
    kept = (
        cut_off <= promise.cut_off
        and all(each.follows_contract for each in failed if each.status)
        and {each.status for each in failed} - {0} <= promise.statuses
        and after_s <= promise.recovery_s
        and (promise.p99_s is None or p99 <= promise.p99_s)
        and (promise.longest_s is None or longest <= promise.longest_s)
        and (promise.live_s is None or live <= promise.live_s)
    )
    chaos.rows.append(kept)
    told = ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common()) or "none"
    recovered = f"{max(0.0, after_s):.1f} s" if failed else "-"
    print(
        f"{'ok  ' if kept else 'MISS'} {name:<28} {len(outcomes):>5} {told:<34} "
        f"{ms(p99):>10} {ms(longest):>10} {ms(live):>10} {recovered:>8}",
        flush=True,
    )
    wait_until_ready(chaos.url)


@contextmanager
def running() -> Iterator[Chaos]:
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        data = Path(folder)
        data.chmod(0o755)
        with embedded.run_servers(data):
            yield from _served(data)


def _served(data: Path) -> Iterator[Chaos]:
    database = database_made("chaos")
    port = find_free_port()
    environment = {**os.environ, **SETTINGS, "DATABASE_URL": database, "PORT": str(port)}
    manage("migrate", "--verbosity", "0", environment=environment)
    manage("load_starter", environment=environment)
    tokens = manage("shell", "--verbosity", "0", "--command", _TOKENS, environment=environment)
    with psycopg.connect(database) as connection:
        found = connection.execute("SELECT id FROM movies_movie ORDER BY id LIMIT 100").fetchall()
    master = subprocess.Popen(
        [*GUNICORN, "--bind", f"127.0.0.1:{port}"], env=environment, cwd=embedded.ROOT
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(url)
        yield Chaos(url, data, environment, master, tokens.split(), [each[0] for each in found])
    finally:
        _end(port)


_TOKENS = f"""
from accounts.models import User
from accounts.tokens import family_create
for user in User.objects.order_by("id")[:{MEMBERS}]:
    print(family_create(user=user).access)
"""


def _end(port: int) -> None:
    """End whichever gunicorn serves now; after a deploy it is no child of ours."""
    mark = f"127.0.0.1:{port}".encode()
    for process in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if mark in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGTERM)


def main(wanted: Sequence[str]) -> int:
    """Bring about the faults whose names begin like one of `wanted`, or all."""
    print(
        f"     {'fault':<28} {'sent':>5} {'failed':<34} {'p99':>10} {'longest':>10} "
        f"{'live':>10} {'recovery':>8}"
    )
    with running() as chaos:
        for name in FAULTS:
            if not wanted or any(name.lower().startswith(each.lower()) for each in wanted):
                measure(chaos, name)
    print(f"{sum(chaos.rows)} of {len(chaos.rows)} promises kept.")
    kept = all(chaos.rows)
    if not wanted:
        print()
        kept = migrations.main() == 0 and kept
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
