"""Reads from a replica (DATABASE_REPLICA_URL), which may be behind the primary."""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection
from django.http import HttpRequest, HttpResponse

REPLICA = "replica"
_read_alias: ContextVar[str] = ContextVar("read_alias", default=DEFAULT_DB_ALIAS)


class ReplicaMiddleware:
    """Let GETs without a token or a cookie read the replica: such a caller has written nothing."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        is_known = "Authorization" in request.headers or request.COOKIES
        reads_replica = request.method == "GET" and not is_known
        token = _read_alias.set(REPLICA if reads_replica else DEFAULT_DB_ALIAS)
        try:
            return self.get_response(request)
        finally:
            _read_alias.reset(token)


class ReplicaRouter:
    """Routes reads as the middleware decided. After a write or in a transaction, it is the primary."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return self.db_for_write(model) if connection.in_atomic_block else _read_alias.get()

    def db_for_write(self, model: Any, **hints: Any) -> str:
        _read_alias.set(DEFAULT_DB_ALIAS)
        return DEFAULT_DB_ALIAS

    def allow_relation(self, *objects: Any, **hints: Any) -> bool:
        return True
