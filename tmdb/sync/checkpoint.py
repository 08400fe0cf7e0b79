"""What the commands share: one run at a time, their place kept in the database, and what to tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone

from nexus.core.db.advisory_locks import AdvisoryLock, session_lock
from tmdb.models import SyncProgress

#: What is being done, how much of it is done, and of how much; None where that is not known.
Progress = Callable[[str, int, int | None], None]

# After so many failures one after another TMDb is taken to be away, and the rest waits for a rerun.
FAILURES_TO_STOP = 5
MAX_FAILURES_TOLD = 20


class AlreadyRunning(Exception):  # noqa: N818 (named for what is the case)
    """The same command runs elsewhere."""


class Interrupted(Exception):  # noqa: N818
    """TMDb is away; what is done is stored, and the next run goes on from there."""


@dataclass
class Failures:
    """What went wrong; the first of them with their reasons."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, what: str) -> None:
        self.count += 1
        if len(self.first) < MAX_FAILURES_TOLD:
            self.first.append(what)


@contextmanager
def sole_run(name: str) -> Iterator[None]:
    """Hold the only run of a command; it ends with the process, however that ends.

    Raises AlreadyRunning.
    """
    with session_lock(AdvisoryLock.TMDB_COMMAND, name) as is_acquired:
        if not is_acquired:
            raise AlreadyRunning(name)
        yield


def position_of(name: str) -> dict[str, Any]:
    """Where the last run of a command was; empty where it came to its end or there was none."""
    found = SyncProgress.objects.filter(name=name).first()
    return found.position if found is not None and isinstance(found.position, dict) else {}


def position_keep(name: str, position: dict[str, Any]) -> None:
    SyncProgress.objects.update_or_create(
        name=name, defaults={"position": position, "updated_at": timezone.now()}
    )


def position_clear(name: str) -> None:
    SyncProgress.objects.filter(name=name).delete()
