import copy
import json
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
def test_ready_names_what_was_looked_at(api):
    answer = api.get("/health/ready/")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok",
        "checks": {"database": "ok", "cache": "ok", "migrations": "ok"},
    }
    assert answer["Cache-Control"] == "no-store"


def test_live_asks_neither_database_nor_cache(api, settings, tmp_path):
    caches = copy.deepcopy(settings.CACHES)
    caches["default"]["LOCATION"] = f"unix://{tmp_path}/nobody.sock"
    settings.CACHES = caches
    # No database mark: a query would fail this test.
    answer = api.get("/health/live/")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.django_db
def test_without_the_cache_it_is_not_ready(api, settings, tmp_path):
    caches = copy.deepcopy(settings.CACHES)
    caches["default"]["LOCATION"] = f"unix://{tmp_path}/nobody.sock"
    settings.CACHES = caches
    answer = api.get("/health/ready/")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "unavailable",
        "checks": {"database": "ok", "cache": "no answer", "migrations": "ok"},
    }


def test_a_pause_of_the_cache_does_not_hide_that_it_answers():
    for _ in range(cache.breaker.FAILURE_THRESHOLD):
        cache.breaker.record_failure(Exception("gone"))
    assert cache.is_available()


@pytest.mark.django_db
def test_a_pending_migration_is_not_ready(api):
    newest = MigrationLoader(connection).graph.leaf_nodes("movies")[0]
    MigrationRecorder(connection).record_unapplied(*newest)
    answer = api.get("/health/ready/")
    assert answer.status_code == 503
    assert answer.json()["checks"]["migrations"].endswith(" pending")


@pytest.fixture
def no_database():
    """Has the database refuse every statement, as psycopg reports a server that is gone."""

    def refuse(execute, sql, params, many, context):
        raise OperationalError("the connection is closed")

    with connection.execute_wrapper(refuse):
        yield


@pytest.mark.django_db
def test_without_the_database_it_is_not_ready(api, no_database):
    answer = api.get("/health/ready/")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "unavailable",
        "checks": {"database": "no answer", "cache": "ok", "migrations": "unknown"},
    }


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/movies/", "/movies/1/", "/movies/top_rated/"])
def test_without_the_database_a_call_is_503_and_says_when_to_come_back(api, no_database, path):
    answer = api.get(path)
    assert answer.status_code == 503
    assert answer["Content-Type"] == "application/problem+json"
    assert answer["Retry-After"] == "5"
    assert answer.json()["code"] == "database_unavailable"


def asked(url):
    try:
        with urlopen(url, timeout=60) as answer:
            return answer.status, answer.headers, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, error.headers, json.load(error)


@pytest.mark.django_db(transaction=True)
def test_a_service_whose_database_is_gone_starts_and_says_so(gunicorn):
    url = gunicorn(DATABASE_URL=f"postgres://nobody@127.0.0.1:{find_free_port()}/none")
    paths = ("/health/live/", "/health/ready/", "/movies/")
    with ThreadPoolExecutor(len(paths)) as pool:
        live, ready, movies = pool.map(lambda path: asked(f"{url}{path}"), paths)
    assert live[0] == 200
    assert ready[0] == 503
    assert ready[2]["checks"] == {"database": "no answer", "cache": "ok", "migrations": "unknown"}
    assert movies[0] == 503
    assert movies[1]["Retry-After"] == "5"
    assert movies[2]["code"] == "database_unavailable"
