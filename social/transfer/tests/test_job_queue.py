"""Several processes work on imports at once, and some of them are killed."""

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
from social.transfer import job_queue, leases, services
from social.transfer.job_queue import process_imports, run_imports
from social.transfer.pipeline import apply, read, undo
from social.transfer.tests.helpers import make_ready_import
from social.transfer.worker import ImportWorker

ROWS = 40


def make_csv(count, score=4):
    rows = "".join(f"2024-02-01,Film {n},2000,u,{score}\n" for n in range(count))
    return f"Date,Name,Year,Letterboxd URI,Rating\n{rows}".encode()


@pytest.fixture
def job(db, make_user, monkeypatch):
    for module in (apply, undo):
        monkeypatch.setattr(module, "BATCH_SIZE", 10)
    return make_ready_import(make_user("ann"), ROWS)


@pytest.fixture
def shared_job(transactional_db, make_user, monkeypatch):
    """The same import for tests with several threads."""
    for module in (apply, undo):
        monkeypatch.setattr(module, "BATCH_SIZE", 10)
    return make_ready_import(make_user("ann"), ROWS)


def run_at_once(*calls):
    """Return what each call returns or raises; all start together."""

    def run(call):
        try:
            return call()
        except Exception as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


def expire_leases():
    Import.objects.update(leased_until=timezone.now() - timedelta(seconds=1))


def assert_applied_once(rows=ROWS):
    assert Rating.objects.count() == rows
    assert ImportRow.objects.filter(outcome="created").count() == rows
    assert set(Movie.objects.values_list("rating_count", "rating_sum")) == {(1, 4.0)}


def assert_undone():
    assert Rating.objects.count() == 0
    assert set(Movie.objects.values_list("rating_count", "rating_sum")) == {(0, 0.0)}


# --- Concurrency ---------------------------------------------------------------------------------


def test_concurrent_applies_and_workers_write_each_row_once(shared_job):
    results = run_at_once(*[lambda: services.import_apply(import_id=shared_job.pk)] * 8)
    run_at_once(*[run_imports] * 4)

    assert sorted(results) == [False] * 7 + [True]
    shared_job.refresh_from_db()
    assert (shared_job.state, shared_job.lease, shared_job.position) == ("applied", None, ROWS)
    assert_applied_once()


def test_concurrent_apply_and_undo_end_in_either_state(shared_job):
    results = run_at_once(
        *[
            lambda: services.import_apply(import_id=shared_job.pk),
            lambda: services.import_undo(import_id=shared_job.pk),
        ]
        * 4,
        *[run_imports] * 2,
    )
    run_imports()

    assert all(isinstance(result, bool | int | Problem) for result in results), results
    shared_job.refresh_from_db()
    if shared_job.state == "applied":
        assert_applied_once()
    else:
        assert shared_job.state == "undone"
        assert_undone()


def test_twenty_concurrent_uploads_of_a_file_create_one_import(shared_job):
    content = make_csv(3)

    results = run_at_once(
        *[
            lambda: services.import_create(
                user_id=shared_job.user_id, filename="ratings.csv", content=content
            )
        ]
        * 20
    )

    assert sorted(created for _, created in results) == [False] * 19 + [True]
    assert Import.objects.count() == 2


def test_only_one_import_of_a_member_is_leased_at_a_time(job):
    for score in (1, 2):
        services.import_create(user_id=job.user_id, filename="r.csv", content=make_csv(2, score))

    assert leases.acquire_lease() is not None
    assert leases.acquire_lease() is None


def test_deleting_an_account_while_it_imports_leaves_nothing(shared_job):
    services.import_apply(import_id=shared_job.pk)

    run_at_once(run_imports, lambda: account_delete(user=shared_job.user))

    assert not Import.objects.exists()
    assert not ImportRow.objects.exists()
    assert_undone()


# --- Interruptions -------------------------------------------------------------------------------


def test_import_of_a_killed_process_is_continued_by_another(transactional_db, make_user):
    rows = 300
    job = make_ready_import(make_user("ann"), rows)
    services.import_apply(import_id=job.pk)
    last = Movie.objects.get(title="Film 299").pk
    with connection.cursor() as cursor:
        # Another transaction locks a movie of the second batch, so the process waits there.
        cursor.execute("BEGIN; SELECT 1 FROM movies_movie WHERE id = %s FOR UPDATE", [last])
        process = subprocess.Popen(
            [sys.executable, "manage.py", "run_imports"],
            env={**os.environ, "DATABASE_URL": get_database_url()},
            cwd=embedded.ROOT,
            stderr=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + 30
            position = 0
            while position == 0 and time.monotonic() < deadline:
                time.sleep(0.05)
                cursor.execute("SELECT position FROM social_import WHERE id = %s", [job.pk])
                position = cursor.fetchone()[0]
            assert 0 < position < rows
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
            cursor.execute("ROLLBACK")
    assert process.returncode == -signal.SIGKILL
    assert Rating.objects.count() == position

    finished_before_expiry = run_imports()
    expire_leases()
    finished_after_expiry = run_imports()

    assert (finished_before_expiry, finished_after_expiry) == (0, 1)
    job.refresh_from_db()
    assert job.state == "applied"
    assert_applied_once(rows)


def test_interrupted_reading_continues_at_its_position(job, monkeypatch):
    monkeypatch.setattr(read, "BATCH_SIZE", 10)
    job, _ = services.import_create(
        user_id=job.user_id, filename="ratings.csv", content=make_csv(ROWS, 3)
    )
    batches = process_imports()
    for _ in range(3):
        next(batches)
    batches.close()
    job.refresh_from_db()
    assert (job.state, job.position, job.lease) == ("reading", 30, None)

    run_imports()

    job.refresh_from_db()
    assert (job.state, job.total) == ("ready", ROWS)
    numbers = ImportRow.objects.filter(of=job).order_by("number").values_list("number", flat=True)
    assert list(numbers) == list(range(1, ROWS + 1))


def test_process_that_lost_its_lease_writes_nothing(job):
    services.import_apply(import_id=job.pk)
    lost = leases.acquire_lease()
    expire_leases()
    current = leases.acquire_lease()

    with pytest.raises(leases.LeaseLostError):
        apply.apply_batch(lost)

    assert current.import_id == lost.import_id
    assert Rating.objects.count() == 0


def test_step_that_fails_repeatedly_is_given_up(job, monkeypatch):
    def fail(lease):
        raise OperationalError("no")

    services.import_apply(import_id=job.pk)
    monkeypatch.setattr(job_queue, "RETRY_AFTER", timedelta(milliseconds=1))
    monkeypatch.setitem(job_queue.BATCH_FUNCTIONS, "apply", fail)

    for _ in range(job_queue.MAX_ATTEMPTS + 1):
        run_imports()
        time.sleep(0.01)

    job.refresh_from_db()
    assert (job.state, job.step) == ("applied", "")
    assert "failed in the step" in job.reason
    services.import_undo(import_id=job.pk)


def test_batch_that_collides_with_another_write_is_retried(job, monkeypatch):
    calls = []

    @leases.retry_on_conflict
    def run_batch(lease):
        calls.append(lease)
        if len(calls) < 3:
            raise OperationalError("deadlock detected")
        return job

    monkeypatch.setattr(leases, "CONFLICT_DELAY_S", 0.001)

    result = run_batch("lease")

    assert result is job
    assert calls == ["lease"] * 3


# --- Processes -----------------------------------------------------------------------------------


def test_worker_thread_applies_an_import_and_stops(shared_job):
    worker = ImportWorker()
    worker.start()
    try:
        services.import_apply(import_id=shared_job.pk)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and shared_job.state != "applied":
            time.sleep(0.05)
            shared_job.refresh_from_db()
    finally:
        worker.stop()

    assert_applied_once()


def test_dry_run_of_the_command_lists_what_is_waiting(job, capsys):
    services.import_apply(import_id=job.pk)

    call_command("run_imports", dry_run=True)

    assert f"import {job.pk}, apply: 0 of 40" in capsys.readouterr().err
    assert Rating.objects.count() == 0
