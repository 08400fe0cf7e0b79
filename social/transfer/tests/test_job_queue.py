"""Work on imports by many at once, and by some that are killed half way."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import OperationalError, connection, connections
from django.utils import timezone

from movies.models import Movie
from nexus.core.api.exceptions import Problem
from nexus.dev import embedded
from nexus.dev.pytest_plugin import get_database_url
from social.models import Import, ImportRow, Rating
from social.services.account_deletion import account_delete
from social.transfer import job_queue as jobs
from social.transfer import services
from social.transfer.job_queue import run_imports
from social.transfer.pipeline import apply as applying
from social.transfer.pipeline import read as reading
from social.transfer.pipeline import undo as undoing
from social.transfer.tests.helpers import make_ready_import
from social.transfer.worker import Worker

ROWS = 40


def csv_of(count, score=4):
    rows = "".join(f"2024-02-01,Film {n},2000,u,{score}\n" for n in range(count))
    return f"Date,Name,Year,Letterboxd URI,Rating\n{rows}".encode()


@pytest.fixture
def job(db, make_user, monkeypatch):
    for module in (applying, undoing):
        monkeypatch.setattr(module, "ROWS_AT_ONCE", 10)
    return make_ready_import(make_user("ann"), ROWS)


@pytest.fixture
def shared_job(transactional_db, make_user, monkeypatch):
    """The same for tests of several threads."""
    for module in (applying, undoing):
        monkeypatch.setattr(module, "ROWS_AT_ONCE", 10)
    return make_ready_import(make_user("ann"), ROWS)


def run_concurrently(*calls):
    """What each call returns or raises, all begun together."""

    def run(call):
        try:
            return call()
        except Exception as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def assert_applied_once(rows=ROWS):
    assert Rating.objects.count() == rows
    assert ImportRow.objects.filter(outcome="created").count() == rows
    assert set(Movie.objects.values_list("rating_count", "rating_sum")) == {(1, 4.0)}


def assert_undone():
    assert Rating.objects.count() == 0
    assert set(Movie.objects.values_list("rating_count", "rating_sum")) == {(0, 0.0)}


def test_two_applies_at_once_and_four_workers_write_each_row_once(shared_job):
    job = shared_job
    answers = run_concurrently(*[lambda: services.import_apply(import_id=job.pk)] * 8)
    assert sorted(answers) == [False] * 7 + [True]
    run_concurrently(*[run_imports] * 4)
    job.refresh_from_db()
    assert (job.state, job.lease, job.position) == ("applied", None, ROWS)
    assert_applied_once()


def test_apply_against_undo_ends_in_one_of_both(shared_job):
    job = shared_job
    answers = run_concurrently(
        *[
            lambda: services.import_apply(import_id=job.pk),
            lambda: services.import_undo(import_id=job.pk),
        ]
        * 4,
        *[run_imports] * 2,
    )
    assert all(isinstance(each, bool | int | Problem) for each in answers), answers
    run_imports()
    job.refresh_from_db()
    if job.state == "applied":
        assert_applied_once()
    else:
        assert job.state == "undone"
        assert_undone()


def test_the_same_file_twenty_times_at_once_is_one_import(shared_job):
    job = shared_job
    content = csv_of(3)
    answers = run_concurrently(
        *[
            lambda: (
                services.import_create(
                    user_id=job.user_id, filename="ratings.csv", content=content
                ).created
            )
        ]
        * 20
    )
    assert sorted(answers) == [False] * 19 + [True]
    assert Import.objects.count() == 2


def test_a_worker_killed_half_way_is_gone_on_for_by_another(transactional_db, make_user):
    job = make_ready_import(make_user("ann"), rows := 300)
    services.import_apply(import_id=job.pk)
    # Held up in its second piece by a film that somebody else has locked.
    last = Movie.objects.get(title="Film 299").pk
    with connection.cursor() as cursor:
        cursor.execute("BEGIN; SELECT 1 FROM movies_movie WHERE id = %s FOR UPDATE", [last])
        process = subprocess.Popen(
            [sys.executable, "manage.py", "run_imports"],
            env={**os.environ, "DATABASE_URL": get_database_url()},
            cwd=embedded.ROOT,
            stderr=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + 30
            done = 0
            while done == 0 and time.monotonic() < deadline:
                time.sleep(0.05)
                cursor.execute("SELECT position FROM social_import WHERE id = %s", [job.pk])
                done = cursor.fetchone()[0]
            assert 0 < done < rows
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
            cursor.execute("ROLLBACK")
    assert process.returncode == -signal.SIGKILL
    assert Rating.objects.count() == done
    # Its lease still stands, and is not broken into; once it has run out, the next goes on.
    assert run_imports() == 0
    Import.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    assert run_imports() == 1
    job.refresh_from_db()
    assert job.state == "applied"
    assert_applied_once(rows)


def test_a_reading_cut_off_half_way_is_gone_on_with(job, monkeypatch):
    monkeypatch.setattr(reading, "READ_AT_ONCE", 10)
    made = services.import_create(
        user_id=job.user_id, filename="ratings.csv", content=csv_of(ROWS, 3)
    ).made
    calls = iter([True] * 4 + [False] * 10)
    run_imports(go_on=lambda: next(calls))
    made.refresh_from_db()
    assert (made.state, made.position, made.lease) == ("reading", 30, None)
    run_imports()
    made.refresh_from_db()
    assert (made.state, made.total) == ("ready", ROWS)
    numbers = ImportRow.objects.filter(of=made).order_by("number").values_list("number", flat=True)
    assert list(numbers) == list(range(1, ROWS + 1))


def test_who_has_lost_the_lease_writes_nothing(job):
    services.import_apply(import_id=job.pk)
    lost = jobs.claim()
    Import.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    held = jobs.claim()
    assert held.import_id == lost.import_id
    with pytest.raises(jobs.LeaseLost):
        jobs._held_work(lost, applying.apply_piece)
    assert Rating.objects.count() == 0


def test_of_a_member_one_import_is_worked_on_at_a_time(job):
    for score in (1, 2):
        services.import_create(user_id=job.user_id, filename="r.csv", content=csv_of(2, score))
    assert jobs.claim() is not None
    assert jobs.claim() is None


def test_a_step_that_fails_time_and_again_is_given_up(job, monkeypatch):
    services.import_apply(import_id=job.pk)
    monkeypatch.setattr(jobs, "_RETRY_AFTER_S", 0.001)

    def fail(locked):
        raise OperationalError("no")

    monkeypatch.setattr(jobs, "apply_piece", fail)
    for _ in range(jobs.MAX_ATTEMPTS + 1):
        run_imports()
        time.sleep(0.01)
    job.refresh_from_db()
    assert (job.state, job.step) == ("applied", "")
    assert "failed in the step" in job.reason
    services.import_undo(import_id=job.pk)


def test_a_worker_of_this_process_works_at_once_and_stops(shared_job):
    job = shared_job
    worker = Worker()
    worker.start()
    try:
        services.import_apply(import_id=job.pk)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and job.state != "applied":
            time.sleep(0.05)
            job.refresh_from_db()
    finally:
        worker.stop()
    assert_applied_once()


def test_the_command_says_what_waits_and_does_it(job, capsys):
    services.import_apply(import_id=job.pk)
    call_command("run_imports", dry_run=True)
    assert f"import {job.pk}, apply: 0 of 40" in capsys.readouterr().err
    assert Rating.objects.count() == 0


def test_a_member_who_leaves_takes_their_imports_along(shared_job):
    job = shared_job
    services.import_apply(import_id=job.pk)
    run_concurrently(run_imports, lambda: account_delete(user=job.user))
    assert not Import.objects.exists()
    assert not ImportRow.objects.exists()
    assert_undone()
