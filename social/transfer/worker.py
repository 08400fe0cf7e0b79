"""A thread of each serving process that works on imports beside its requests.

No other kind of server: gunicorn starts it in each of its workers, and `manage.py run_imports` does
the same by hand. A process looks at once for what it was asked itself, and every POLL_S for what
others were.
"""

from __future__ import annotations

import logging
from threading import Event, Thread

from django.db import connections

from social.transfer.job_queue import run_imports
from social.transfer.services import asked

POLL_S = 2.0
# Longer than a piece takes: after it the process ends all the same, and the lease runs out.
_STOP_S = 10.0

_LOG = logging.getLogger(__name__)


class Worker:
    def __init__(self) -> None:
        self._stopping = Event()
        self._thread = Thread(target=self._run, name="imports", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End after the piece at hand."""
        self._stopping.set()
        asked.set()
        self._thread.join(_STOP_S)

    def _run(self) -> None:
        away = False
        while not self._stopping.is_set():
            asked.clear()
            try:
                run_imports(go_on=lambda: not self._stopping.is_set())
                away = False
            except Exception:
                # Without the database there is nothing to do; it is said once.
                if not away:
                    _LOG.exception("Imports wait until the database answers.")
                away = True
            finally:
                connections.close_all()
            asked.wait(POLL_S)


_running: list[Worker] = []


def start() -> None:
    """Start this process's worker."""
    _running.append(Worker())
    _running[-1].start()


def stop() -> None:
    """Stop it, where there is one."""
    while _running:
        _running.pop().stop()
