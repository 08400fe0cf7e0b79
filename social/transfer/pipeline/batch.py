"""One batch of an import: a transaction that does a part of the import's step.

The step and the position change in the transaction that does the work, and every batch locks the
import. So a process that is killed leaves nothing half done, and two processes that work on the same
import by mistake take turns.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import IntegrityError, OperationalError, transaction

from accounts.models import User
from social.models import Import

CONFLICT_RETRIES = 4
CONFLICT_DELAY_S = 0.2


class StepOverError(Exception):
    """The import is not in this step any more: it is deleted, or another process has continued."""


def get_import(import_id: int, step: Import.Step) -> Import:
    """Return the import, not locked. Raises StepOverError."""
    job = Import.objects.filter(id=import_id, step=step).first()
    if job is None:
        raise StepOverError
    return job


@contextmanager
def lock_import(import_id: int, step: Import.Step) -> Iterator[Import]:
    """Run a batch in one transaction: yield the import, locked, and save it at the end.

    Raises StepOverError.
    """
    with transaction.atomic():
        owner_ids = Import.objects.filter(id=import_id).values("user_id")
        # The member before the import: deleting an account locks them in this order. The lock is that
        # of every write that counts the member's rows or reads the visibility.
        members = User.objects.select_for_update(no_key=True).filter(pk__in=owner_ids)
        if not list(members.values_list("pk")):
            raise StepOverError
        job = Import.objects.select_for_update().filter(id=import_id, step=step).first()
        if job is None:
            raise StepOverError
        yield job
        job.save()


def retry_on_conflict(run_batch: Callable[[int], Import]) -> Callable[[int], Import]:
    """Run a batch again if it collided with the member's own writes."""

    @functools.wraps(run_batch)
    def run_with_retries(import_id: int) -> Import:
        for _ in range(CONFLICT_RETRIES):
            try:
                return run_batch(import_id)
            except (IntegrityError, OperationalError):
                time.sleep(CONFLICT_DELAY_S)
        return run_batch(import_id)

    return run_with_retries
