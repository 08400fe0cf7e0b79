"""Kill the task worker in each kind of task; its job must run again in the next worker.

Every table of the application is locked and TMDb is slow, so that each job waits. Then the worker
is killed, the tables are unlocked and another worker starts. Part of benchmarks.chaos.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from benchmarks.service import manage
from nexus.dev import embedded
from tmdb.fake.server import CREDENTIAL, FIRST_ID, FakeTmdbServer

#: After a kill the job runs again within this time, and succeeds within the other.
RUNS_AGAIN_S = 60.0
SUCCEEDS_S = 240.0
# Jobs that are stopped at a lock fail after 2 s (lock_timeout).
STABLE_S = 0.7
START_TIMEOUT_S = 30.0
POLL_S = 0.1

# Queues one job of each kind that is named, and prints [name, job id] of each. The work on the queues
# themselves uses no table of the application, and is done every few seconds.
_DEFER = """
import inspect, io, json
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob
from accounts.models import User
from social.models import Rating
from social.transfer.services import import_create
from tmdb.cache import get_cached_related_pages
names = {names}
user = User.objects.order_by("id").first()
user.set_password("a-password-for-chaos-1")
user.save()
ProcrastinateJob.objects.all().delete()
for name, task in app.tasks.items():
    kind = name.rpartition(".")[2]
    if task.queue == "jobs" or name.startswith(("builtin", "procrastinate")) or names and kind not in names:
        continue
    if kind == "process_import":
        file = io.BytesIO(b"Date,Name,Year,Letterboxd URI,Rating" + b"\\n2024-02-01,Film,2000,u,4" * {rows})
        import_create(user_id=user.pk, filename="ratings.csv", file=file)
    elif kind == "refresh_copy":
        get_cached_related_pages({movie})
    else:
        values = dict(user_id=user.pk, timestamp=0, tmdb_id={movie})
        parameters = [name for name in inspect.signature(task.func).parameters if name != "context"]
        task.defer(**dict((name, values[name]) for name in parameters))
jobs = ProcrastinateJob.objects.values_list("task_name", "id")
print(json.dumps([[name.rpartition(".")[2], pk] for name, pk in jobs]))
"""


@contextmanager
def run_worker(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a task worker during the block."""
    worker = subprocess.Popen(
        [sys.executable, "manage.py", "run_worker"], env=environment, cwd=embedded.ROOT
    )
    try:
        yield worker
    finally:
        worker.terminate()
        worker.wait(timeout=60)


@contextmanager
def lock_tables(url: str) -> Iterator[None]:
    """Lock all tables of the application during the block, but not those of the queues."""
    with psycopg.connect(url) as session:
        rows = session.execute(
            "SELECT format('%I', tablename) FROM pg_tables WHERE schemaname = 'public'"
            " AND tablename NOT LIKE 'procrastinate%'"
        ).fetchall()
        tables = ", ".join(row[0] for row in rows)
        session.execute(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE".encode())
        yield
        session.rollback()


def kill_worker_in_each_task(environment: dict[str, str]) -> bool:
    """Kill a worker in each kind of task, print a row for each; return whether all jobs were done."""
    waiting: list[str] | None = None
    is_kept = True
    with FakeTmdbServer() as tmdb:
        environment = {
            **environment,
            "TMDB_BASE_URL": tmdb.base_url,
            "TMDB_ACCESS_TOKEN": CREDENTIAL,
            "TMDB_SYNC_PAGES": "1",
        }
        number = 0
        while waiting is None or waiting:
            number += 1
            command = _DEFER.format(names=waiting or [], rows=number, movie=FIRST_ID + number)
            # For the tasks that read no table.
            tmdb.set_mode("slow", seconds=5)
            jobs = json.loads(
                manage("shell", "-v", "0", "-c", command, environment=environment).splitlines()[-1]
            )
            killed = _kill_during(environment, {pk: name for name, pk in jobs})
            tmdb.set_mode("ok")
            if not killed:
                print(f"MISS the worker runs none of {', '.join(name for name, _ in jobs)}")
                return False
            is_kept &= _wait_for_jobs(environment, killed)
            waiting = [name for name, _ in jobs if name not in killed.values()]
    return is_kept


def _kill_during(environment: dict[str, str], jobs: dict[int, str]) -> dict[int, str]:
    """Start a worker, kill it when it runs as many jobs as it can; return these jobs."""
    url = environment["DATABASE_URL"]
    with (
        psycopg.connect(url, autocommit=True) as queues,
        lock_tables(url),
        run_worker(environment) as worker,
    ):
        running: set[int] = set()
        changed_at = time.monotonic()
        deadline = changed_at + START_TIMEOUT_S
        while time.monotonic() < deadline:
            sql = "SELECT id FROM procrastinate_jobs WHERE status = 'doing' AND id = ANY(%s)"
            now_running = {row[0] for row in queues.execute(sql, [list(jobs)]).fetchall()}
            if now_running - running:
                running, changed_at = now_running, time.monotonic()
            if running and time.monotonic() - changed_at > STABLE_S:
                break
            time.sleep(POLL_S)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
        rows = queues.execute(sql, [list(jobs)]).fetchall()
    return {row[0]: jobs[row[0]] for row in rows}


def _wait_for_jobs(environment: dict[str, str], jobs: dict[int, str]) -> bool:
    """Run another worker until the jobs are done; print a row for each."""
    killed_at = time.monotonic()
    runs_again_s: dict[int, float] = {}
    succeeds_s: dict[int, float] = {}
    were_queued: set[int] = set()
    with (
        psycopg.connect(environment["DATABASE_URL"], autocommit=True) as queues,
        run_worker(environment),
    ):
        while len(succeeds_s) < len(jobs) and time.monotonic() < killed_at + SUCCEEDS_S:
            time.sleep(POLL_S)
            sql = "SELECT id, status::text FROM procrastinate_jobs WHERE id = ANY(%s)"
            statuses: dict[int, Any] = dict(queues.execute(sql, [list(jobs)]).fetchall())
            elapsed_s = time.monotonic() - killed_at
            for job in jobs:
                # The rows of some jobs are deleted when they succeed.
                status = statuses.get(job, "succeeded")
                if status == "todo":
                    were_queued.add(job)
                elif job in were_queued or status in ("succeeded", "aborted"):
                    runs_again_s.setdefault(job, elapsed_s)
                # Aborted: another job with the same queueing lock waits and does the same.
                if status in ("succeeded", "aborted"):
                    succeeds_s.setdefault(job, elapsed_s)
    is_kept = True
    for job, name in jobs.items():
        again_s, done_s = runs_again_s.get(job), succeeds_s.get(job)
        is_done = again_s is not None and again_s <= RUNS_AGAIN_S and done_s is not None
        is_kept &= is_done
        text = f"runs again after {again_s:.0f} s" if again_s is not None else "does not run again"
        text += f", done after {done_s:.0f} s" if done_s is not None else ", not done"
        print(
            f"{'ok  ' if is_done else 'MISS'} task worker killed in {name:<28} {text}", flush=True
        )
    return is_kept
