"""PostgreSQL's advisory locks: locks on a piece of work instead of on rows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from typing import Any

from django.db import DEFAULT_DB_ALIAS, Error, connections

POLL_INTERVAL_S = 0.1


class AdvisoryLock(IntEnum):
    """Every advisory lock of this project. PostgreSQL identifies a lock by its number alone."""

    CATALOGUE_WRITE = 7_126_001
    SAMPLE_MEMBERS = 7_126_002
    TMDB_COMMAND = 7_126_003
    TRAINING = 7_126_004
    MIGRATION = 7_126_005


def acquire_transaction_lock(lock: AdvisoryLock) -> None:
    """Wait for the lock and hold it until the current transaction ends."""
    _call("pg_advisory_xact_lock", lock, "", DEFAULT_DB_ALIAS)


@contextmanager
def session_lock(
    lock: AdvisoryLock, name: str = "", *, wait_s: float = 0.0, using: str = DEFAULT_DB_ALIAS
) -> Iterator[bool]:
    """Hold the lock during the block, across transactions; yield False if others hold it.

    `name` distinguishes several locks with one number. PostgreSQL releases the lock when the
    connection ends, so a killed process leaves none behind.
    """
    deadline = time.monotonic() + wait_s
    # Polled, because CREATE INDEX CONCURRENTLY waits for every session that waits inside a statement.
    while not (is_acquired := bool(_call("pg_try_advisory_lock", lock, name, using))):
        if time.monotonic() >= deadline:
            break
        time.sleep(POLL_INTERVAL_S)
    try:
        yield is_acquired
    finally:
        if is_acquired:
            # The pool passes a connection on with its locks. A broken connection has none.
            with suppress(Error):
                _call("pg_advisory_unlock", lock, name, using)


def _call(function: str, lock: AdvisoryLock, name: str, using: str) -> Any:
    arguments = "%s, hashtext(%s)" if name else "%s"
    with connections[using].cursor() as cursor:
        cursor.execute(f"SELECT {function}({arguments})", [lock, name] if name else [lock])
        return cursor.fetchone()[0]
