"""The queues of background work, and how a failed job is retried.

An app declares its tasks in `tasks.py`. nexus.core.background.worker runs them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from procrastinate import RetryStrategy


class Queue(StrEnum):
    """Each queue has its own concurrency, so that no kind of work waits for another kind."""

    MAIL = "mail"
    IMPORTS = "imports"
    EXPORTS = "exports"
    TMDB = "tmdb"
    #: Public figures that follow a change of a member's visibility.
    FIGURES = "figures"
    PERIODIC = "periodic"
    #: Work on the queues themselves.
    JOBS = "jobs"


@dataclass(frozen=True)
class QueueSettings:
    #: How many jobs of the queue a worker runs at once.
    concurrency: int
    #: Whether jobs that succeed are deleted at once, because they are many and nobody reads them.
    deletes_successful: bool = False


QUEUES: dict[Queue, QueueSettings] = {
    Queue.MAIL: QueueSettings(concurrency=2),
    Queue.IMPORTS: QueueSettings(concurrency=2),
    Queue.EXPORTS: QueueSettings(concurrency=1),
    Queue.TMDB: QueueSettings(concurrency=2, deletes_successful=True),
    Queue.FIGURES: QueueSettings(concurrency=1),
    Queue.PERIODIC: QueueSettings(concurrency=3),
    Queue.JOBS: QueueSettings(concurrency=1, deletes_successful=True),
}

# A job that has failed or was lost this often stays failed; admins can retry it.
MAX_ATTEMPTS = 6
#: Retries after 4 s, 16 s, 64 s, 4 min, 17 min and 68 min.
RETRY = RetryStrategy(max_attempts=MAX_ATTEMPTS, exponential_wait=4)
