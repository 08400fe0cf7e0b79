"""Faults under a running service: a killed worker leaves no partial write, and a database that ends
its sessions or holds a lock causes a 503 with Retry-After.

Short versions of the cases in benchmarks/chaos.py.
"""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest
import requests
from django.db import connection

from movies.models import Credit, Movie, Person
from nexus.dev.pytest_plugin import get_database_url, list_worker_pids
from tmdb.fake.server import CREDENTIAL, FIRST_ID, FakeTmdbServer


def wait_until(condition, *, timeout_s=20):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.03)


class GunicornClient:
    def __init__(self, url, token, master):
        self.url = url
        self.master = master
        self.headers = {"Authorization": token}

    def post(self, path, **body):
        response = requests.post(self.url + path, headers=self.headers, timeout=60, **body)
        assert response.status_code < 500 or response.headers.get("Retry-After"), response.text
        return response

    def read(self):
        """Read a page that is not cached; return the status and the seconds it took."""
        started = time.monotonic()
        response = requests.get(f"{self.url}/movies/", headers=self.headers, timeout=15)
        if response.status_code != 200:
            assert (response.status_code, response.json()["status"]) == (503, 503)
            assert int(response.headers["Retry-After"]) > 0
        return response.status_code, time.monotonic() - started

    def get_worker(self):
        """Return the pid of the only worker, or None while there is none."""
        pids = list_worker_pids(self.master)
        return pids[0] if pids else None

    @contextmanager
    def kill_worker_during(self, path, **body):
        """Send the request, run the block, then kill the worker, which is still at the request."""
        worker, statuses = self.get_worker(), []

        def send():
            try:
                statuses.append(self.post(path, **body).status_code)
            except requests.ConnectionError:
                statuses.append(None)

        thread = threading.Thread(target=send)
        thread.start()
        try:
            yield
        finally:
            os.kill(worker, signal.SIGKILL)
            thread.join()
        assert statuses == [None]
        wait_until(lambda: self.get_worker() not in (None, worker))


@pytest.mark.clocked
@pytest.mark.django_db(transaction=True)
def test_a_killed_worker_leaves_no_partial_write_and_a_failing_database_is_503(
    gunicorn, make_user, client_of
):
    with FakeTmdbServer() as tmdb:
        ann = make_user("ann")
        token = client_of(ann)._credentials["HTTP_AUTHORIZATION"]
        url = gunicorn(
            TMDB_BASE_URL=tmdb.base_url,
            TMDB_ACCESS_TOKEN=CREDENTIAL,
            RATE_LIMIT_SCALE="1000",
        )
        service = GunicornClient(url, token, gunicorn.processes[-1])
        # One test, because starting the service takes most of its time.
        check_recovery_after_the_database_ends_all_sessions(service)
        check_a_lock_that_is_not_released_is_503(service)
        check_kill_while_tmdb_is_called(service, tmdb)
        check_kill_while_a_movie_is_stored(service, tmdb)


def check_recovery_after_the_database_ends_all_sessions(service):
    for _ in range(3):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        with ThreadPoolExecutor(8) as pool:
            statuses = {status for status, _ in pool.map(lambda _: service.read(), range(16))}
        assert statuses <= {200, 503}
        ended = time.monotonic()
        wait_until(lambda: service.read()[0] == 200)
        assert time.monotonic() - ended < 2


def check_a_lock_that_is_not_released_is_503(service):
    with psycopg.connect(get_database_url()) as session:
        session.execute("LOCK TABLE movies_movie IN ACCESS EXCLUSIVE MODE")
        status, seconds = service.read()
    assert status == 503
    assert 1.9 < seconds < 4
    assert service.read()[0] == 200


def has_stored_nothing():
    return not any(model.objects.exists() for model in (Movie, Person, Credit))


def check_kill_while_tmdb_is_called(service, tmdb):
    tmdb.set_mode("slow", seconds=1.5)
    with service.kill_worker_during("/tmdb/import/", json={"tmdb_id": FIRST_ID}):
        wait_until(lambda: tmdb.requests)
    assert has_stored_nothing()
    tmdb.set_mode("ok")
    # The killed worker's lock has to expire; until then the request is 503 with Retry-After.
    wait_until(lambda: service.post("/tmdb/import/", json={"tmdb_id": FIRST_ID}).status_code == 201)
    assert Movie.objects.get().tmdb_id == FIRST_ID
    Movie.objects.all().delete()
    Person.objects.all().delete()


def is_waiting_for_credits():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND query LIKE '%movies_credit%'"
        )
        return cursor.fetchone() is not None


def check_kill_while_a_movie_is_stored(service, tmdb):
    body = {"tmdb_id": FIRST_ID + 1}
    with psycopg.connect(get_database_url()) as session:
        # The worker has inserted the movie and waits to insert its credits.
        session.execute("LOCK TABLE movies_credit IN SHARE MODE")
        with service.kill_worker_during("/tmdb/import/", json=body):
            wait_until(is_waiting_for_credits)
        assert has_stored_nothing()
    wait_until(lambda: service.post("/tmdb/import/", json=body).status_code == 201)
    movie = Movie.objects.get()
    assert movie.credits.filter(role="cast").exists()
    assert movie.credits.filter(role="director").exists()
