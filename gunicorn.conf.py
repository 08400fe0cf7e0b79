"""gunicorn's configuration, which `gunicorn nexus.wsgi` reads from the working directory.

The master imports neither Django nor another module of the application: each worker replaces Python's
blocking functions by gevent's first, and a module that was imported before would keep the blocking
ones.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import gevent
from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker
from gunicorn.workers.ggevent import GeventWorker

# Seconds without progress after which a client that sends a body or reads a response is disconnected.
STALL_TIMEOUT_S = 30.0
# Longer than the second in which a stopping worker still accepts connections.
IDLE_AFTER_STOP_S = 1.5
STOP_POLL_INTERVAL_S = 0.1


class WebWorker(GeventWorker):
    """gunicorn's gevent worker with a time limit for stalled clients and a fast stop.

    gunicorn's own waits until `graceful_timeout` for clients that keep an idle connection open.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._idle: dict[gevent.Greenlet, gevent.Timeout] = {}

    def run(self) -> None:
        gevent.spawn(self._close_idle_connections_at_stop)
        super().run()

    @contextmanager
    def timeout_ctx(self) -> Iterator[None]:
        """Limit the time that a connection waits for its next request."""
        greenlet = gevent.getcurrent()
        with super().timeout_ctx() as timeout:
            self._idle[greenlet] = timeout
            try:
                yield
            finally:
                del self._idle[greenlet]

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> Any:
        sock.settimeout(STALL_TIMEOUT_S)
        try:
            return super().handle_request(listener_name, req, sock, addr)
        except TimeoutError as error:
            # gunicorn ignores a reset connection, and logs any other error with its traceback.
            raise ConnectionResetError(errno.ECONNRESET, "the client stalled") from error
        finally:
            sock.settimeout(None)

    def _close_idle_connections_at_stop(self) -> None:
        while self.alive:
            gevent.sleep(STOP_POLL_INTERVAL_S)
        gevent.sleep(IDLE_AFTER_STOP_S)
        for greenlet, timeout in list(self._idle.items()):
            greenlet.kill(timeout, block=False)


def read_integer(name: str, *, default: int, maximum: int) -> int:
    """Return the environment variable as an integer from 1 to `maximum`, or end with an error."""
    value = os.environ.get(name, "").strip() or str(default)
    if not (value.isascii() and value.isdigit() and 1 <= int(value[:20]) <= maximum):
        sys.exit(
            f"{name} is {value!r}, not an integer from 1 to {maximum}. Example: {name}={default}"
        )
    return int(value)


_port = read_integer("PORT", default=8000, maximum=65535)
bind = f"0.0.0.0:{_port}"
workers = read_integer("WEB_CONCURRENCY", default=2, maximum=64)
worker_class = WebWorker
# Connections of one worker at a time, most of which are idle. Below the usual limit of 1,024 files.
worker_connections = 500
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
_is_production = os.environ.get("PRODUCTION", "").lower() in {"1", "true", "yes", "on"}
_formatter = "JsonFormatter" if _is_production else "ReadableFormatter"
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": f"nexus.core.observability.logging.{_formatter}"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {
        "gunicorn.error": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
    },
}


def on_starting(server: Arbiter) -> None:
    """Create an empty metrics directory: an earlier process with this pid may have left files."""
    shutil.rmtree(_metrics_dir, ignore_errors=True)
    _metrics_dir.mkdir(mode=0o700)


def on_exit(server: Arbiter) -> None:
    shutil.rmtree(_metrics_dir, ignore_errors=True)


def post_worker_init(worker: Worker) -> None:
    """Prepare for the first request. gevent has replaced the blocking functions by now."""
    import_module("nexus.core.warm_up").warm_up()
