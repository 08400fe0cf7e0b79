"""gunicorn's configuration, which `gunicorn nexus.wsgi` reads from the working directory."""

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

# A dotted path, because gunicorn reads this file before Django is set up.
_FILL_CONNECTION_POOL = "nexus.core.db.connection_pool.fill_connection_pool"

_port = env.read("PORT", env.parse_integer, minimum=1, maximum=65535, default=8000)
bind = f"0.0.0.0:{_port}"
workers = env.read("WEB_CONCURRENCY", env.parse_integer, minimum=1, maximum=64, default=2)
worker_class = "gthread"
threads = 4  # settings.WEB_THREADS: the database pool has a connection for each
# Seconds without a heartbeat, for example in a native call that hangs, after which a worker is replaced.
timeout = 30
# Longer than any request may take, so that a deploy interrupts none.
graceful_timeout = 20
keepalive = 75
max_requests = 100_000
max_requests_jitter = 10_000
# In memory, so that neither heartbeats nor metrics wait for a disk.
_shared_memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108
if _shared_memory:
    worker_tmp_dir = _shared_memory
# prometheus_client reads this variable when it is imported. Each master has its own directory: a
# reload (HUP) keeps it, and a successor (USR2) gets another.
_metrics_dir = Path(_shared_memory or tempfile.gettempdir()) / f"nexus-metrics-{os.getpid()}"
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(_metrics_dir)
# By default gunicorn 27 opens a control socket in the home directory.
control_socket_disable = True
# RequestLogMiddleware writes the access log.
accesslog = None
errorlog = "-"
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "nexus.core.observability.logging.JsonFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "gunicorn.error": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
    },
}


def on_starting(server: Arbiter) -> None:
    """Create an empty metrics directory: an earlier process with this pid may have left files."""
    shutil.rmtree(_metrics_dir, ignore_errors=True)
    _metrics_dir.mkdir(mode=0o700)


def child_exit(server: Arbiter, worker: Worker) -> None:
    # Imported after PROMETHEUS_MULTIPROC_DIR is set.
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Arbiter) -> None:
    shutil.rmtree(_metrics_dir, ignore_errors=True)


def post_worker_init(worker: Worker) -> None:
    """Open the database connections."""
    import_string(_FILL_CONNECTION_POOL)()
