"""Shared by the sync commands: one run at a time, a checkpoint in the database, and failures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone

from nexus.core.db.advisory_locks import AdvisoryLock, session_lock
from tmdb.models import SyncProgress

#: Called with the kind of work, the amount that is done, and the total (None if unknown).
ReportProgress = Callable[[str, int, int | None], None]

# After this many consecutive failures TMDb counts as unavailable, and the run ends.
MAX_CONSECUTIVE_FAILURES = 5
MAX_LISTED_FAILURES = 20


class SyncAlreadyRunning(Exception):  # noqa: N818 (named after its cause)
    """Another process runs the same command."""


class SyncInterrupted(Exception):  # noqa: N818 (named after its cause)
    """TMDb is unavailable; the next run continues from the checkpoint."""


@dataclass
class SyncFailures:
    """The number of failures, and the reasons of the first MAX_LISTED_FAILURES."""

    count: int = 0
    reasons: list[str] = field(default_factory=list)

    def add(self, reason: str) -> None:
        self.count += 1
        if len(self.reasons) < MAX_LISTED_FAILURES:
            self.reasons.append(reason)


@contextmanager
def single_run(name: str) -> Iterator[None]:
    """Hold the lock of a command until the block or the process ends.

    Raises SyncAlreadyRunning if another process holds it.
    """
    with session_lock(AdvisoryLock.TMDB_COMMAND, name) as is_acquired:
        if not is_acquired:
            raise SyncAlreadyRunning(name)
        yield


def load_checkpoint(name: str) -> dict[str, Any]:
    """Return where the last run of a command stopped; empty if it completed or never ran."""
    progress = SyncProgress.objects.filter(name=name).first()
    if progress is None or not isinstance(progress.position, dict):
        return {}
    return progress.position


def save_checkpoint(name: str, position: dict[str, Any]) -> None:
    """Save the position of a run, in the caller's transaction, which stores the work up to it."""
    SyncProgress.objects.update_or_create(
        name=name, defaults={"position": position, "updated_at": timezone.now()}
    )


def clear_checkpoint(name: str) -> None:
    SyncProgress.objects.filter(name=name).delete()
