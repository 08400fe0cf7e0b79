"""The queue of imports: run the steps that are waiting, one batch at a time.

Each serving process runs it in a thread (transfer.worker), and `manage.py run_imports` in its own
process. Any number of processes may run it at once; see transfer.leases.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from datetime import timedelta

from social.models import Import
from social.transfer.leases import (
    Lease,
    LeaseLostError,
    acquire_lease,
    get_leased_import,
    lock_import,
    release_lease,
)
from social.transfer.pipeline.apply import apply_batch
from social.transfer.pipeline.find import find_batch
from social.transfer.pipeline.match import match_batch
from social.transfer.pipeline.read import import_fail, open_file, read_batch
from social.transfer.pipeline.undo import undo_batch

# A step that has started so often without progress is given up.
MAX_ATTEMPTS = 5
RETRY_AFTER = timedelta(milliseconds=200)

Step = Import.Step
#: The function that runs a batch of each step, except for reading, whose batches share an open file.
BATCH_FUNCTIONS: dict[str, Callable[[Lease], Import]] = {
    Step.MATCH: match_batch,
    Step.FIND: find_batch,
    Step.APPLY: apply_batch,
    Step.UNDO: undo_batch,
}

_LOG = logging.getLogger(__name__)


def run_imports() -> int:
    """Run all waiting imports; return how many were finished."""
    return sum(job.step == Step.NONE for job in process_imports())


def process_imports() -> Generator[Import, None, None]:
    """Run the waiting imports, and yield an import after each of its batches.

    An import with an empty step is finished. Closing the generator releases the lease, so the
    caller may stop after any batch and another process continues at once.
    """
    while (lease := acquire_lease()) is not None:
        retry_after = None
        try:
            if lease.attempts > MAX_ATTEMPTS:
                _give_up(lease)
            else:
                yield from _process_import(lease)
        except LeaseLostError:
            continue
        except Exception:
            # It is tried again later, perhaps by another process.
            _LOG.exception("Import %s failed.", lease.import_id)
            retry_after = RETRY_AFTER
        finally:
            release_lease(lease, retry_after=retry_after)


def _process_import(lease: Lease) -> Generator[Import, None, None]:
    job = get_leased_import(lease)
    if job.step == Step.READ:
        rows = open_file(job)
        while job.step == Step.READ:
            job = read_batch(lease, rows)
            yield job
    while job.step != Step.NONE:
        job = BATCH_FUNCTIONS[job.step](lease)
        yield job


def _give_up(lease: Lease) -> None:
    """End the step of an import after too many attempts; its writes stay and can be undone."""
    with lock_import(lease) as job:
        _LOG.error("Import %s is given up in its step %s.", job.pk, job.step)
        reason = f"The service failed in the step “{job.step}” after {job.position} rows."
        if job.step in (Step.APPLY, Step.UNDO):
            job.finish(Import.State.APPLIED)
            job.reason = reason
        else:
            import_fail(job, reason)
