"""Transactions of commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def long_transaction() -> Iterator[None]:
    """A transaction that the time limits of requests (settings.DATABASES) do not cut off."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '10min'")
            cursor.execute("SET LOCAL lock_timeout = '1min'")
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = '5min'")
        yield


@contextmanager
def read_only_snapshot() -> Iterator[None]:
    """A transaction that reads everything as of one moment; inside another, as that one reads it."""
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield
