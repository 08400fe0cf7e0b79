"""Background work on imports."""

from __future__ import annotations

from contextlib import suppress

from django.db import transaction
from procrastinate import JobContext
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

from nexus.core.background.queues import RETRY, Queue
from social.models import Import
from social.transfer.runner import import_give_up, import_run

# Several large imports take turns, so that a small one starts after a few seconds.
PIECE_S = 1.0
# After as many attempts of the same piece, the import ends with a reason that its owner can read.
MAX_PIECE_ATTEMPTS = 5


@app.task(queue=Queue.IMPORTS, retry=RETRY, pass_context=True)
def process_import(context: JobContext, import_id: int, user_id: int) -> None:
    """Work on an import for about a second; a next job does what is left."""
    if context.job.attempts >= MAX_PIECE_ATTEMPTS:
        import_give_up(import_id=import_id)
    elif import_run(import_id=import_id, max_s=PIECE_S):
        defer_import(import_id=import_id, user_id=user_id)


@transaction.atomic
def defer_import(*, import_id: int, user_id: int) -> None:
    """Queue the next piece of an import, unless it is queued, done or deleted.

    Imports of one member run one after the other.
    """
    # With the lock, deleting the account waits and then finds the job.
    unfinished = Import.objects.select_for_update().exclude(step=Import.Step.NONE)
    if not unfinished.filter(id=import_id).exists():
        return
    job = process_import.configure(
        lock=f"imports-of-{user_id}", queueing_lock=f"import-{import_id}"
    )
    with suppress(AlreadyEnqueued), transaction.atomic():
        job.defer(import_id=import_id, user_id=user_id)


@app.periodic(cron="*/5 * * * *")
@app.task(queue=Queue.PERIODIC, queueing_lock="resume_imports")
def resume_imports(timestamp: int) -> None:
    """Queue the imports that have work to do but no job, because an admin has canceled it."""
    unfinished = Import.objects.exclude(step=Import.Step.NONE).order_by("id")
    for import_id, user_id in unfinished.values_list("id", "user_id"):
        defer_import(import_id=import_id, user_id=user_id)
