"""Whether this process lives, whether it can serve, and what it has done."""

from __future__ import annotations

import hmac

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from nexus.core.api.exceptions import page_not_found, problem_response, read_only
from nexus.core.cache import client as cache
from nexus.core.observability import metrics as figures


@read_only
def live(request: HttpRequest) -> HttpResponse:
    """The process answers; nothing else is asked."""
    return _unstored(JsonResponse({"status": "ok"}))


@read_only
def ready(request: HttpRequest) -> HttpResponse:
    """Database, cache and migrations; 503 where one is not as it must be."""
    checks = {"database": _database(), "cache": "ok" if cache.is_available() else "no answer"}
    checks["migrations"] = _migrations() if checks["database"] == "ok" else "unknown"
    healthy = set(checks.values()) == {"ok"}
    body = {"status": "ok" if healthy else "unavailable", "checks": checks}
    return _unstored(JsonResponse(body, status=200 if healthy else 503))


@read_only
def metrics(request: HttpRequest) -> HttpResponse:
    """The figures as Prometheus' text; with METRICS_TOKEN, for its bearer alone."""
    if settings.METRICS_TOKEN:
        kind, _, sent = request.headers.get("Authorization", "").partition(" ")
        known = hmac.compare_digest(sent.strip().encode(), settings.METRICS_TOKEN.encode())
        if kind.lower() != "bearer" or not known:
            detail = "The metrics are for the bearer of METRICS_TOKEN."
            headers = {"WWW-Authenticate": "Bearer"}
            return problem_response(request, 401, "not_authenticated", detail, headers)
    elif settings.PRODUCTION:
        return page_not_found(request, Exception())
    response = HttpResponse(figures.render(), content_type=CONTENT_TYPE_PLAIN_0_0_4)
    return _unstored(response)


def _unstored(response: HttpResponse) -> HttpResponse:
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
