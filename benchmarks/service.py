"""What the measurements share: gunicorn as it is deployed, and how figures are written."""

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

# The script and not `python -m gunicorn`, which a successor (USR2) cannot be started with.
GUNICORN = [
    str(Path(sys.executable).with_name("gunicorn")),
    "nexus.wsgi",
]
SETTINGS = {
    "RATE_LIMIT_SCALE": "1000",
    "WEB_CONCURRENCY": "2",
    "LOG_LEVEL": "CRITICAL",
    "SECRET_KEY": "a key for the benchmark, long enough for HS256 and of no other use",
    "ALLOWED_HOSTS": "127.0.0.1",
}


def manage(*arguments: str, environment: dict[str, str]) -> str:
    """What a management command prints."""
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        env=environment,
        cwd=embedded.ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def database_made(name: str) -> str:
    """The address of a new database of this name, on the server of DATABASE_URL, in any old one's
    place."""
    url = os.environ["DATABASE_URL"]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
    return re.sub(r"(://[^/]*/)[^?]*", rf"\g<1>{name}", url)


def valkey_database(number: int) -> str:
    """The address of this database of Valkey, on the server of REDIS_URL."""
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


def percentile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
