"""Faults under the real service: a worker killed in the middle of a write leaves no half of it, and a
database that ends its sessions or keeps a lock costs a 503 that says when to come back.

Short versions of what benchmarks/chaos.py measures.
"""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest
import requests
from django.db import connection
from django.utils import timezone

from movies.models import Credit, Movie, Person
from nexus.dev.pytest_plugin import get_database_url, list_worker_pids
from social.models import Import, ImportRow, Rating
from social.transfer.tests.helpers import make_ready_import
from tmdb.fake.server import CREDENTIAL, FIRST_ID, FakeTmdbServer

ROWS = 300


def until(holds, *, timeout_s=20):
    deadline = time.monotonic() + timeout_s
    while not (found := holds()):
        assert time.monotonic() < deadline
        time.sleep(0.03)
    return found


class Service:
    def __init__(self, url, token, master):
        self.url = url
        self.master = master
        self.headers = {"Authorization": token}

    def post(self, path, **body):
        answer = requests.post(self.url + path, headers=self.headers, timeout=60, **body)
        assert answer.status_code < 500 or answer.headers.get("Retry-After"), answer.text
        return answer

    def worker(self):
        """Return the pid of the only worker, or None while there is none."""
        pids = list_worker_pids(self.master)
        return pids[0] if pids else None

    @contextmanager
    def killed_in(self, path, **body):
        """The worker is killed while it is at this request and the block has come to its end."""
        killed, answers = self.worker(), []

        def send():
            try:
                answers.append(self.post(path, **body).status_code)
            except requests.ConnectionError:
                answers.append(None)

        thread = threading.Thread(target=send)
        thread.start()
        try:
            yield
        finally:
            os.kill(killed, signal.SIGKILL)
            thread.join()
        assert answers == [None]
        until(lambda: self.worker() not in (None, killed))


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
            WEB_CONCURRENCY="1",
        )
        service = Service(url, token, gunicorn.processes[-1])
        # One test, because starting the service is most of what it takes.
        sessions_that_the_database_ends_cost_moments(service)
        a_lock_that_is_not_let_go_is_told_in_time(service)
        while_tmdb_is_asked(service, tmdb)
        while_a_film_is_stored(service, tmdb)
        Movie.objects.all().delete()
        while_an_import_is_applied(service, make_ready_import(ann, ROWS))


def read(service):
    """The status of one read and the seconds it took; a 503 says when to come back."""
    started = time.monotonic()
    answer = requests.get(f"{service.url}/movies/", timeout=15)
    if answer.status_code != 200:
        assert (answer.status_code, answer.json()["status"]) == (503, 503)
        assert int(answer.headers["Retry-After"]) > 0
    return answer.status_code, time.monotonic() - started


def sessions_that_the_database_ends_cost_moments(service):
    """As a restart does, all at once, and again."""
    for _ in range(3):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _: read(service), range(16)))
        assert {status for status, _ in answers} <= {200, 503}
        ended = time.monotonic()
        until(lambda: read(service)[0] == 200)
        assert time.monotonic() - ended < 2


def a_lock_that_is_not_let_go_is_told_in_time(service):
    with psycopg.connect(get_database_url()) as session:
        session.execute("LOCK TABLE movies_movie IN ACCESS EXCLUSIVE MODE")
        status, took_s = read(service)
    assert status == 503
    assert 1.9 < took_s < 4
    assert read(service)[0] == 200


def nothing_is_stored():
    return not any(model.objects.exists() for model in (Movie, Person, Credit))


def while_tmdb_is_asked(service, tmdb):
    tmdb.switch("slow", seconds=1.5)
    with service.killed_in("/tmdb/import/", json={"tmdb_id": FIRST_ID}):
        until(lambda: tmdb.requests)
    assert nothing_is_stored()
    tmdb.switch("ok")
    # Its lease on asking TMDb has to run out: until then others are told to come back.
    until(lambda: service.post("/tmdb/import/", json={"tmdb_id": FIRST_ID}).status_code == 201)
    assert Movie.objects.get().tmdb_id == FIRST_ID
    Movie.objects.all().delete()
    Person.objects.all().delete()


def is_held_up():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND query LIKE '%movies_credit%'"
        )
        return cursor.fetchone()


def while_a_film_is_stored(service, tmdb):
    with psycopg.connect(get_database_url()) as session:
        # The film is in by then, and its people are not.
        session.execute("LOCK TABLE movies_credit IN SHARE MODE")
        with service.killed_in("/tmdb/import/", json={"tmdb_id": FIRST_ID + 1}):
            until(is_held_up)
        assert nothing_is_stored()
    until(lambda: service.post("/tmdb/import/", json={"tmdb_id": FIRST_ID + 1}).status_code == 201)
    film = Movie.objects.get()
    assert film.credits.filter(role="cast").exists()
    assert film.credits.filter(role="director").exists()


def while_an_import_is_applied(service, job):
    last = Movie.objects.get(title=f"Film {ROWS - 1}").pk
    with psycopg.connect(get_database_url()) as session:
        # Held up in its second piece by a film that somebody else has locked.
        session.execute("SELECT 1 FROM movies_movie WHERE id = %s FOR UPDATE", [last])
        killed = service.worker()
        assert service.post(f"/imports/{job.pk}/apply/").status_code == 202
        until(lambda: Rating.objects.exists())
        os.kill(killed, signal.SIGKILL)
    job.refresh_from_db()
    assert 0 < job.position < ROWS
    assert Rating.objects.count() == job.position
    counted = Movie.objects.filter(rating_count=1, rating_sum=4.0).count()
    assert counted == job.position
    # Once its lease has run out, whichever worker is there goes on by itself.
    Import.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    until(lambda: Import.objects.get().state == "applied")
    assert Rating.objects.count() == ROWS
    assert ImportRow.objects.filter(outcome="created").count() == ROWS
    assert set(Movie.objects.values_list("rating_count", "rating_sum")) == {(1, 4.0)}
