"""pytest plugin: starts the real servers and defines the fixtures that all apps use.

Simultaneous test runs need different values of NEXUS_TEST_SLOT (1 to 15, default 1), which names
their databases.
"""

from __future__ import annotations

import gc
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nexus.dev import embedded
from nexus.dev.template_database import replace_database

if TYPE_CHECKING:
    from rest_framework.test import APIClient

    from accounts.models import User
    from movies.models import Movie

SLOT = os.environ.get("NEXUS_TEST_SLOT", "1")
PASSWORD = "correct-horse-7-battery"
_servers = ExitStack()


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    # With Python's default thresholds, garbage collection takes a sixth of the run time.
    gc.set_threshold(100_000, 50, 50)
    # The oldest version that the service supports, and that of compose.yaml and render.yaml. `make run`
    # has the newest one.
    version = os.environ.setdefault("PGSERVER_POSTGRES_VERSION", "16")
    data_dir = embedded.DATA_DIR / f"tests-postgres-{version}"
    _servers.enter_context(embedded.run_servers(data_dir, durable=False))
    os.environ.setdefault("SECRET_KEY", "a key for tests that is long enough for HS256")
    # Each process of a parallel run (gw0, gw1) has its own cache database. pytest-django does the
    # same for PostgreSQL.
    number = int(SLOT) + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    os.environ["REDIS_URL"] = re.sub(r"([?]db=|/)\d+$", rf"\g<1>{number}", os.environ["REDIS_URL"])
    os.environ["TEST_DATABASE"] = f"test_nexus_{SLOT}"
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    os.environ["ALLOWED_HOSTS"] = "testserver,localhost,127.0.0.1"
    for name in ("TMDB_ACCESS_TOKEN", "TMDB_API_KEY", "TMDB_BASE_URL", "RATE_LIMIT_SCALE"):
        os.environ.pop(name, None)


def pytest_unconfigure() -> None:
    _servers.close()


@pytest.fixture(autouse=True)
def _clear_cache() -> None:
    from django_redis import get_redis_connection

    from nexus.core.cache.client import breaker

    breaker.reset()
    get_redis_connection("default").flushdb()


@pytest.fixture(autouse=True)
def _disable_response_cache(settings: Any) -> None:
    # Otherwise a test would get the response from before its change.
    settings.RESPONSE_CACHE_TTL_S = 0


@pytest.fixture(autouse=True)
def _use_fast_password_hasher(settings: Any) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def _find_static_files_on_request(settings: Any) -> None:
    # Otherwise WhiteNoise lists all static files for each new client.
    settings.WHITENOISE_AUTOREFRESH = True


@pytest.fixture(autouse=True)
def _delete_committed_jobs(request: pytest.FixtureRequest) -> Iterator[None]:
    """Delete the jobs of a test that commits: Django empties the tables of managed models only."""
    marker = request.node.get_closest_marker("django_db")
    commits = (marker is not None and marker.kwargs.get("transaction")) or (
        {"transactional_db", "live_server"} & set(request.fixturenames)
    )
    if commits:
        request.getfixturevalue("transactional_db")
    yield
    if commits:
        from nexus.dev.jobs import delete_jobs

        delete_jobs()


@pytest.fixture(scope="module")
def module_db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Give the fixtures of a module access to the database.

    Their rows are undone after the module; each test undoes its own changes before. Not for modules
    with tests that commit.
    """
    from django.db import transaction

    with django_db_blocker.unblock(), transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def api() -> APIClient:
    """An anonymous client."""
    from rest_framework.test import APIClient

    return APIClient()


@pytest.fixture
def make_user(db: None) -> Callable[..., User]:
    """Return a function that creates a member: `make_user("ann", visibility="private")`."""
    from accounts.models import User

    def make(username: str = "ann", **fields: Any) -> User:
        fields.setdefault("email", f"{username}@example.org")
        fields.setdefault("email_verified", True)
        return User.objects.create_user(username=username, password=PASSWORD, **fields)

    return make


@pytest.fixture
def ann(make_user: Callable[..., User]) -> User:
    return make_user("ann")


@pytest.fixture
def bob(make_user: Callable[..., User]) -> User:
    return make_user("bob")


@pytest.fixture
def client_of() -> Callable[[User], APIClient]:
    """Return a function that creates a client with an access token of a member."""
    from rest_framework.test import APIClient

    from accounts.tokens import family_create

    def client(user: User) -> APIClient:
        api = APIClient()
        api.credentials(HTTP_AUTHORIZATION=f"Bearer {family_create(user=user).access}")
        return api

    return client


@pytest.fixture
def make_movie(db: None) -> Callable[..., Movie]:
    """Return a function that creates a movie: `make_movie("Alien", genres=["Horror"])`."""
    from movies.dto import MovieData, PersonData
    from movies.models import Movie
    from movies.services.upsert import movies_upsert

    numbers = iter(range(1, 10_000_000))

    def make(title: str = "A movie", **fields: Any) -> Movie:
        number = next(numbers)
        fields.setdefault("tmdb_id", 900_000 + number)
        fields.setdefault("imdb_id", f"tt{9_000_000 + number}")
        for name in ("directors", "cast"):
            fields[name] = tuple(PersonData(person) for person in fields.get(name, ()))
        for name in ("genres", "keywords"):
            fields[name] = tuple(fields.get(name, ()))
        source = fields.pop("source", Movie.Source.STARTER)
        return movies_upsert(movies=[MovieData(title=title, **fields)], source=source)[0].movie

    return make


@pytest.fixture
def run_jobs(db: None) -> Callable[[], list[Exception]]:
    """Return a function that runs the waiting jobs here, and returns the exceptions of those that failed.

    In this test's transaction, which a worker process would not see. A failed job is retried or
    fails for good as a worker decides, and a retry waits for its time.
    """
    from nexus.dev.jobs import run_waiting_jobs

    return run_waiting_jobs


@pytest.fixture
def worker(transactional_db: None) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Return a function that starts a task worker on the test database: `worker("mail", "imports")`."""
    running: list[subprocess.Popen[bytes]] = []

    def start(*queues: str, stderr: int | None = None, **env: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "run_worker", "--queues", *queues],
            env={**os.environ, "DATABASE_URL": get_database_url(), **env},
            cwd=embedded.ROOT,
            stderr=stderr,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.terminate()
        process.wait(timeout=60)


def find_free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def list_worker_pids(master: subprocess.Popen[bytes]) -> list[int]:
    """Return the pids of a gunicorn master's workers, as Linux lists its children."""
    children = Path(f"/proc/{master.pid}/task/{master.pid}/children")
    return [int(pid) for pid in children.read_text().split()]


def get_database_url() -> str:
    """Return the URL of the test database, for other sessions and processes."""
    from django.db import connection

    return replace_database(os.environ["DATABASE_URL"], connection.settings_dict["NAME"])


class GunicornStarter:
    """Starts the service on the test database; ends it with the fixture that made this object."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []

    def __call__(self, app: str = "nexus.wsgi", **env: str) -> str:
        """Return the URL of a new service.

        `app` is another WSGI application to serve, and `env` are environment variables. One web
        worker serves it, unless `env` says otherwise: each takes a second of the processor to start.
        """
        port = find_free_port()
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", app),
                *("--bind", f"127.0.0.1:{port}"),
            ],
            env={
                **os.environ,
                "DATABASE_URL": get_database_url(),
                "LOG_LEVEL": "ERROR",
                "WEB_CONCURRENCY": "1",
                **env,
            },
            cwd=embedded.ROOT,
        )
        self.processes.append(process)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return f"http://127.0.0.1:{port}"
            time.sleep(0.05)
        raise RuntimeError("gunicorn did not start")

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(timeout=30)


@pytest.fixture
def gunicorn(transactional_db: None) -> Iterator[GunicornStarter]:
    """Start the service for one test: `url = gunicorn(LOG_LEVEL="WARNING")`."""
    starter = GunicornStarter()
    yield starter
    starter.stop()


@pytest.fixture(scope="module")
def module_gunicorn(django_db_setup: None) -> Iterator[GunicornStarter]:
    """Start a service that all tests of a module share. They need `transactional_db`."""
    starter = GunicornStarter()
    yield starter
    starter.stop()


@pytest.fixture
def idle_database(transactional_db: None) -> Iterator[None]:
    """After the test, wait until a service that lives on has finished its requests.

    Emptying the tables would otherwise wait for them, or end in a deadlock.
    """
    from django.db import connection

    yield
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND state NOT IN ('idle', 'disabled')"
            )
            if cursor.fetchone() == (0,):
                return
        time.sleep(0.05)
    raise RuntimeError("Other sessions use the test database for more than 10 s after the test.")
