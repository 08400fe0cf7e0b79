"""Whether this process lives, and whether it can serve."""

from __future__ import annotations

from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse

from nexus.core import cache
from nexus.core.errors import read_only


@read_only
def live(request: HttpRequest) -> JsonResponse:
    """The process answers; nothing else is asked."""
    return _unstored(JsonResponse({"status": "ok"}))


@read_only
def ready(request: HttpRequest) -> JsonResponse:
    """Database, cache and migrations; 503 where one is not as it must be."""
    checks = {"database": _database(), "cache": "ok" if cache.answers() else "no answer"}
    checks["migrations"] = _migrations() if checks["database"] == "ok" else "unknown"
    healthy = set(checks.values()) == {"ok"}
    body = {"status": "ok" if healthy else "unavailable", "checks": checks}
    return _unstored(JsonResponse(body, status=200 if healthy else 503))


def _unstored(response: JsonResponse) -> JsonResponse:
    response["Cache-Control"] = "no-store"
    return response


def _database() -> str:
    try:
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return "no answer"
    return "ok"


def _migrations() -> str:
    try:
        executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Error:
        return "unknown"
    return f"{len(pending)} pending" if pending else "ok"
