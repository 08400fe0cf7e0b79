"""The pool of database connections of a worker process."""

from __future__ import annotations

from contextlib import suppress

from django.db import connection, connections
from psycopg_pool import PoolTimeout


def fill_connection_pool(*, timeout_s: float = 5.0) -> None:
    """Open the pool's first connections, so that the first requests of a worker do not wait for them.

    Returns after `timeout_s` at the latest, also if the database is down.
    """
    # An attribute of Django's PostgreSQL backend alone.
    pool = connection.pool  # type: ignore[attr-defined]
    if pool is not None:
        pool.open()
        with suppress(PoolTimeout):
            pool.wait(timeout_s)


def release_connections() -> None:
    """Return this request's connections to the pool, before it waits for something else for long.

    Its next query gets one from the pool. A connection in a transaction stays.
    """
    for wrapper in connections.all(initialized_only=True):
        if not wrapper.in_atomic_block:
            wrapper.close()
