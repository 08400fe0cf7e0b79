"""Statements that PostgreSQL plans once for each connection, for recommendations alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.backends.postgresql.base import ServerBindingCursor
from psycopg.pq import Format

ModelT = TypeVar("ModelT", bound=models.Model)


class _PreparingCursor(ServerBindingCursor):
    def execute(self, query: Any, params: Any = None, **more: Any) -> Any:
        return super().execute(query, params, prepare=True, **more)  # type: ignore[misc]


def prepared_rows(
    sql: bytes, params: Any, *, form: Format = Format.TEXT, using: str = DEFAULT_DB_ALIAS
) -> list[tuple[Any, ...]]:
    """Return the rows of a statement whose text never changes, planned once for each connection.

    For lookups by key, many times a second: planning takes longer than the lookup itself. The
    statement is planned each time if DATABASE_PREPARES is off. jsonb comes as text, or in the binary
    format as Python objects.
    """
    connection = connections[using]
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


class Columns(Generic[ModelT]):
    """A model's columns in a statement for `prepared_rows`, and its instances from what that reads.

    `alias` is the table's in the statement; `but` names fields that are left out.
    """

    def __init__(self, model: type[ModelT], alias: str, *, but: Sequence[str] = ()) -> None:
        fields = [each for each in model._meta.concrete_fields if each.name not in but]
        self.sql = ", ".join(f"{alias}.{field.column}" for field in fields)
        self._model = model
        self._names = [field.attname for field in fields]
        self._json = [at for at, field in enumerate(fields) if isinstance(field, models.JSONField)]

    def __len__(self) -> int:
        return len(self._names)

    def instance(self, values: Sequence[Any], *, using: str = DEFAULT_DB_ALIAS) -> ModelT:
        read = list(values)
        for place in self._json:
            read[place] = json.loads(read[place])
        return self._model.from_db(using, self._names, read)
