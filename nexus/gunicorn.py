"""gunicorn's configuration: `gunicorn -c python:nexus.gunicorn nexus.wsgi`."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from django.utils.module_loading import import_string

from nexus import env

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.base import Worker

_WORKER = "social.services.imports.worker"

bind = f"0.0.0.0:{env.whole_number('PORT', default=8000, at_least=1, at_most=65535)}"
workers = env.whole_number("WEB_CONCURRENCY", default=2, at_least=1, at_most=64)
worker_class = "gthread"
threads = 4
# A worker that stops beating (a native call that hangs) is replaced.
timeout = 30
# Longer than any request may take, so that a deploy cuts none off.
graceful_timeout = 20
keepalive = 75
max_requests = 100_000
max_requests_jitter = 10_000
# Neither the heartbeat nor the metrics must wait for a disk.
_memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
if _memory:
    worker_tmp_dir = _memory
# Read when prometheus_client is imported, so it is here and not in the settings. One a master, so that
# a reload (HUP) keeps it and a successor (USR2) has its own.
_figures = Path(_memory or tempfile.gettempdir()) / f"nexus-metrics-{os.getpid()}"
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(_figures)
# gunicorn 27 would open a control socket in the home folder.
control_socket_disable = True
# RequestLogMiddleware writes the access log.
accesslog = None
errorlog = "-"
# gunicorn's own lines in the same JSON as ours.
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "nexus.core.logs.JsonFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "gunicorn.error": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
    },
}


def on_starting(server: Arbiter) -> None:
    # What a process of this number left behind counts for nothing.
    shutil.rmtree(_figures, ignore_errors=True)
    _figures.mkdir(mode=0o700)


def child_exit(server: Arbiter, worker: Worker) -> None:
    # Imported late: it reads PROMETHEUS_MULTIPROC_DIR when it is imported.
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Arbiter) -> None:
    shutil.rmtree(_figures, ignore_errors=True)


# Named by a path, because this is read before Django is set up.
def post_worker_init(worker: Worker) -> None:
    """Work on imports beside the requests."""
    import_string(f"{_WORKER}.start")()


def worker_exit(server: Arbiter, worker: Worker) -> None:
    """Let the worker end what it is at, so that another goes on at once."""
    import_string(f"{_WORKER}.stop")()
