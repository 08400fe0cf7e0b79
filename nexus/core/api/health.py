"""Liveness, readiness and the metrics of this process."""

from __future__ import annotations

import hmac

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, connections
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from nexus.core.api.exceptions import page_not_found, problem_response, require_safe
from nexus.core.cache import client as cache
from nexus.core.observability.metrics import render_metrics


@require_safe
def live(request: HttpRequest) -> HttpResponse:
    """Return 200 if the process responds; no other part is checked."""
    return _forbid_caching(JsonResponse({"status": "ok"}))


@require_safe
def ready(request: HttpRequest) -> HttpResponse:
    """Check the database, the cache and the migrations; return 503 if one of them is not ok."""
    checks = {
        "database": _check_database(),
        "cache": "ok" if cache.is_available() else "no answer",
    }
    checks["migrations"] = _check_migrations() if checks["database"] == "ok" else "unknown"
    is_ready = set(checks.values()) == {"ok"}
    body = {"status": "ok" if is_ready else "unavailable", "checks": checks}
    return _forbid_caching(JsonResponse(body, status=200 if is_ready else 503))


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics as Prometheus text; if METRICS_TOKEN is set, only to its bearer."""
    if settings.METRICS_TOKEN:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        is_known = hmac.compare_digest(token.strip().encode(), settings.METRICS_TOKEN.encode())
        if scheme.lower() != "bearer" or not is_known:
            detail = "The metrics need `Authorization: Bearer <METRICS_TOKEN>`."
            headers = {"WWW-Authenticate": "Bearer"}
            return problem_response(request, 401, "not_authenticated", detail, headers)
    elif settings.PRODUCTION:
        return page_not_found(request, Exception())
    return _forbid_caching(HttpResponse(render_metrics(), content_type=CONTENT_TYPE_PLAIN_0_0_4))


def _forbid_caching(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "no-store"
    return response


def _check_database() -> str:
    try:
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return "no answer"
    return "ok"


def _check_migrations() -> str:
    try:
        executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Error:
        return "unknown"
    return f"{len(pending)} pending" if pending else "ok"
