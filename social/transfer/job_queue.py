"""Where the work on imports is done: by any process that asks for it, one step of one at a time.

A process claims an import with a lease (FOR UPDATE SKIP LOCKED), works in short transactions, each
of which moves the import's position with what it wrote, and renews the lease with each. One that is
killed leaves its last transaction undone and its lease to run out; another goes on from the
position. A lease that was lost is noticed before anything is written.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from django.db import IntegrityError, OperationalError, connection, transaction
from django.utils import timezone

from accounts.models import User
from social.models import Import, ImportFile
from social.queries import lock_existing
from social.transfer.pipeline import read as reading
from social.transfer.pipeline.apply import apply_piece
from social.transfer.pipeline.undo import undo_piece

# Longer than any piece takes, the asking of TMDb for twenty films included.
LEASE_S = 60.0
# A step that got no further so often never will.
MAX_ATTEMPTS = 5
_RETRY_AFTER_S = 0.2

Step = Import.Step
_LOG = logging.getLogger(__name__)


class LeaseLost(Exception):  # noqa: N818 (as its cause is called)
    """Another process has taken over, or the import is gone."""


@dataclass(frozen=True)
class Claimed:
    import_id: int
    lease: UUID


def run_imports(
    *,
    go_on: Callable[[], bool] = lambda: True,
    on_progress: Callable[[Import], None] = lambda job: None,
) -> int:
    """Work until nothing is asked for or `go_on` says no; how many steps of imports were finished."""
    done = 0
    while go_on() and (claimed := claim()) is not None:
        try:
            if _work(claimed, go_on, on_progress):
                done += 1
        except LeaseLost:
            continue
        except Exception:
            # What cannot be helped is tried again later, by then perhaps by another process.
            _LOG.exception("Import %s failed.", claimed.import_id)
            _release(claimed, later_s=_RETRY_AFTER_S)
    return done


def claim() -> Claimed | None:
    """The import that waits longest and that nobody works on; of a member one at a time."""
    lease = uuid4()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE social_import SET lease = %(lease)s, attempts = attempts + 1,"
            " leased_until = clock_timestamp() + %(lease_s)s * interval '1 second'"
            " WHERE id = (SELECT id FROM social_import AS job WHERE step <> ''"
            " AND (leased_until IS NULL OR leased_until < clock_timestamp())"
            " AND NOT EXISTS (SELECT FROM social_import AS other"
            " WHERE other.user_id = job.user_id AND other.id <> job.id AND other.step <> ''"
            " AND other.leased_until > clock_timestamp())"
            " ORDER BY queued_at, id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id, attempts",
            {"lease": lease, "lease_s": LEASE_S},
        )
        row = cursor.fetchone()
    if row is None:
        return None
    claimed = Claimed(row[0], lease)
    if row[1] > MAX_ATTEMPTS:
        _give_up(claimed)
        return claim()
    return claimed


def _work(
    claimed: Claimed, go_on: Callable[[], bool], on_progress: Callable[[Import], None]
) -> bool:
    """Take a claimed import as far as it goes; False where `go_on` said no on the way."""
    reader: reading.Reader | None = None
    while True:
        job = Import.objects.filter(id=claimed.import_id, lease=claimed.lease).first()
        if job is None:
            raise LeaseLost
        on_progress(job)
        if job.step == Step.NONE:
            _release(claimed)
            return True
        if not go_on():
            _release(claimed)
            return False
        if job.step == Step.READ:
            try:
                reader = reader or reading.Reader(job)
            except ImportFile.DoesNotExist:
                # Deleted by its member a moment ago.
                raise LeaseLost from None
        _piece(claimed, job, reader)


def _piece(claimed: Claimed, job: Import, reader: reading.Reader | None) -> None:
    if job.step == Step.READ:
        assert reader is not None
        with _holding(claimed) as locked:
            reading.read_piece(locked, reader)
    elif job.step == Step.FIND:
        # TMDb is asked outside of any transaction, so that its slowness holds no lock.
        rows = reading.find_wanted(job)
        found = reading.find_ask(rows) if rows else []
        with _holding(claimed) as locked:
            reading.find_piece(locked, rows, found)
    else:
        work = {
            Step.MATCH: reading.match_piece,
            Step.APPLY: apply_piece,
            Step.UNDO: undo_piece,
        }[Step(job.step)]
        _tried_again(lambda: _held_work(claimed, work))


def _held_work(claimed: Claimed, work: Callable[[Import], None]) -> None:
    with _holding(claimed) as locked:
        work(locked)


def _tried_again(work: Callable[[], None]) -> None:
    """A piece that met the member's own writes half way is begun anew, a few times."""
    for _ in range(MAX_ATTEMPTS - 1):
        try:
            work()
        except (IntegrityError, OperationalError):
            time.sleep(_RETRY_AFTER_S)
        else:
            return
    work()


@contextmanager
def _holding(claimed: Claimed) -> Iterator[Import]:
    """One transaction with the import locked, whose fields are stored at its end.

    Raises LeaseLost where it is another's by now.
    """
    with transaction.atomic():
        user_id = (
            Import.objects.filter(id=claimed.import_id).values_list("user_id", flat=True).first()
        )
        # The member before the import, as one who leaves locks them.
        if user_id is None or not lock_existing(User, [user_id]):
            raise LeaseLost
        job = (
            Import.objects.select_for_update()
            .filter(id=claimed.import_id, lease=claimed.lease)
            .first()
        )
        if job is None:
            raise LeaseLost
        yield job
        job.attempts = 1
        job.leased_until = timezone.now() + timedelta(seconds=LEASE_S)
        job.save()


def _release(claimed: Claimed, *, later_s: float = 0.0) -> None:
    """Let go of an import, for others to take now or a little later."""
    until = timezone.now() + timedelta(seconds=later_s) if later_s else None
    Import.objects.filter(id=claimed.import_id, lease=claimed.lease).update(
        lease=None, leased_until=until
    )


def _give_up(claimed: Claimed) -> None:
    """What was asked for failed time and again: say so, and leave what was written as it is."""
    with transaction.atomic():
        job = Import.objects.select_for_update().get(id=claimed.import_id)
        _LOG.error("Import %s is given up in its step %s.", job.pk, job.step)
        reason = f"The service failed in the step “{job.step}” after {job.position} rows."
        if job.step in (Step.APPLY, Step.UNDO):
            # Some of it is written, which undoing takes back.
            job.state, job.step, job.reason = Import.State.APPLIED, Step.NONE, reason
        else:
            reading.fail(job, reason)
        job.lease = job.leased_until = None
        job.save()
