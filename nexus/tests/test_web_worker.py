"""gunicorn's worker: what it waits for does not stop the other requests of its process."""

import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import urlsplit

import psycopg
import pytest
import requests

from benchmarks.load import start_load
from benchmarks.service import compute_percentile
from benchmarks.slow_clients import (
    make_body_client,
    make_header_client,
    make_reading_client,
    make_silent_client,
    run_slow_clients,
)
from nexus.dev.embedded import ROOT
from nexus.dev.pytest_plugin import get_database_url
from tmdb.fake.server import FakeTmdbServer

pytestmark = pytest.mark.django_db(transaction=True)

# The modules that must not be imported before gevent replaces the functions that they wait with.
_LIST_MODULES = """
import runpy, sys
runpy.run_path("gunicorn.conf.py")
waiting = {"django", "nexus", "prometheus_client", "psycopg", "redis", "requests"}
print(sorted(waiting.intersection(name.partition(".")[0] for name in sys.modules)))
"""

_LIST_VIEWS_AFTER_WARM_UP = """
import sys
import django
django.setup()
from nexus.core.warm_up import warm_up
warm_up()
print(sorted(name for name in sys.modules if name in {"accounts.views", "social.views.members"}))
"""


def run_python(code, **env):
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_configuration_imports_no_module_that_waits_for_the_network():
    assert run_python(_LIST_MODULES).stdout == "[]\n"


def test_a_worker_imports_the_views_before_its_first_request():
    result = run_python(
        _LIST_VIEWS_AFTER_WARM_UP,
        DJANGO_SETTINGS_MODULE="nexus.settings",
        DATABASE_URL=get_database_url(),
    )

    assert result.stdout == "['accounts.views', 'social.views.members']\n", result.stderr


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "0"), ("PORT", "80a"), ("WEB_CONCURRENCY", "65")]
)
def test_a_malformed_number_is_named_with_an_example(name, value):
    result = run_python(_LIST_MODULES, **{name: value})

    assert result.returncode == 1
    assert f"{name} is {value!r}, not an integer from 1 to" in result.stderr
    assert f"Example: {name}=" in result.stderr


def fetch(url):
    return requests.get(url, timeout=30)


def fetch_before(waiting, url):
    """Fetch while other requests wait; return whether the response came before all of theirs."""
    assert fetch(url).status_code == 200
    return not any(future.done() for future in waiting)


def test_a_worker_serves_others_while_it_waits_for_the_database(gunicorn):
    url = gunicorn("nexus.tests.worker_probe", RATE_LIMIT_SCALE="1000")
    # psycopg's C function would block the process.
    assert fetch(f"{url}/probe/wait/").text not in ("", "wait_c")

    with psycopg.connect(get_database_url()) as session, ThreadPoolExecutor(12) as pool:
        session.execute("LOCK TABLE movies_movie IN ACCESS EXCLUSIVE MODE")
        waiting = [pool.submit(fetch, f"{url}/movies/?page_size={size}") for size in range(1, 13)]
        time.sleep(0.5)
        is_first = fetch_before(waiting, f"{url}/health/live/")
        session.rollback()
        statuses = {future.result().status_code for future in waiting}

    assert is_first
    assert statuses == {200}


@pytest.fixture
def certificate(tmp_path):
    path = tmp_path / "tmdb.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=tmdb", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", path, "-out", tmp_path / "certificate"),
        ],
        check=True,
        capture_output=True,
    )
    with path.open("a") as file:
        file.write((tmp_path / "certificate").read_text())
    return path


def test_a_worker_serves_others_while_it_waits_for_tmdb_over_https(gunicorn, certificate):
    with FakeTmdbServer(certificate=certificate) as tmdb, ThreadPoolExecutor(4) as pool:
        url = gunicorn(
            "nexus.tests.worker_probe",
            PROBE_CERTIFICATE=str(certificate),
            PROBE_TMDB_URL=tmdb.base_url,
        )
        title = fetch(f"{url}/probe/tmdb/").text
        tmdb.set_mode("slow", seconds=1.5)
        started = time.monotonic()
        waiting = [pool.submit(fetch, f"{url}/probe/tmdb/") for _ in range(4)]
        time.sleep(0.5)
        is_first = fetch_before(waiting, f"{url}/health/live/")
        titles = {future.result().text for future in waiting}
        duration_s = time.monotonic() - started
        tmdb.set_mode("slow", seconds=10)
        late = fetch(f"{url}/probe/tmdb/")

    assert titles == {title}
    assert title not in ("", "TmdbUnavailable")
    assert is_first
    # One after the other, they would take 6 s.
    assert duration_s < 5
    assert late.text == "TmdbUnavailable"
    assert late.elapsed.total_seconds() < 5


@pytest.fixture(scope="module")
def two_workers(module_gunicorn):
    return module_gunicorn(WEB_CONCURRENCY="2", RATE_LIMIT_SCALE="1000", LOG_LEVEL="WARNING")


def test_a_hundred_requests_at_once_are_all_served(
    two_workers, idle_database, make_user, client_of, make_movie
):
    url = two_workers
    make_movie("Alien")
    token = client_of(make_user("ann"))._credentials["HTTP_AUTHORIZATION"]
    fetch(f"{url}/health/live/")
    paths = ("/movies/", "/movies/top_rated/", "/ratings/", "/movies/?search=alien", "/feed/")
    request = [{"path": path, "headers": {"Authorization": token}} for path in paths]

    results = start_load(url, request * 20, rate_s=None, connections=100)()

    assert [result.status for result in results] == [200] * 100


def test_a_head_request_has_no_body_and_logs_no_warning(
    two_workers, idle_database, capfd, make_movie
):
    url = two_workers
    make_movie("Alien")
    get = requests.get(f"{url}/movies/", headers={"Accept-Encoding": ""}, timeout=30)

    head = requests.head(f"{url}/movies/", headers={"Accept-Encoding": ""}, timeout=30)

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(get.content))
    assert "WARNING" not in capfd.readouterr().err


def test_a_stopping_worker_does_not_wait_for_idle_connections(gunicorn):
    url = gunicorn()
    master = gunicorn.processes[-1]
    address = urlsplit(url)
    with requests.Session() as session, socket.create_connection((address.hostname, address.port)):
        session.get(f"{url}/health/live/", timeout=10)

        started = time.monotonic()
        master.terminate()
        master.wait(timeout=30)

    assert time.monotonic() - started < 6


# --- Slow clients: short versions of the attacks in benchmarks/chaos.py --------------------------


@pytest.mark.clocked
def test_slow_clients_do_not_delay_others(
    two_workers, idle_database, make_user, client_of, make_movie
):
    for number in range(100):
        make_movie(f"Movie {number}", overview="long " * 100)
    token = client_of(make_user("ann"))._credentials["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
    url = two_workers
    paths = ["/movies/?page_size=5", "/genres/", "/health/live/", "/movies/?search=movie"]

    def measure_p95():
        requests_ = [
            {"path": path, "headers": {"Authorization": f"Bearer {token}"}} for path in paths * 20
        ]
        results = start_load(url, requests_, rate_s=20, connections=8)()
        assert {result.status for result in results} == {200}
        return compute_percentile([result.latency_s for result in results], 0.95)

    measure_p95()
    p95_s = {}
    for name, count, make_client in (
        ("silent", 300, make_silent_client),
        ("headers", 50, make_header_client),
        ("bodies", 50, lambda: make_body_client(token)),
        # More than the connections of both pools.
        ("readers", 20, lambda: make_reading_client("/movies/?page_size=100", token)),
    ):
        with run_slow_clients(url, count, make_client):
            time.sleep(1)
            p95_s[name] = measure_p95()

    assert max(p95_s.values()) < 0.1, p95_s


# Not `clocked`: it waits for half a minute, in which other tests use the processors.
def test_a_client_that_stalls_in_its_body_is_refused_after_thirty_seconds(gunicorn):
    url = gunicorn()
    fetch(f"{url}/health/live/")

    with run_slow_clients(url, 1, lambda: replace(make_body_client("none"), drip=b"")) as sockets:
        started = time.monotonic()
        sockets[0].settimeout(60)
        response = sockets[0].recv(4096)
        stalled_s = time.monotonic() - started

    assert response.startswith(b"HTTP/1.1 400 ")
    assert 29 < stalled_s < 35


@pytest.mark.clocked
def test_password_hashes_do_not_delay_others(gunicorn, make_user):
    make_user("ann")
    url = gunicorn(RATE_LIMIT_SCALE="1000")
    login = {
        "method": "POST",
        "path": "/auth/token/",
        "headers": {"Content-Type": "application/json"},
        "body": {"username": "nobody", "password": "wrong-password-1"},
    }
    fetch(f"{url}/genres/")
    finish_logins = start_load(url, [login] * 9, rate_s=None, connections=9)

    results = start_load(url, ["/genres/"] * 40, rate_s=20, connections=4)()

    assert {result.status for result in finish_logins()} == {401}
    assert compute_percentile([result.latency_s for result in results], 0.95) < 0.1
