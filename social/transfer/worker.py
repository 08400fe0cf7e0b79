"""The thread of each serving process that runs imports next to its requests.

gunicorn.conf.py starts one in each worker process.
"""

from __future__ import annotations

import logging
from contextlib import closing
from threading import Event, Thread

from django.db import connections

from social.transfer.job_queue import process_imports

POLL_INTERVAL_S = 0.5
# Longer than a batch takes. A process that ends during one leaves it undone, and its lease expires.
STOP_TIMEOUT_S = 10.0

_LOG = logging.getLogger(__name__)


class ImportWorker:
    def __init__(self) -> None:
        self._stop_requested = Event()
        self._thread = Thread(target=self._run, name="imports", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop after the current batch."""
        self._stop_requested.set()
        self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        is_failing = False
        while not self._stop_requested.wait(POLL_INTERVAL_S):
            try:
                self._process_imports()
                is_failing = False
            except Exception:
                # The database is unavailable. Log it once, not every poll.
                if not is_failing:
                    _LOG.exception("Imports wait until the database is available.")
                is_failing = True
            finally:
                connections.close_all()

    def _process_imports(self) -> None:
        with closing(process_imports()) as jobs:
            for _ in jobs:
                if self._stop_requested.is_set():
                    return
