"""Liveness, readiness and the metrics of this process."""

from __future__ import annotations

import hmac
from functools import lru_cache

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, ProgrammingError
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
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
    """Return 503 without the database or with missing migrations, else 200.

    Without the cache the service works, so its status is `degraded` and not an error.
    """
    checks = {
        **_check_database(),
        "cache": "ok" if cache.is_available() else "no answer",
    }
    if checks["database"] != "ok" or checks["migrations"] != "ok":
        status = "unavailable"
    else:
        status = "ok" if checks["cache"] == "ok" else "degraded"
    response = JsonResponse({"status": status, "checks": checks})
    response.status_code = 503 if status == "unavailable" else 200
    return _forbid_caching(response)


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


def _check_database() -> dict[str, str]:
    """Return the checks of the database and of its migrations, which take one query."""
    applied = MigrationRecorder.Migration.objects.using(DEFAULT_DB_ALIAS)
    try:
        missing = list_migrations() - set(applied.values_list("app", "name"))
    except ProgrammingError:
        # The table does not exist yet.
        missing = list_migrations()
    except Error:
        return {"database": "no answer", "migrations": "unknown"}
    return {"database": "ok", "migrations": f"{len(missing)} pending" if missing else "ok"}


@lru_cache(maxsize=1)
def list_migrations() -> set[tuple[str, str]]:
    """Return app and name of every migration of this version; reading their files takes 0.2 s."""
    return set(MigrationLoader(None, ignore_no_migrations=True).graph.nodes)
