"""Transactions, timeouts and locks of commands, which may take longer than a request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from django.db import Error, connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

# It does not show the statements, which may contain personal data.
_OPEN_TRANSACTIONS = """
SELECT pid, concat_ws(', ', usename, nullif(application_name, '')), now() - xact_start, state
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND now() - xact_start > '0.3 s'
ORDER BY xact_start LIMIT 3
"""


@contextmanager
def long_transaction() -> Iterator[None]:
    """Open a transaction with minutes instead of seconds (settings.DATABASES) to finish."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '10min'")
            cursor.execute("SET LOCAL lock_timeout = '1min'")
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '5min'")
        yield


@contextmanager
def read_only_snapshot() -> Iterator[None]:
    """Open a transaction in which all reads see one moment; inside another, join that one."""
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        if is_outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


@contextmanager
def session_settings(session: BaseDatabaseWrapper, **settings: str) -> Iterator[None]:
    """Change PostgreSQL settings, such as lock_timeout, of one connection during the block."""
    with session.cursor() as cursor:
        values_before = {name: _set(cursor, name, value) for name, value in settings.items()}
    try:
        yield
    finally:
        # A broken connection cannot be reset; the pool does not hand it on.
        with suppress(Error), session.cursor() as cursor:
            for name, value in values_before.items():
                _set(cursor, name, value)


def _set(cursor: CursorWrapper, name: str, value: str) -> str:
    """Change one setting of the session and return its former value."""
    cursor.execute("SELECT current_setting(%s)", [name])
    value_before: str = cursor.fetchone()[0]
    cursor.execute("SELECT set_config(%s, %s, false)", [name, value])
    return value_before


def describe_open_transactions(using: str) -> str:
    """Return the longest open transactions of this database in words; those of requests are shorter."""
    with connections[using].cursor() as cursor:
        cursor.execute(_OPEN_TRANSACTIONS)
        rows = cursor.fetchall()
    return "; ".join(
        f"process {pid} ({user}), for {age.total_seconds():.0f} s, {state}"
        for pid, user, age, state in rows
    )


def drop_invalid_index(session: BaseDatabaseWrapper, quoted_name: str) -> bool:
    """Drop the index if an interrupted concurrent build left it invalid; return whether it did."""
    with session.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_index WHERE indexrelid = to_regclass(%s) AND NOT indisvalid",
            [quoted_name],
        )
        is_invalid = cursor.fetchone() is not None
        if is_invalid:
            cursor.execute(f"DROP INDEX CONCURRENTLY {quoted_name}")
    return is_invalid
