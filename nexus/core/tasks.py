"""Work on the queues themselves."""

from __future__ import annotations

from procrastinate import JobContext
from procrastinate.contrib.django import app
from procrastinate.exceptions import UniqueViolation
from procrastinate.jobs import Status
from procrastinate.utils import utcnow

from nexus.core.background.queues import MAX_ATTEMPTS, Queue
from nexus.core.background.worker import STALLED_AFTER_S

# Admins see what has run and failed in the last week.
DELETE_AFTER_HOURS = 7 * 24


# Every 15 seconds: the sixth field of croniter is the second.
@app.periodic(cron="* * * * * */15")
@app.task(queue=Queue.JOBS, queueing_lock="retry_stalled_jobs", pass_context=True)
async def retry_stalled_jobs(context: JobContext, timestamp: int) -> None:
    """Retry the jobs of workers that were killed. A job that was lost too often fails."""
    manager = context.app.job_manager
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_AFTER_S):
        if job.attempts < MAX_ATTEMPTS:
            try:
                await manager.retry_job(job, retry_at=utcnow())
            except UniqueViolation:
                # A job with the same queueing lock waits already and does the same work.
                await manager.finish_job(job, status=Status.ABORTED, delete_job=False)
        else:
            await manager.finish_job(job, status=Status.FAILED, delete_job=False)


@app.periodic(cron="23 3 * * *")
@app.task(queue=Queue.JOBS, queueing_lock="delete_old_jobs", pass_context=True)
async def delete_old_jobs(context: JobContext, timestamp: int) -> None:
    """Delete the jobs that ended more than a week ago."""
    await context.app.job_manager.delete_old_jobs(
        nb_hours=DELETE_AFTER_HOURS,
        include_failed=True,
        include_cancelled=True,
        include_aborted=True,
    )
