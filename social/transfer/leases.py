"""Leases on imports: which process works on an import, and until when no other may.

A process that is killed leaves its last transaction undone and its lease to expire; another process
then continues from the import's position. A process that has lost its lease notices before it
writes anything, because every batch starts with `lock_import`.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from django.db import IntegrityError, OperationalError, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from accounts.models import User
from social.models import Import

# Longer than any batch takes, including looking up twenty movies at TMDb.
LEASE_DURATION = timedelta(seconds=60)
CONFLICT_RETRIES = 4
CONFLICT_DELAY_S = 0.2


@dataclass(frozen=True)
class Lease:
    """The right of one process to work on an import. The token distinguishes it from later leases."""

    import_id: int
    token: UUID
    #: How often the step was started since it last made progress, this time included.
    attempts: int


class LeaseLostError(Exception):
    """Another process has taken the import over, or the member has deleted it."""


@transaction.atomic
def acquire_lease() -> Lease | None:
    """Lease the import that has waited longest; return None if no import is waiting.

    At most one import of a member is worked on at a time.
    """
    now = timezone.now()
    waiting = Import.objects.exclude(step=Import.Step.NONE)
    in_progress = waiting.filter(user_id=OuterRef("user_id"), leased_until__gt=now)
    job = (
        waiting.filter(Q(leased_until=None) | Q(leased_until__lt=now))
        .exclude(Exists(in_progress))
        .select_for_update(skip_locked=True)
        .order_by("queued_at", "id")
        .first()
    )
    if job is None:
        return None
    job.lease, job.leased_until, job.attempts = uuid4(), now + LEASE_DURATION, job.attempts + 1
    job.save(update_fields=["lease", "leased_until", "attempts"])
    return Lease(job.pk, job.lease, job.attempts)


def release_lease(lease: Lease, *, retry_after: timedelta | None = None) -> None:
    """Let another process take the import, at once or after a while."""
    Import.objects.filter(id=lease.import_id, lease=lease.token).update(
        lease=None, leased_until=None if retry_after is None else timezone.now() + retry_after
    )


def get_leased_import(lease: Lease) -> Import:
    """Return the import, not locked. Raises LeaseLostError."""
    job = Import.objects.filter(id=lease.import_id, lease=lease.token).first()
    if job is None:
        raise LeaseLostError
    return job


@contextmanager
def lock_import(lease: Lease) -> Iterator[Import]:
    """Run a batch in one transaction: yield the import, locked, and save it at the end.

    Saving renews the lease. Raises LeaseLostError.
    """
    with transaction.atomic():
        owner_ids = Import.objects.filter(id=lease.import_id).values("user_id")
        # The member before the import: deleting an account locks them in this order. The lock is that
        # of every write that counts the member's rows or reads the visibility.
        members = User.objects.select_for_update(no_key=True).filter(pk__in=owner_ids)
        if not list(members.values_list("pk")):
            raise LeaseLostError
        locked = Import.objects.select_for_update()
        job = locked.filter(id=lease.import_id, lease=lease.token).first()
        if job is None:
            raise LeaseLostError
        yield job
        # The batch was progress: from here on, only this lease counts as an attempt.
        job.attempts = 1
        job.leased_until = timezone.now() + LEASE_DURATION
        job.save()


def retry_on_conflict(run_batch: Callable[[Lease], Import]) -> Callable[[Lease], Import]:
    """Run a batch again if it collided with the member's own writes."""

    @functools.wraps(run_batch)
    def run_with_retries(lease: Lease) -> Import:
        for _ in range(CONFLICT_RETRIES):
            try:
                return run_batch(lease)
            except (IntegrityError, OperationalError):
                time.sleep(CONFLICT_DELAY_S)
        return run_batch(lease)

    return run_with_retries
