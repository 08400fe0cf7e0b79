"""Background jobs: transactions, the task worker, lost jobs, schedules and metrics."""

from __future__ import annotations

import signal
import time
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateEvent, ProcrastinateJob

from accounts.tasks import send_password_reset_mail
from nexus.core.background.jobs import jobs_delete_of_member

MAIL_TASK = "accounts.tasks.send_password_reset_mail"


class UndoError(Exception):
    pass


@transaction.atomic
def defer_and_fail():
    send_password_reset_mail.defer(user_id=1)
    raise UndoError


def wait_for(condition, timeout_s=30.0):
    """Wait until the condition holds; return its value."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition does not hold in time"
        time.sleep(0.05)
    return value


def get_job(task_name=MAIL_TASK):
    return ProcrastinateJob.objects.get(task_name=task_name)


@pytest.mark.django_db
def test_job_is_undone_with_the_transaction_that_deferred_it():
    with pytest.raises(UndoError):
        defer_and_fail()

    assert not ProcrastinateJob.objects.filter(task_name=MAIL_TASK).exists()


@pytest.mark.django_db(transaction=True)
def test_worker_runs_a_job_at_once(worker):
    worker("mail")
    wait_for(lambda: "mail" in list_listened_queues())

    started = time.monotonic()
    send_password_reset_mail.defer(user_id=0)
    wait_for(lambda: get_job().status == "succeeded")

    assert time.monotonic() - started < 2


@pytest.mark.django_db(transaction=True)
def test_worker_ends_after_sigterm(worker):
    process = worker("mail", "imports")
    wait_for(lambda: "mail" in list_listened_queues())

    process.send_signal(signal.SIGTERM)

    assert process.wait(timeout=20) == 0


@pytest.mark.django_db(transaction=True)
def test_worker_survives_a_lost_connection_to_the_database(worker):
    worker("mail")
    wait_for(lambda: "mail" in list_listened_queues())

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    send_password_reset_mail.defer(user_id=0)

    wait_for(lambda: get_job().status == "succeeded", 10)


@pytest.mark.django_db
def test_deleting_a_members_jobs_leaves_no_id_of_the_member():
    for user_id in (7, 8):
        send_password_reset_mail.configure(lock=f"member-{user_id}").defer(user_id=user_id)
    running = ProcrastinateJob.objects.filter(args__user_id=7)
    send_password_reset_mail.defer(user_id=7)
    ProcrastinateJob.objects.filter(pk=running.first().pk).update(status="doing")

    jobs_delete_of_member(user_id=7)

    rows = ProcrastinateJob.objects.order_by("id").values_list("status", "args", "lock")
    assert list(rows) == [
        ("doing", {"user_id": 0}, None),
        ("todo", {"user_id": 8}, "member-8"),
    ]


@pytest.mark.django_db
def test_metrics_show_waiting_and_failed_jobs_and_the_oldest(api, run_jobs):
    for status in ("todo", "todo", "failed"):
        send_password_reset_mail.defer(user_id=0)
        ProcrastinateJob.objects.filter(pk=ProcrastinateJob.objects.latest("id").pk).update(
            status=status
        )
    ProcrastinateEvent.objects.update(at=timezone.now() - timedelta(seconds=90))

    text = api.get("/metrics").content.decode()

    assert 'nexus_jobs{queue="mail",status="todo"} 2.0' in text
    assert 'nexus_jobs{queue="mail",status="failed"} 1.0' in text
    assert 'nexus_jobs{queue="imports",status="todo"} 0.0' in text
    (line,) = [line for line in text.splitlines() if 'oldest_wait_seconds{queue="mail"}' in line]
    assert 90 <= float(line.split()[-1]) < 120


def list_listened_queues():
    """Return the queues whose workers have begun to listen for jobs."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT query FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN %'"
        )
        return "".join(query for (query,) in cursor.fetchall())
