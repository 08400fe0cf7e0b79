"""gunicorn's configuration: `gunicorn -c python:nexus.gunicorn nexus.wsgi`."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from http import HTTPStatus
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from django.utils.module_loading import import_string
from gunicorn import util
from gunicorn.workers.gthread import ThreadWorker

from nexus import env
from nexus.core.logs import current_request_id

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.base import Worker


class RefusingWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's, whose own refusals have a request id in the log line as in the answer."""

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Any) -> None:
        token = current_request_id.set(uuid4().hex)
        try:
            super().handle_error(req, client, addr, exc)
        finally:
            current_request_id.reset(token)


def _refuse(sock: socket, status_int: int, reason: str, mesg: str) -> None:
    """Tell as a problem document what gunicorn refuses before Django sees it.

    An unknown transfer coding (501 by RFC 9112) is 400: no request makes a 5xx here.
    """
    status = HTTPStatus(400 if status_int == 501 else status_int)
    request_id = current_request_id.get() or uuid4().hex
    codes = {414: "uri_too_long", 431: "headers_too_large", 500: "server_error"}
    details = {
        414: "The address is too long.",
        431: "The headers are too large.",
        500: "The server failed. Quote the request_id when you report it.",
    }
    body = json.dumps(
        {
            "type": "about:blank",
            "title": status.phrase,
            "status": status,
            "detail": details.get(status, "The request is malformed."),
            "code": codes.get(status, "bad_request"),
            "request_id": request_id,
        }
    )
    head = (
        f"HTTP/1.1 {int(status)} {status.phrase}",
        "Connection: close",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Cache-Control: private, no-store",
        "X-Content-Type-Options: nosniff",
        f"X-Request-ID: {request_id}",
    )
    util.write_nonblock(sock, "\r\n".join((*head, "", body)).encode())


# gunicorn has no setting for the page it writes here.
util.write_error = _refuse

_WORKER = "social.services.imports.worker"

bind = f"0.0.0.0:{env.whole_number('PORT', default=8000, at_least=1, at_most=65535)}"
workers = env.whole_number("WEB_CONCURRENCY", default=2, at_least=1, at_most=64)
worker_class = RefusingWorker
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
