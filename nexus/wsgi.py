"""The WSGI application that gunicorn serves."""

import os
from collections.abc import Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "nexus.settings")
# Sets the time limits of requests (nexus.settings).
os.environ.setdefault("SERVING", "1")

from nexus.core.db.connection_pool import release_connections

_django_application = get_wsgi_application()


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Serve a request; its database connections are free before the client reads the response.

    Otherwise, a few clients that read slowly would occupy all connections of the pool.
    """
    response = _django_application(environ, start_response)
    release_connections()
    if environ["REQUEST_METHOD"] == "HEAD":
        # gunicorn would drop the body, and log a warning.
        response.close()
        return []
    body: Iterable[bytes] = response
    return body
