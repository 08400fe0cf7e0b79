"""Running an import: its steps, batch after batch.

transfer.tasks calls it in the task worker.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from social.models import Import
from social.transfer.pipeline.apply import apply_batch
from social.transfer.pipeline.batch import StepOverError, lock_import
from social.transfer.pipeline.find import find_batch
from social.transfer.pipeline.match import match_batch
from social.transfer.pipeline.read import import_fail, read_batches
from social.transfer.pipeline.undo import undo_batch

Step = Import.Step
#: The function that runs a batch of each step, except for reading, whose batches share an open file.
BATCH_FUNCTIONS: dict[str, Callable[[int], Import]] = {
    Step.MATCH: match_batch,
    Step.FIND: find_batch,
    Step.APPLY: apply_batch,
    Step.UNDO: undo_batch,
}

_LOG = logging.getLogger(__name__)


def import_run(*, import_id: int, is_over: Callable[[], bool]) -> bool:
    """Run an import until it has nothing to do or `is_over`; return whether it has more to do.

    `is_over` is called after each batch.
    """
    job = Import.objects.filter(id=import_id).first()
    try:
        while job is not None and job.step != Step.NONE:
            if job.step == Step.READ:
                job = read_batches(job, is_over=is_over)
            else:
                job = BATCH_FUNCTIONS[job.step](import_id)
            if is_over():
                return job.step != Step.NONE
    except StepOverError:
        # Another process goes on with it, or the member has deleted it.
        pass
    return False


def import_give_up(*, import_id: int) -> None:
    """End the step of an import after too many attempts; its writes stay and can be undone."""
    job = Import.objects.exclude(step=Step.NONE).filter(id=import_id).first()
    if job is None:
        return
    with lock_import(import_id, Step(job.step)) as job:
        _LOG.error("Import %s is given up in its step %s.", job.pk, job.step)
        reason = f"The service failed in the step “{job.step}” after {job.position} rows."
        if job.step in (Step.APPLY, Step.UNDO):
            job.finish(Import.State.APPLIED)
            job.reason = reason
        elif job.finished_at is not None:
            # It was ready before and is being matched again.
            job.finish(Import.State.READY)
            job.reason = reason
        else:
            import_fail(job, reason)
