"""Reads of the recommender that bypass the ORM: prepared statements and the binary format."""

from __future__ import annotations

from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.postgresql.base import ServerBindingCursor
from psycopg.pq import Format


class _PreparingCursor(ServerBindingCursor):
    def execute(self, query: Any, params: Any = None, **options: Any) -> Any:
        return super().execute(query, params, prepare=True, **options)  # type: ignore[misc]


def prepared_rows(sql: bytes, params: Any, *, form: Format = Format.TEXT) -> list[tuple[Any, ...]]:
    """Return the rows of a statement whose text never changes, planned once for each connection.

    For lookups by key, many times a second: planning takes longer than the lookup itself. jsonb
    comes as text, or in the binary format as Python objects.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    connection.ensure_connection()
    return _fetch_rows(connection, _PreparingCursor, form, sql, params)


def rows_in_binary(sql: str, params: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a query in PostgreSQL's binary format: bytea as bytes, jsonb as objects.

    The text format sends two digits for each byte. The parameters are interpolated by the client,
    as Django's own cursors do, because conditions of querysets may leave their types open.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    with connection.cursor() as cursor:
        statement = cursor.cursor.mogrify(sql, params)
        return _fetch_rows(connection, ServerBindingCursor, Format.BINARY, statement, None)


def _fetch_rows(
    connection: Any, cursor_type: type[ServerBindingCursor], form: Format, sql: Any, params: Any
) -> list[tuple[Any, ...]]:
    """Execute a statement with server-side parameters, through Django's query counting and logging."""
    raw: Any = cursor_type(connection.connection)  # type: ignore[call-arg]
    raw.format = form
    make = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    with make(raw) as cursor:
        cursor.execute(sql, params)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
