"""Running background jobs in tests, within the caller's thread and transaction."""

from __future__ import annotations

import inspect
import json
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.job_context import JobContext
from procrastinate.jobs import Job, Status


def run_waiting_jobs() -> list[Exception]:
    """Run all jobs that are due, also those that they defer; return the exceptions of the failed."""
    return async_to_sync(_run_waiting_jobs)()


async def _run_waiting_jobs() -> list[Exception]:
    # async_to_sync executes the queries of Django's connector in the thread of its caller.
    manager = app.job_manager
    worker_id = await manager.register_worker()
    errors = []
    while job := await manager.fetch_job(queues=None, worker_id=worker_id):
        try:
            await _run(job)
        except Exception as error:  # A task may raise anything.
            errors.append(error)
            retry = app.tasks[job.task_name].get_retry_exception(error, job)
            if retry is None:
                await manager.finish_job(job, status=Status.FAILED, delete_job=False)
            else:
                await manager.retry_job(job, retry_at=retry.retry_decision.retry_at)
        else:
            await manager.finish_job(job, status=Status.SUCCEEDED, delete_job=False)
    await manager.unregister_worker(worker_id)
    return errors


async def _run(job: Job) -> None:
    task = app.tasks[job.task_name]
    # Django's connections do not decode JSON.
    kwargs = json.loads(str(job.task_kwargs))
    arguments: list[Any] = []
    if task.pass_context:
        context = JobContext(
            start_timestamp=0.0, app=app, job=job, abort_reason=lambda: None, worker_name="test"
        )
        arguments.append(context)
    if inspect.iscoroutinefunction(task.func):
        await task.func(*arguments, **kwargs)
    else:
        await sync_to_async(task.func)(*arguments, **kwargs)


def delete_jobs() -> None:
    ProcrastinateJob.objects.all().delete()
