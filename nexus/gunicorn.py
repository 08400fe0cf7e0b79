"""gunicorn's configuration: `gunicorn -c python:nexus.gunicorn nexus.wsgi`."""

from pathlib import Path
from typing import Any

from django.utils.module_loading import import_string

from nexus import env

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
if Path("/dev/shm").is_dir():  # noqa: S108 (the heartbeat file must not wait for a disk)
    worker_tmp_dir = "/dev/shm"  # noqa: S108
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


# Named by a path, because this is read before Django is set up.
def post_worker_init(worker: Any) -> None:
    """Work on imports beside the requests."""
    import_string(f"{_WORKER}.start")()


def worker_exit(server: Any, worker: Any) -> None:
    """Let the worker end what it is at, so that another goes on at once."""
    import_string(f"{_WORKER}.stop")()
