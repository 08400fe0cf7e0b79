"""A WSGI application that shows what runs in a worker of gunicorn (test_web_worker.py)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Any

from nexus.wsgi import application as service  # isort: skip (sets Django up)

import psycopg.waiting
import requests

from tmdb.client.errors import TmdbError
from tmdb.client.http import TmdbClient, make_movie_request
from tmdb.fake.server import CREDENTIAL, FIRST_ID


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    probes = {"/probe/wait/": get_wait_function, "/probe/tmdb/": fetch_from_tmdb}
    probe = probes.get(environ["PATH_INFO"])
    if probe is None:
        return service(environ, start_response)
    body = probe().encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def get_wait_function() -> str:
    """Return the name of the function that waits for the database."""
    return psycopg.waiting.wait.__name__


def fetch_from_tmdb() -> str:
    """Fetch a movie over HTTPS; return its title, or the class of the error."""
    session = requests.Session()
    session.verify = os.environ["PROBE_CERTIFICATE"]
    client = TmdbClient(session, base_url=os.environ["PROBE_TMDB_URL"], credential=CREDENTIAL)
    try:
        movie = client.send(make_movie_request(FIRST_ID), deadline=time.monotonic() + 3)
    except TmdbError as error:
        return type(error).__name__
    return str(movie["title"])
