"""Shared by the benchmarks: gunicorn as deployed, databases, and the format of figures."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psycopg

from nexus.dev import embedded
from nexus.dev.pytest_plugin import find_free_port as find_free_port

# Not `python -m gunicorn`: a successor (USR2) could not be started with that.
GUNICORN = [
    str(Path(sys.executable).with_name("gunicorn")),
    "nexus.wsgi",
]
SETTINGS = {
    "RATE_LIMIT_SCALE": "1000",
    "WEB_CONCURRENCY": "2",
    "LOG_LEVEL": "CRITICAL",
    "SECRET_KEY": "a key for benchmarks that is long enough for HS256",
    "ALLOWED_HOSTS": "127.0.0.1",
}


def manage(*arguments: str, environment: dict[str, str]) -> str:
    """Run a management command and return its output."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        env=environment,
        cwd=embedded.ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def create_database(name: str) -> str:
    """Create a database on the server of DATABASE_URL, replacing an old one, and return its URL."""
    url = os.environ["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
    return re.sub(r"(://[^/]*/)[^?]*", rf"\g<1>{name}", url)


def get_valkey_url(number: int) -> str:
    """Return the URL of this database number on the server of REDIS_URL."""
    return re.sub(r"([?]db=|/)\d+$", rf"\g<1>{number}", os.environ["REDIS_URL"])


def wait_until_ready(url: str, *, timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        try:
            with urlopen(f"{url}/health/ready/", timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"{url} is not ready after {timeout_s:g} s.")


def compute_percentile(values: Sequence[float], fraction: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * fraction))]


def format_ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
