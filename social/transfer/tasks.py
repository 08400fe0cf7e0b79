"""Background work on imports and exports."""

from __future__ import annotations

import time
from contextlib import suppress

from django.db import transaction
from django.db.models import Sum
from django.db.models.functions import Length
from procrastinate import JobContext
from procrastinate.contrib.django import app
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.exceptions import AlreadyEnqueued

from nexus.core.background.queues import RETRY, Queue
from social.models import Import
from social.transfer.prepared_exports import export_prepare, exports_delete_old
from social.transfer.retention import imports_delete_old
from social.transfer.runner import import_give_up, import_run

# How long an import runs while others wait for a turn.
TURN_S = 1.0
# After as many attempts of a turn, the import ends with a reason that its owner can read.
MAX_TURN_ATTEMPTS = 5
# Of imports that wait for a turn, those with files or results of up to this size are first.
SMALL_FILE_BYTES = 512 * 1024
SMALL_TOTAL = 2_000


@app.task(queue=Queue.IMPORTS, retry=RETRY, pass_context=True)
def process_import(context: JobContext, import_id: int, user_id: int) -> None:
    """Work on an import until it is done or others wait; then a next job does what is left."""
    if context.job.attempts >= MAX_TURN_ATTEMPTS:
        import_give_up(import_id=import_id)
    elif import_run(import_id=import_id, is_over=_Turn(context).is_over):
        defer_import(import_id=import_id, user_id=user_id)


class _Turn:
    """The time that an import may take before it lets others go first."""

    def __init__(self, context: JobContext) -> None:
        self._context = context
        #: None until the first batch is done, because a file is copied and parsed before it.
        self._ends_at: float | None = None

    def is_over(self) -> bool:
        """Return whether the worker stops, or the time is over and imports of others wait."""
        if self._context.should_abort():
            return True
        if self._ends_at is None:
            self._ends_at = time.monotonic() + TURN_S
        if time.monotonic() < self._ends_at:
            return False
        waiting = ProcrastinateJob.objects.filter(queue_name=Queue.IMPORTS, status="todo")
        # Other imports of the same member have the same lock and wait in any case.
        if waiting.exclude(lock=self._context.job.lock).exists():
            # The caller asks again after a step's function has returned: the turn stays over.
            return True
        self._ends_at = time.monotonic() + TURN_S
        return False


@transaction.atomic
def defer_import(*, import_id: int, user_id: int) -> None:
    """Queue the next turn of an import, unless it is queued, done or deleted.

    Imports of one member run one after the other.
    """
    # With the lock, deleting the account waits and then finds the job.
    unfinished = Import.objects.select_for_update().exclude(step=Import.Step.NONE)
    job = unfinished.filter(id=import_id).first()
    if job is None:
        return
    deferrer = process_import.configure(
        lock=f"imports-of-{user_id}",
        queueing_lock=f"import-{import_id}",
        priority=1 if _is_small(job) else 0,
    )
    with suppress(AlreadyEnqueued), transaction.atomic():
        deferrer.defer(import_id=import_id, user_id=user_id)


def _is_small(job: Import) -> bool:
    if job.step == Import.Step.READ:
        size = job.pieces.aggregate(bytes=Sum(Length("content")))["bytes"] or 0
        return bool(size <= SMALL_FILE_BYTES)
    return job.total <= SMALL_TOTAL


@app.periodic(cron="*/5 * * * *")
@app.task(queue=Queue.PERIODIC, queueing_lock="resume_imports")
def resume_imports(timestamp: int) -> None:
    """Queue the imports that have work to do but no job, because an admin has canceled it."""
    jobs = ProcrastinateJob.objects.filter(
        task_name=process_import.name, status__in=("todo", "doing")
    )
    queued_ids = set(jobs.values_list("args__import_id", flat=True))
    unfinished = Import.objects.exclude(step=Import.Step.NONE).order_by("id")
    for import_id, user_id in unfinished.values_list("id", "user_id"):
        if import_id not in queued_ids:
            defer_import(import_id=import_id, user_id=user_id)


@app.periodic(cron="19 5 * * *")
@app.task(queue=Queue.PERIODIC, queueing_lock="delete_old_imports")
def delete_old_imports(timestamp: int) -> None:
    """Delete imports that were done a while ago; what they have written stays."""
    imports_delete_old()


@app.task(queue=Queue.EXPORTS, retry=RETRY)
def prepare_export(user_id: int) -> None:
    """Write the archive that a member with much data has requested."""
    export_prepare(user_id=user_id)


@app.periodic(cron="7 4 * * *")
@app.task(queue=Queue.PERIODIC, queueing_lock="delete_old_exports", retry=RETRY)
def delete_old_exports(timestamp: int) -> None:
    """Delete the archives that were requested more than a day ago."""
    exports_delete_old()
