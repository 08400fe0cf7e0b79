"""Statements that PostgreSQL plans once for each connection, for recommendations alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.backends.postgresql.base import ServerBindingCursor
from psycopg.pq import Format

ModelT = TypeVar("ModelT", bound=models.Model)


class _Prepared(ServerBindingCursor):
    def execute(self, query: Any, params: Any = None, **more: Any) -> Any:
        return super().execute(query, params, prepare=True, **more)  # type: ignore[misc]


def prepared_rows(
    sql: bytes, params: Any, *, form: Format = Format.TEXT, using: str = DEFAULT_DB_ALIAS
) -> list[tuple[Any, ...]]:
    """The rows of a statement whose text never changes, planned once for each connection.

    For what is asked by key, many times a second: where a table has dozens of indexes, to choose
    among them takes longer than the look itself. Planned each time where DATABASE_PREPARES is off.
    jsonb comes as text, or in the binary form as Python's.
    """
    connection = connections[using]
    connection.ensure_connection()
    return _fetched(connection, _Prepared, form, sql, params)


def rows_in_binary(sql: str, params: Any) -> list[tuple[Any, ...]]:
    """The rows of a query as PostgreSQL stores them: bytes as they are, and jsonb as Python's.

    In text, bytes would come as twice as many digits. Parameters are put in on this side, as
    Django's own cursors do, since a condition of its querysets may leave their types open.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    with connection.cursor() as cursor:
        whole = cursor.cursor.mogrify(sql, params)
        return _fetched(connection, ServerBindingCursor, Format.BINARY, whole, None)


def _fetched(
    connection: Any, kind: type[ServerBindingCursor], form: Format, sql: Any, params: Any
) -> list[tuple[Any, ...]]:
    """The rows of a statement whose values are told apart from its text, seen by who counts them."""
    raw: Any = kind(connection.connection)  # type: ignore[call-arg]
    raw.format = form
    make = connection.make_debug_cursor if connection.queries_logged else connection.make_cursor
    with make(raw) as cursor:
        cursor.execute(sql, params)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found


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
