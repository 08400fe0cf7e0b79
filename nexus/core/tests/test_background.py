"""Background jobs: transactions, the task worker, lost jobs, schedules and metrics."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.utils import timezone
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import (
    ProcrastinateEvent,
    ProcrastinateJob,
    ProcrastinateWorker,
)
from procrastinate.periodic import PeriodicDeferrer, PeriodicRegistry

from accounts.tasks import send_password_reset_mail
from nexus.core.background.child import NICENESS, CommandFailedError, run_command
from nexus.core.background.jobs import jobs_delete_of_member
from nexus.dev.embedded import ROOT
from nexus.dev.pytest_plugin import find_free_port, get_database_url

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


def get_status(task_name):
    jobs = ProcrastinateJob.objects.filter(task_name=task_name)
    return jobs.values_list("status", flat=True).first()


@pytest.mark.django_db
def test_job_is_undone_with_the_transaction_that_deferred_it():
    with pytest.raises(UndoError):
        defer_and_fail()

    assert not ProcrastinateJob.objects.filter(task_name=MAIL_TASK).exists()


@pytest.mark.django_db(transaction=True)
def test_worker_runs_a_job_at_once_survives_a_lost_connection_and_ends_after_sigterm(worker):
    process = worker("mail", "imports")
    wait_for(lambda: "mail" in list_listened_queues())

    started = time.monotonic()
    send_password_reset_mail.defer(user_id=0)
    wait_for(lambda: get_job().status == "succeeded")
    duration_s = time.monotonic() - started
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    ProcrastinateJob.objects.all().delete()
    send_password_reset_mail.defer(user_id=0)
    wait_for(lambda: get_job().status == "succeeded", 10)
    process.send_signal(signal.SIGTERM)

    assert duration_s < 2
    assert process.wait(timeout=20) == 0


@pytest.mark.django_db(transaction=True)
def test_worker_waits_for_a_database_that_is_down(worker):
    url = f"postgres://nobody@127.0.0.1:{find_free_port()}/none"
    process = worker("mail", stderr=subprocess.PIPE, DATABASE_URL=url)

    with process.stderr as log:
        is_waiting = any(b"waits for the database" in line for line in log)
        process.send_signal(signal.SIGTERM)

        assert is_waiting
        assert process.wait(timeout=20) == 0


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


# --- Schedules -----------------------------------------------------------------------------------


def test_worker_that_starts_an_hour_late_runs_what_it_missed():
    now = time.time()
    for (task_name, _), task in app.periodic_registry.periodic_tasks.items():
        last_tick = task.croniter.get_prev(ret_type=float, start_time=now)
        period = task.croniter.get_next(ret_type=float, start_time=last_tick) - last_tick
        registry = PeriodicRegistry()
        registry.periodic_tasks[task_name, ""] = task
        deferrer = PeriodicDeferrer(registry, **app.periodic_defaults)

        due = list(deferrer.get_previous_tasks(at=last_tick + min(period - 1, 3600)))

        assert [int(tick) for _, tick in due] == [int(last_tick)], task_name


@pytest.mark.django_db(transaction=True)
def test_new_worker_runs_nightly_work_whose_time_is_over(worker):
    worker("periodic", "jobs")

    for task in ("accounts.tasks.clear_ended_sessions", "recommendations.tasks.train_recommender"):
        wait_for(lambda task=task: get_status(task) == "succeeded", 60)

    # Another worker does not run it again.
    worker("periodic")
    wait_for(lambda: ProcrastinateWorker.objects.count() == 3)
    time.sleep(2)
    nightly = ProcrastinateJob.objects.filter(task_name="accounts.tasks.clear_ended_sessions")
    assert nightly.count() == 1


# --- Child processes -----------------------------------------------------------------------------


def is_serving(port):
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.django_db(transaction=True)
def test_command_of_a_canceled_task_ends():
    port = find_free_port()

    async def run_for_a_while():
        command = asyncio.create_task(run_command("runserver", "--noreload", str(port)))
        while not is_serving(port):
            assert not command.done()
            await asyncio.sleep(0.1)
        command.cancel()
        with pytest.raises(asyncio.CancelledError):
            await command

    asyncio.run(run_for_a_while())

    assert not is_serving(port)


@pytest.mark.django_db(transaction=True)
def test_command_ends_with_a_killed_parent():
    port = find_free_port()
    child = subprocess.Popen(
        [sys.executable, "-m", "nexus.core.background.child", "runserver", "--noreload", str(port)],
        env={**os.environ, "DATABASE_URL": get_database_url()},
        stdin=subprocess.PIPE,
        cwd=ROOT,
    )
    wait_for(lambda: is_serving(port))
    niceness = os.getpriority(os.PRIO_PROCESS, child.pid)

    # What the kernel does for a process that is killed.
    child.stdin.close()

    assert child.wait(timeout=15) == -signal.SIGTERM
    assert niceness == min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)


def test_failed_command_fails_its_task():
    with pytest.raises(CommandFailedError, match="train_recommender ended with status 2"):
        asyncio.run(run_command("train_recommender", "--unknown-option"))
