"""Cause one fault after another under load and measure its effect on requests.

    make chaos                                  all faults, then benchmarks.migrations (16 minutes)
    python -m benchmarks.chaos [NAME ...]       the faults whose names start with NAME

The server is gunicorn as deployed (2 workers) on its own PostgreSQL and Valkey. Another process sends
reads and writes at a steady rate. Each row shows the requests, the failures by kind, p95 and p99 during
the fault, the slowest request, the time from the end of the fault to the last failure, and how many
health checks of the platform failed. "none" is an undisturbed run.
The exit status is 1 if a promise is broken.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import psycopg
import redis

from benchmarks import migrations
from benchmarks.load import start_load
from benchmarks.service import (
    GUNICORN,
    SETTINGS,
    compute_percentile,
    create_database,
    find_free_port,
    format_ms,
    manage,
    wait_until_ready,
)
from benchmarks.slow_clients import (
    make_body_client,
    make_header_client,
    make_reading_client,
    make_silent_client,
    run_slow_clients,
)
from benchmarks.task_worker import kill_worker_in_each_task
from nexus.dev import embedded

RATE_S = 40
# Enough for the requests that wait for PostgreSQL, so that others do not wait in the client.
CONNECTIONS = 200
CALM_S, FAULT_S, AFTER_S = 2.0, 5.0, 5.0
ATTACK_S = 60.0
# settings.DATABASES
MIN_POOL_SIZE = 4
MEMBERS = 8
# The platform restarts a process that does not respond here, even if all other requests wait.
LIVE_PATH = "/health/live/"
# The platform sends no requests to a service that fails here.
READY_PATH = "/health/ready/"
HEALTH_CHECK_INTERVAL_S = 0.5
HEALTH_CHECK_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Promise:
    """The effect that a fault may have at most."""

    #: The 5xx statuses that are allowed from its start until `recovery_s` after its end.
    statuses: frozenset[int] = frozenset()
    p95_s: float | None = None
    p99_s: float | None = None
    recovery_s: float = 0.0
    #: The number of connections that may break, for example those of a killed worker.
    broken_connections: int = 0
    #: The duration of /health/live/.
    live_s: float = 1.0
    #: The duration of any request.
    longest_s: float | None = None
    fault_s: float = FAULT_S


# A package with the real migrations of movies and two more, which contain every kind of operation that
# nexus/tests/test_migrations.py allows, and settings that name the package.
EXTRA_MIGRATIONS = {
    "extra_settings.py": """
from nexus.settings import *
MIGRATION_MODULES = {"movies": "extra"}
""",
    "extra/__init__.py": """
import movies.migrations
__path__.extend(movies.migrations.__path__)
""",
    "extra/0098_tables.py": """
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models
class Migration(migrations.Migration):
    dependencies = [("movies", "{last}")]
    operations = [
        migrations.CreateModel("Award", [
            ("id", models.BigAutoField(primary_key=True)),
            ("movie", models.ForeignKey("movies.movie", models.CASCADE)),
        ]),
        migrations.AddField("movie", "extra", models.IntegerField(db_default=0)),
        AddConstraintNotValid("movie", models.CheckConstraint(
            condition=models.Q(extra__gte=0), name="movie_extra_not_negative"
        )),
    ]
""",
    "extra/0099_indexes.py": """
from django.contrib.postgres.operations import AddIndexConcurrently, ValidateConstraint
from django.db import migrations, models
class Migration(migrations.Migration):
    atomic = False
    dependencies = [("movies", "0098_tables")]
    operations = [
        AddIndexConcurrently("movie", models.Index(fields=["extra"], name="movie_extra")),
        ValidateConstraint("movie", "movie_extra_not_negative"),
    ]
""",
}


@dataclass
class System:
    """The running service with its servers and its load."""

    url: str
    data: Path
    environment: dict[str, str]
    master: subprocess.Popen[bytes]
    tokens: list[str]
    movie_ids: list[int]
    promises_kept: list[bool] = field(default_factory=list)

    @property
    def valkey(self) -> redis.Redis:
        return redis.Redis.from_url(self.environment["REDIS_URL"])

    def make_requests(self, seconds: float) -> list[dict[str, Any] | str]:
        """Return the load: of ten requests, two write, one reads recommendations and seven others read."""
        requests: list[dict[str, Any] | str] = []
        for number in range(int(seconds * RATE_S)):
            token = self.tokens[number // 10 % len(self.tokens)]
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            movie = self.movie_ids[number * 7 % len(self.movie_ids)]
            requests.append(
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
                    LIVE_PATH,
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
        return requests

    def list_worker_pids(self) -> list[int]:
        return list_child_pids(self.master.pid)

    def read_valkey_pid(self) -> int:
        return int((self.data / "valkey" / "valkey.pid").read_text())

    def list_postgres_pids(self) -> list[int]:
        pid = int((self.data / "postgres" / "postmaster.pid").read_text().split()[0])
        return [pid, *list_child_pids(pid)]

    def start_valkey(self) -> None:
        embedded.start_valkey(self.data)

    def start_postgres(self) -> None:
        embedded.start_postgres(self.data)


def list_child_pids(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in children.split()]


Fault = Callable[[System], Iterator[None]]


@contextmanager
def check_health(url: str) -> Iterator[list[int]]:
    """Run a platform's health check during the block; yield the statuses, 0 for no response."""
    statuses: list[int] = []
    is_over = threading.Event()

    def check() -> None:
        while not is_over.wait(HEALTH_CHECK_INTERVAL_S):
            try:
                with urlopen(f"{url}{READY_PATH}", timeout=HEALTH_CHECK_TIMEOUT_S) as response:
                    statuses.append(response.status)
            except HTTPError as error:
                statuses.append(error.code)
            except OSError:
                statuses.append(0)

    thread = threading.Thread(target=check)
    thread.start()
    try:
        yield statuses
    finally:
        is_over.set()
        thread.join()


# --- Faults: each starts, yields while it lasts, and is repaired ---------------------------------


def do_nothing(system: System) -> Iterator[None]:
    yield


def kill_valkey(system: System) -> Iterator[None]:
    os.kill(system.read_valkey_pid(), signal.SIGKILL)
    yield
    system.start_valkey()


def suspend_valkey(system: System) -> Iterator[None]:
    os.kill(system.read_valkey_pid(), signal.SIGSTOP)
    yield
    os.kill(system.read_valkey_pid(), signal.SIGCONT)


def flush_valkey(system: System) -> Iterator[None]:
    for _ in range(10):
        system.valkey.flushall()
        time.sleep(0.2)
    yield


def fill_valkey(system: System) -> Iterator[None]:
    valkey = system.valkey
    valkey.config_set("maxmemory-policy", "noeviction")
    valkey.config_set("maxmemory", "1")
    yield
    valkey.config_set("maxmemory", "128mb")
    valkey.config_set("maxmemory-policy", "allkeys-lru")


def corrupt_valkey(system: System) -> Iterator[None]:
    """Overwrite every key repeatedly, with random bytes or a value of another type."""
    valkey = system.valkey
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


def restart_postgres(system: System) -> Iterator[None]:
    embedded.stop_postgres(system.data)
    yield
    system.start_postgres()


def kill_postgres(system: System) -> Iterator[None]:
    for pid in system.list_postgres_pids():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    yield
    system.start_postgres()


def suspend_postgres(system: System) -> Iterator[None]:
    stopped = system.list_postgres_pids()
    for pid in stopped:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    yield
    for pid in stopped:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def lock_movies(system: System) -> Iterator[None]:
    """Lock the table of movies, as a careless migration would."""
    with psycopg.connect(system.environment["DATABASE_URL"]) as connection:
        connection.execute("LOCK TABLE movies_movie IN ACCESS EXCLUSIVE MODE")
        yield
        connection.rollback()


def migrate_behind_reader(system: System) -> Iterator[None]:
    """Run migrations of every kind while a long transaction has read the movies."""
    url = system.environment["DATABASE_URL"]
    with psycopg.connect(url) as session, tempfile.TemporaryDirectory() as folder:
        sql = "SELECT max(name) FROM django_migrations WHERE app = 'movies'"
        last = session.execute(sql).fetchall()[0][0]
        for name, source in EXTRA_MIGRATIONS.items():
            path = Path(folder) / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(source.replace("{last}", last))
        session.rollback()
        session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        session.execute("SELECT count(*) FROM movies_movie")
        process = subprocess.Popen(
            [sys.executable, "manage.py", "migrate", "movies", "--settings", "extra_settings"],
            env={**system.environment, "PYTHONPATH": folder},
            cwd=embedded.ROOT,
            stdout=subprocess.DEVNULL,
        )
        yield
        is_waiting = process.poll() is None
        session.close()
        if process.wait(timeout=30) or not is_waiting:
            raise RuntimeError("The migrations failed or did not wait for the reader.")


def exhaust_connections(system: System) -> Iterator[None]:
    """Open connections until PostgreSQL accepts no more."""
    connections: list[psycopg.Connection[Any]] = []
    with suppress(psycopg.OperationalError):
        while len(connections) < 200:
            connections.append(psycopg.connect(system.environment["DATABASE_URL"]))
    yield
    for connection in connections:
        connection.close()


def kill_worker(system: System) -> Iterator[None]:
    os.kill(system.list_worker_pids()[0], signal.SIGKILL)
    yield


def deploy(system: System) -> Iterator[None]:
    """Start a new gunicorn master on the same socket (USR2) and stop the old one (SIGTERM)."""
    old_pids = set(system.list_worker_pids())
    os.kill(system.master.pid, signal.SIGUSR2)
    deadline = time.monotonic() + 30
    while not _has_started(set(system.list_worker_pids()) - old_pids):
        if time.monotonic() > deadline:
            raise RuntimeError("The new gunicorn master did not start its workers.")
        time.sleep(0.1)
    os.kill(system.master.pid, signal.SIGTERM)
    system.master.wait(timeout=30)
    yield


def _has_started(masters: set[int]) -> bool:
    """Return whether one of these processes is a master whose workers have loaded the application."""
    for master in masters:
        with suppress(FileNotFoundError):
            workers = list_child_pids(master)
            # gunicorn.conf.py opens the database connections when the application is loaded.
            if workers and all(count_sockets(pid) > MIN_POOL_SIZE for pid in workers):
                return True
    return False


def count_sockets(pid: int) -> int:
    files = Path(f"/proc/{pid}/fd").iterdir()
    return sum(os.readlink(file).startswith("socket:") for file in files)


def attack_with_silence(system: System) -> Iterator[None]:
    with run_slow_clients(system.url, 300, make_silent_client):
        yield


def attack_with_headers(system: System) -> Iterator[None]:
    with run_slow_clients(system.url, 50, make_header_client):
        yield


def attack_with_bodies(system: System) -> Iterator[None]:
    with run_slow_clients(system.url, 50, lambda: make_body_client(system.tokens[0])):
        yield


def attack_with_reading(system: System) -> Iterator[None]:
    path = "/movies/?page_size=100"
    with run_slow_clients(system.url, 50, lambda: make_reading_client(path, system.tokens[0])):
        yield


FAULTS: dict[str, tuple[Fault, Promise]] = {
    "none": (do_nothing, Promise(p99_s=0.3)),
    "Valkey killed": (kill_valkey, Promise(p99_s=0.3)),
    # The first three requests of each worker wait for Valkey, then three every two seconds.
    "Valkey suspended": (suspend_valkey, Promise(p99_s=0.7)),
    "Valkey flushed": (flush_valkey, Promise(p99_s=0.3)),
    "Valkey full": (fill_valkey, Promise(p99_s=0.3)),
    "Valkey corrupted": (corrupt_valkey, Promise(p99_s=0.3)),
    "PostgreSQL restarted": (restart_postgres, Promise(frozenset({503}), recovery_s=2.0)),
    "PostgreSQL killed": (kill_postgres, Promise(frozenset({503}), recovery_s=2.0)),
    "PostgreSQL suspended": (suspend_postgres, Promise(frozenset({503}), recovery_s=2.0)),
    "movies locked": (lock_movies, Promise(frozenset({503}), recovery_s=2.0)),
    "migrations behind a reader": (migrate_behind_reader, Promise(longest_s=2.0)),
    "no free connection": (exhaust_connections, Promise(p99_s=0.5)),
    "worker killed": (kill_worker, Promise(broken_connections=4, recovery_s=2.0)),
    "deploy": (deploy, Promise(p99_s=1.0)),
    "300 silent connections": (attack_with_silence, Promise(p95_s=0.1, fault_s=ATTACK_S)),
    "50 dripping headers": (attack_with_headers, Promise(p95_s=0.1, fault_s=ATTACK_S)),
    "50 dripping bodies": (attack_with_bodies, Promise(p95_s=0.1, fault_s=ATTACK_S)),
    "50 slow readers": (attack_with_reading, Promise(p95_s=0.1, fault_s=ATTACK_S)),
}


TASK_WORKER = "task worker killed"


def measure(system: System, name: str) -> None:
    """Cause one fault under load, print its row and record whether its promise was kept."""
    fault, promise = FAULTS[name]
    finish_load = start_load(
        system.url,
        system.make_requests(CALM_S + promise.fault_s + AFTER_S),
        rate_s=RATE_S,
        connections=CONNECTIONS,
    )
    with check_health(system.url) as health:
        began = time.perf_counter()
        time.sleep(CALM_S)
        steps = fault(system)
        start_s = time.perf_counter() - began
        next(steps)
        time.sleep(max(0.0, CALM_S + promise.fault_s - (time.perf_counter() - began)))
        next(steps, None)
        end_s = time.perf_counter() - began
        results = finish_load()
    during = [result for result in results if start_s <= result.due_s <= end_s]
    failures = [
        result
        for result in results
        if result.status >= 500 or result.status == 0 or not result.follows_contract
    ]
    last_failure_s = max((failure.due_s - end_s for failure in failures), default=0.0)
    kinds = Counter(
        (str(failure.status) if failure.status else "broken connection")
        + ("" if failure.follows_contract else " against the contract")
        for failure in failures
    )
    latencies = [result.latency_s for result in during]
    p95, p99 = compute_percentile(latencies, 0.95), compute_percentile(latencies, 0.99)
    longest = max(result.latency_s for result in results)
    live = max(result.latency_s for result in during if result.path == LIVE_PATH)
    unhealthy = [status for status in health if status != 200 and status not in promise.statuses]
    is_kept = (
        len(unhealthy) <= promise.broken_connections
        and sum(not failure.status for failure in failures) <= promise.broken_connections
        and all(failure.follows_contract for failure in failures if failure.status)
        and {failure.status for failure in failures} - {0} <= promise.statuses
        and last_failure_s <= promise.recovery_s
        and (promise.p95_s is None or p95 <= promise.p95_s)
        and (promise.p99_s is None or p99 <= promise.p99_s)
        and (promise.longest_s is None or longest <= promise.longest_s)
        and live <= promise.live_s
    )
    system.promises_kept.append(is_kept)
    failure_text = ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common()) or "none"
    recovery_text = f"{max(0.0, last_failure_s):.1f} s" if failures else "-"
    print(
        f"{'ok  ' if is_kept else 'MISS'} {name:<28} {len(results):>5} {failure_text:<34} "
        f"{format_ms(p95):>10} {format_ms(p99):>10} {format_ms(longest):>10} {format_ms(live):>10} {recovery_text:>8} "
        f"{sum(status != 200 for status in health):>3} of {len(health)}",
        flush=True,
    )
    wait_until_ready(system.url)


@contextmanager
def run_system() -> Iterator[System]:
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        data = Path(folder)
        data.chmod(0o755)
        with embedded.run_servers(data):
            yield from _serve(data)


def _serve(data: Path) -> Iterator[System]:
    database = create_database("chaos")
    port = find_free_port()
    environment = {**os.environ, **SETTINGS, "DATABASE_URL": database, "PORT": str(port)}
    manage("migrate", "--verbosity", "0", environment=environment)
    manage("load_starter", environment=environment)
    tokens = manage("shell", "--verbosity", "0", "--command", _TOKENS, environment=environment)
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT id FROM movies_movie ORDER BY id LIMIT 100").fetchall()
    master = subprocess.Popen(
        [*GUNICORN, "--bind", f"127.0.0.1:{port}"], env=environment, cwd=embedded.ROOT
    )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_ready(url)
        yield System(url, data, environment, master, tokens.split(), [row[0] for row in rows])
    finally:
        _stop_gunicorn(port)


_TOKENS = f"""
from accounts.models import User
from accounts.tokens import family_create
for user in User.objects.order_by("id")[:{MEMBERS}]:
    print(family_create(user=user).access)
"""


def _stop_gunicorn(port: int) -> None:
    """Stop the gunicorn that serves this port. After a deploy it is not a child of this process."""
    address = f"127.0.0.1:{port}".encode()
    for process in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if address in (process / "cmdline").read_bytes():
                os.kill(int(process.name), signal.SIGTERM)


def main(names: Sequence[str]) -> int:
    """Measure the faults whose names start with one of `names`, or all; return the exit status."""
    print(
        f"     {'fault':<28} {'sent':>5} {'failed':<34} {'p95':>10} {'p99':>10} {'longest':>10} "
        f"{'live':>10} {'recovery':>8} unhealthy"
    )
    prefixes = tuple(name.lower() for name in names) or ("",)
    with run_system() as system:
        for name in FAULTS:
            if name.lower().startswith(prefixes):
                measure(system, name)
        if TASK_WORKER.startswith(prefixes):
            system.promises_kept.append(kill_worker_in_each_task(system.environment))
    print(f"{sum(system.promises_kept)} of {len(system.promises_kept)} promises kept.")
    status = 0 if all(system.promises_kept) else 1
    if not names:
        print()
        status |= migrations.main()
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
