"""Reads of the catalogue from a replica (DATABASE_REPLICA_URL), where nobody can have written before.

A replica is behind, so whoever may have written something reads the primary: every request with a
token, every request that writes, every write's own request from then on, and the answers that are
kept for all (nexus.core.cache.responses). What is left, visitors looking at films, is most of the reading.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from django.db import DEFAULT_DB_ALIAS
from django.http import HttpRequest, HttpResponse
from rest_framework.permissions import SAFE_METHODS

from nexus.core.cache.responses import seconds_kept

REPLICA = "replica"
_PATHS = ("/movies/", "/genres/")
_APPS = frozenset({"movies"})

_reading: ContextVar[str] = ContextVar("reading", default=DEFAULT_DB_ALIAS)


def reading() -> str:
    """The database that this request reads the catalogue from."""
    return _reading.get()


def read_primary() -> None:
    """From here on this request reads what was written last: for what is about to write."""
    _reading.set(DEFAULT_DB_ALIAS)


class ReplicaMiddleware:
    """Says of each request where it reads; used where there is a replica."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        path = request.path_info
        visiting = (
            request.method in SAFE_METHODS
            and "HTTP_AUTHORIZATION" not in request.META
            and path.startswith(_PATHS)
            and seconds_kept(path) is None
        )
        token = _reading.set(REPLICA if visiting else DEFAULT_DB_ALIAS)
        try:
            return self.get_response(request)
        finally:
            _reading.reset(token)


class ReplicaRouter:
    def db_for_read(self, model: Any, **hints: Any) -> str:
        return reading() if model._meta.app_label in _APPS else DEFAULT_DB_ALIAS

    def db_for_write(self, model: Any, **hints: Any) -> str:
        read_primary()
        return DEFAULT_DB_ALIAS

    def allow_relation(self, *objects: Any, **hints: Any) -> bool:
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == DEFAULT_DB_ALIAS
