"""Imports in the task worker: several processes at once, some of them killed, and turns."""

import io
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import OperationalError, connection, connections
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from movies.models import Movie
from nexus.core.api.exceptions import Problem
from nexus.dev.jobs import run_waiting_jobs
from social.models import Import, ImportRow, Rating
from social.services.account_deletion import account_delete
from social.transfer import runner, services, tasks
from social.transfer.pipeline import apply, batch, read, undo
from social.transfer.retention import imports_delete_old
from social.transfer.runner import import_run
from social.transfer.tasks import (
    MAX_TURN_ATTEMPTS,
    defer_import,
    delete_old_imports,
    resume_imports,
)
from social.transfer.tests.helpers import make_ready_import

ROWS = 40


def make_csv(count, score=4):
    rows = "".join(f"2024-02-01,Film {n},2000,u,{score}\n" for n in range(count))
    return io.BytesIO(f"Date,Name,Year,Letterboxd URI,Rating\n{rows}".encode())


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


def create_import(user_id, file):
    return services.import_create(user_id=user_id, filename="ratings.csv", file=file)


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


def run_whole(import_id):
    return import_run(import_id=import_id, is_over=lambda: False)


def assert_applied_once(rows=ROWS):
    assert Rating.objects.count() == rows
    assert ImportRow.objects.filter(outcome="created").count() == rows
    assert set(Movie.objects.values_list("rating_count", "rating_sum")) == {(1, 4.0)}


def assert_undone():
    assert Rating.objects.count() == 0
    assert set(Movie.objects.values_list("rating_count", "rating_sum")) == {(0, 0.0)}


# --- Jobs ----------------------------------------------------------------------------------------


def test_upload_and_its_job_are_stored_together(job):
    uploaded, _ = create_import(job.user_id, make_csv(2))

    stored = ProcrastinateJob.objects.get(queueing_lock=f"import-{uploaded.pk}")
    assert stored.args == {"import_id": uploaded.pk, "user_id": job.user_id}
    assert (stored.queue_name, stored.lock) == ("imports", f"imports-of-{job.user_id}")


def test_import_is_queued_once_at_a_time(job):
    services.import_apply(import_id=job.pk)

    for _ in range(2):
        defer_import(import_id=job.pk, user_id=job.user_id)

    assert ProcrastinateJob.objects.filter(queueing_lock=f"import-{job.pk}").count() == 1


def test_unfinished_import_without_a_job_is_queued_again(job):
    services.import_apply(import_id=job.pk)
    ProcrastinateJob.objects.all().delete()

    resume_imports(timestamp=0)
    run_waiting_jobs()

    assert_applied_once()


@pytest.fixture
def two_large_imports(db, make_user, monkeypatch):
    """Two imports that are to be applied, whose turns are over after each batch of ten rows."""
    monkeypatch.setattr(tasks, "TURN_S", 0.0)
    monkeypatch.setattr(tasks, "SMALL_TOTAL", 10)
    monkeypatch.setattr(apply, "BATCH_SIZE", 10)
    imports = [make_ready_import(make_user(name), 30) for name in ("ann", "bob")]
    for job in imports:
        services.import_apply(import_id=job.pk)
    return imports


def list_turns():
    jobs = ProcrastinateJob.objects.filter(task_name__endswith="process_import")
    return list(jobs.order_by("id").values_list("args__import_id", flat=True))


def test_imports_take_turns(two_large_imports):
    first, second = two_large_imports

    assert run_waiting_jobs() == []

    assert list_turns()[:4] == [first.pk, second.pk, first.pk, second.pk]
    assert set(Import.objects.values_list("state", flat=True)) == {"applied"}


def test_turn_that_is_over_stays_over(two_large_imports, monkeypatch):
    monkeypatch.setattr(tasks, "TURN_S", 0.05)
    job = SimpleNamespace(lock="imports-of-0")
    turn = tasks._Turn(SimpleNamespace(should_abort=lambda: False, job=job))

    first = turn.is_over()
    time.sleep(0.06)

    assert (first, turn.is_over(), turn.is_over()) == (False, True, True)


def test_import_that_nobody_waits_for_runs_in_one_turn(two_large_imports):
    first, second = two_large_imports
    ProcrastinateJob.objects.filter(args__import_id=second.pk).delete()

    assert run_waiting_jobs() == []

    assert list_turns() == [first.pk]
    first.refresh_from_db()
    assert first.state == "applied"


def test_small_import_is_before_large_ones(two_large_imports, make_user):
    small = make_ready_import(make_user("cid"), 5)
    services.import_apply(import_id=small.pk)

    (first,) = ProcrastinateJob.objects.order_by("-priority", "id")[:1]

    assert first.args["import_id"] == small.pk


def test_import_that_runs_is_not_queued_again(job):
    services.import_apply(import_id=job.pk)
    ProcrastinateJob.objects.update(status="doing")

    resume_imports(timestamp=0)

    assert ProcrastinateJob.objects.filter(queueing_lock=f"import-{job.pk}").count() == 1


# --- Concurrency ---------------------------------------------------------------------------------


def test_concurrent_applies_and_runs_write_each_row_once(shared_job):
    results = run_at_once(*[lambda: services.import_apply(import_id=shared_job.pk)] * 8)
    run_at_once(*[lambda: run_whole(shared_job.pk)] * 4)

    assert sorted(results) == [False] * 7 + [True]
    shared_job.refresh_from_db()
    assert (shared_job.state, shared_job.position) == ("applied", ROWS)
    assert_applied_once()


def test_concurrent_runs_read_each_row_once(transactional_db, make_user, monkeypatch):
    monkeypatch.setattr(read, "BATCH_SIZE", 10)
    job, _ = create_import(make_user("ann").pk, make_csv(ROWS))

    run_at_once(*[lambda: run_whole(job.pk)] * 4)
    run_whole(job.pk)

    numbers = ImportRow.objects.filter(of=job).order_by("number").values_list("number", flat=True)
    assert list(numbers) == list(range(1, ROWS + 1))


def test_concurrent_apply_and_undo_end_in_either_state(shared_job):
    results = run_at_once(
        *[
            lambda: services.import_apply(import_id=shared_job.pk),
            lambda: services.import_undo(import_id=shared_job.pk),
        ]
        * 4,
        *[lambda: run_whole(shared_job.pk)] * 2,
    )
    run_whole(shared_job.pk)

    assert all(isinstance(result, bool | Problem) for result in results), results
    shared_job.refresh_from_db()
    if shared_job.state == "applied":
        assert_applied_once()
    else:
        assert shared_job.state == "undone"
        assert_undone()


def test_twenty_concurrent_uploads_of_a_file_create_one_import(shared_job):
    results = run_at_once(*[lambda: create_import(shared_job.user_id, make_csv(3))] * 20)

    assert sorted(created for _, created in results) == [False] * 19 + [True]
    assert Import.objects.count() == 2
    assert ProcrastinateJob.objects.count() == 1


def test_deleting_an_account_while_it_imports_leaves_nothing(shared_job):
    services.import_apply(import_id=shared_job.pk)

    run_at_once(lambda: run_whole(shared_job.pk), lambda: account_delete(user=shared_job.user))

    assert not Import.objects.exists()
    assert not ImportRow.objects.exists()
    assert not ProcrastinateJob.objects.exists()
    assert_undone()


# --- Interruptions -------------------------------------------------------------------------------


def test_interrupted_reading_continues_at_its_position(job, monkeypatch):
    monkeypatch.setattr(read, "BATCH_SIZE", 10)
    job, _ = create_import(job.user_id, make_csv(ROWS, 3))
    for _ in range(3):
        assert import_run(import_id=job.pk, is_over=lambda: True)
    job.refresh_from_db()
    assert (job.state, job.position) == ("reading", 30)

    run_whole(job.pk)

    job.refresh_from_db()
    assert (job.state, job.total) == ("ready", ROWS)
    numbers = ImportRow.objects.filter(of=job).order_by("number").values_list("number", flat=True)
    assert list(numbers) == list(range(1, ROWS + 1))


def test_turn_that_fails_repeatedly_is_given_up(job, monkeypatch):
    def fail(import_id):
        raise OperationalError("no")

    services.import_apply(import_id=job.pk)
    monkeypatch.setitem(runner.BATCH_FUNCTIONS, "apply", fail)

    errors = []
    for _ in range(MAX_TURN_ATTEMPTS + 1):
        errors += run_waiting_jobs()
        ProcrastinateJob.objects.update(scheduled_at=None)

    assert [str(error) for error in errors] == ["no"] * MAX_TURN_ATTEMPTS
    job.refresh_from_db()
    assert (job.state, job.step) == ("applied", "")
    assert "failed in the step" in job.reason
    assert services.import_undo(import_id=job.pk)


def test_batch_that_collides_with_another_write_is_retried(job, monkeypatch):
    calls = []

    @batch.retry_on_conflict
    def run_batch(import_id):
        calls.append(import_id)
        if len(calls) < 3:
            raise OperationalError("deadlock detected")
        return job

    monkeypatch.setattr(batch, "CONFLICT_DELAY_S", 0.001)

    result = run_batch(job.pk)

    assert result is job
    assert calls == [job.pk] * 3


def test_import_of_a_killed_worker_is_continued_within_a_minute(
    transactional_db, make_user, worker
):
    rows = 300
    job = make_ready_import(make_user("ann"), rows)
    services.import_apply(import_id=job.pk)
    last = Movie.objects.get(title="Film 299").pk
    with connection.cursor() as cursor:
        # Another transaction locks a movie of the second batch, so the worker waits there.
        cursor.execute("BEGIN; SELECT 1 FROM movies_movie WHERE id = %s FOR UPDATE", [last])
        process = worker("imports")
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
    killed = time.monotonic()
    assert Rating.objects.count() == position

    worker("imports", "jobs")
    while job.state != "applied" and time.monotonic() < killed + 60:
        time.sleep(0.2)
        job.refresh_from_db()

    assert job.state == "applied"
    assert_applied_once(rows)


# --- Retention -----------------------------------------------------------------------------------


def test_imports_are_deleted_thirty_days_after_they_are_done(job, make_user):
    now = timezone.now()
    kept = make_ready_import(make_user("bob"), 2)
    running = make_ready_import(make_user("cid"), 2)
    Import.objects.filter(pk=job.pk).update(finished_at=now - timedelta(days=30, minutes=1))
    Import.objects.filter(pk=kept.pk).update(finished_at=now - timedelta(days=29))
    Import.objects.filter(pk=running.pk).update(
        finished_at=now - timedelta(days=90), step=Import.Step.APPLY, state=Import.State.APPLYING
    )

    delete_old_imports(timestamp=0)

    assert set(Import.objects.values_list("pk", flat=True)) == {kept.pk, running.pk}
    assert ImportRow.objects.filter(of_id=job.pk).count() == 0
    assert ImportRow.objects.count() == 4


def test_the_ratings_of_a_deleted_import_stay(job):
    services.import_apply(import_id=job.pk)
    run_waiting_jobs()
    Import.objects.update(finished_at=timezone.now() - timedelta(days=31))

    assert imports_delete_old() == 1

    assert Rating.objects.count() == ROWS


def test_an_import_from_before_the_column_is_deleted_by_its_other_dates(job):
    long_ago = timezone.now() - timedelta(days=31)
    Import.objects.update(finished_at=None, created_at=long_ago, applied_at=timezone.now())
    assert imports_delete_old() == 0

    Import.objects.update(applied_at=long_ago)

    assert imports_delete_old() == 1


def test_a_step_that_ends_dates_the_import(job):
    services.import_apply(import_id=job.pk)

    run_waiting_jobs()

    job.refresh_from_db()
    assert timezone.now() - job.finished_at < timedelta(minutes=1)
