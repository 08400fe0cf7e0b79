"""Prometheus metrics of all workers of this instance, served at `/metrics`.

Each gunicorn worker writes its metrics to a file in PROMETHEUS_MULTIPROC_DIR (gunicorn.conf.py
creates it), and the worker that serves `/metrics` adds them up. State outside of the workers, such
as that of a circuit breaker in Valkey, is read at that moment by the collectors that apps register.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import REGISTRY, Collector

# Clients may invent methods; the values of a label must be bounded.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

REQUESTS = Counter(
    "nexus_http_requests_total", "Requests by status.", ["method", "route", "status"]
)
LATENCY = Histogram(
    "nexus_http_request_duration_seconds",
    "Time from a request to its response.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
QUERIES = Counter("nexus_http_db_queries_total", "Database queries.", ["method", "route"])
QUERY_SECONDS = Counter(
    "nexus_http_db_seconds_total", "Time spent waiting for the database.", ["method", "route"]
)
RATE_LIMIT_REFUSALS = Counter(
    "nexus_rate_limit_refusals_total", "Requests refused because they exceed a limit.", ["scope"]
)
CACHE_READS = Counter(
    "nexus_cache_reads_total",
    "Cache reads by result: hit, miss, garbage, failed, skipped.",
    ["result"],
)
CACHE_FAILURES = Counter("nexus_cache_failures_total", "Cache commands that failed.")
CIRCUIT_BREAKER_OPENINGS = Counter(
    "nexus_cache_pauses_total", "Times a process began to skip a cache that does not respond."
)
PASSWORD_ATTEMPTS = Counter(
    "nexus_password_attempts_total",
    "Password attempts: right, wrong, or refused before the password was hashed.",
    ["result"],
)

_collectors: list[Collector] = []


def register_collector(collector: Collector) -> None:
    """Add a collector of state outside of the workers; apps call this in AppConfig.ready."""
    _collectors.append(collector)


class QueryCounter:
    """Counts and times the queries of a request, as a wrapper for `connection.execute_wrapper`."""

    def __init__(self) -> None:
        self.count = 0
        self.seconds = 0.0

    def __call__(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any
    ) -> Any:
        self.count += 1
        started = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            self.seconds += time.perf_counter() - started


def observe_request(
    request: HttpRequest, response: HttpResponse, seconds: float, queries: QueryCounter
) -> None:
    """Count a request under its route; the path would make an endless number of series."""
    method = request.method if request.method in _METHODS else "other"
    match = request.resolver_match
    route = f"/{match.route}" if match else "none"
    REQUESTS.labels(method, route, response.status_code).inc()
    LATENCY.labels(method, route).observe(seconds)
    if queries.count:
        QUERIES.labels(method, route).inc(queries.count)
        QUERY_SECONDS.labels(method, route).inc(queries.seconds)


def render_metrics() -> bytes:
    """Return all metrics in Prometheus' text format, version 0.0.4."""
    body = generate_latest(_get_registry())
    for collector in _collectors:
        registry = CollectorRegistry()
        registry.register(collector)
        body += generate_latest(registry)
    return body


def _get_registry() -> CollectorRegistry:
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry
