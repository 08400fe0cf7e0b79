import copy
import json
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from django.db import OperationalError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from nexus.core.cache import client as cache
from nexus.dev.pytest_plugin import find_free_port


@pytest.mark.django_db
def test_ready_lists_its_checks(api):
    response = api.get("/health/ready/")

    assert response.status_code == 200
    assert response.json() == {
        "status": "ok",
        "checks": {"database": "ok", "cache": "ok", "migrations": "ok"},
    }
    assert response["Cache-Control"] == "no-store"


def test_live_uses_neither_database_nor_cache(api, settings, tmp_path):
    caches = copy.deepcopy(settings.CACHES)
    caches["default"]["LOCATION"] = f"unix://{tmp_path}/nobody.sock"
    settings.CACHES = caches

    # No database mark: a query would fail this test.
    response = api.get("/health/live/")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})
    assert response["Cache-Control"] == "no-store"


@pytest.mark.django_db
def test_without_the_cache_the_service_is_ready_and_degraded(api, settings, tmp_path):
    caches = copy.deepcopy(settings.CACHES)
    caches["default"]["LOCATION"] = f"unix://{tmp_path}/nobody.sock"
    settings.CACHES = caches

    response = api.get("/health/ready/")

    assert response.status_code == 200
    assert response.json() == {
        "status": "degraded",
        "checks": {"database": "ok", "cache": "no answer", "migrations": "ok"},
    }


def test_an_open_circuit_breaker_does_not_make_the_cache_unavailable():
    for _ in range(cache.breaker.FAILURE_THRESHOLD):
        cache.breaker.record_failure(Exception("gone"))

    assert cache.is_available()


@pytest.mark.django_db
def test_with_a_pending_migration_the_service_is_not_ready(api):
    newest = MigrationLoader(connection).graph.leaf_nodes("movies")[0]
    MigrationRecorder(connection).record_unapplied(*newest)

    response = api.get("/health/ready/")

    assert response.status_code == 503
    assert response.json()["checks"]["migrations"].endswith(" pending")


@pytest.mark.django_db
def test_ready_takes_one_query(api, django_assert_num_queries):
    with django_assert_num_queries(1):
        api.get("/health/ready/")


@pytest.mark.clocked
@pytest.mark.django_db
def test_ready_takes_less_than_two_milliseconds_of_cpu(api):
    api.get("/health/ready/")

    started = time.process_time()
    for _ in range(100):
        api.get("/health/ready/")

    assert (time.process_time() - started) / 100 < 0.002


@pytest.fixture
def no_database():
    """Make every statement fail as psycopg does if the server is down."""

    def refuse(execute, sql, params, many, context):
        raise OperationalError("the connection is closed")

    with connection.execute_wrapper(refuse):
        yield


@pytest.mark.django_db
def test_without_the_database_the_service_is_not_ready(api, no_database):
    response = api.get("/health/ready/")

    assert response.status_code == 503
    assert response.json() == {
        "status": "unavailable",
        "checks": {"database": "no answer", "cache": "ok", "migrations": "unknown"},
    }


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/movies/", "/movies/1/", "/movies/top_rated/"])
def test_without_the_database_a_request_is_503_with_retry_after(api, no_database, path):
    response = api.get(path)

    assert response.status_code == 503
    assert response["Content-Type"] == "application/problem+json"
    assert response["Retry-After"] == "5"
    assert response.json()["code"] == "database_unavailable"


def send(url):
    try:
        with urlopen(url, timeout=60) as response:
            return response.status, response.headers, json.load(response)
    except HTTPError as error:
        with error:
            return error.code, error.headers, json.load(error)


@pytest.mark.django_db(transaction=True)
def test_the_service_starts_without_its_database_and_reports_it(gunicorn):
    url = gunicorn(DATABASE_URL=f"postgres://nobody@127.0.0.1:{find_free_port()}/none")
    paths = ("/health/live/", "/health/ready/", "/movies/")

    with ThreadPoolExecutor(len(paths)) as pool:
        live, ready, movies = pool.map(lambda path: send(f"{url}{path}"), paths)

    assert live[0] == 200
    assert ready[0] == 503
    assert ready[2]["checks"] == {"database": "no answer", "cache": "ok", "migrations": "unknown"}
    assert movies[0] == 503
    assert movies[1]["Retry-After"] == "5"
    assert movies[2]["code"] == "database_unavailable"
