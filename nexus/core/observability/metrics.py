"""What Prometheus reads at `/metrics`, of all workers of this instance together.

gunicorn's workers each keep their figures in a file of PROMETHEUS_MULTIPROC_DIR (gunicorn.conf.py makes
it); the worker that is asked adds them up. What is kept elsewhere, such as the state of a breaker in
Valkey, is looked up then, by the collectors that the apps hand to `register_collector`.
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

# What a client may send as a method is endless; a label may not be.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

REQUESTS = Counter("nexus_http_requests_total", "Requests answered.", ["method", "route", "status"])
LATENCY = Histogram(
    "nexus_http_request_duration_seconds",
    "Time to the answer.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)
QUERIES = Counter(
    "nexus_http_db_queries_total", "Queries sent to the database.", ["method", "route"]
)
QUERY_SECONDS = Counter(
    "nexus_http_db_seconds_total", "Time spent waiting for the database.", ["method", "route"]
)
RATE_LIMIT_REFUSALS = Counter(
    "nexus_rate_limit_refusals_total", "Requests over a limit.", ["scope"]
)

CACHE_READS = Counter(
    "nexus_cache_reads_total",
    "Reads of the cache: hit, miss, garbage, failed, skipped.",
    ["result"],
)
CACHE_FAILURES = Counter("nexus_cache_failures_total", "Calls of the cache that failed.")
CIRCUIT_BREAKER_OPENINGS = Counter(
    "nexus_cache_pauses_total", "Times a process began to pass over a cache that does not answer."
)
MAILS = Counter("nexus_mails_total", "Mails handed to the mail server.", ["result"])
PASSWORD_ATTEMPTS = Counter(
    "nexus_password_attempts_total",
    "Passwords tried, by whether they reached the hasher.",
    ["result"],
)

_collectors: list[Collector] = []


def register_collector(collector: Collector) -> None:
    """Have `collector` asked at each scrape; an app calls it once, when it is ready.

    Here belongs whatever is known outside of the workers, such as the age of a training.
    """
    _collectors.append(collector)


class QueryCounter:
    """Counts and times the queries of a request: a wrapper for `connection.execute_wrapper`."""

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
    request: HttpRequest, response: HttpResponse, seconds: float, queries: int, query_s: float
) -> None:
    """Count one answered request under the pattern of its route, never under its path."""
    method = request.method if request.method in _METHODS else "other"
    match = request.resolver_match
    route = f"/{match.route}" if match else "none"
    REQUESTS.labels(method, route, response.status_code).inc()
    LATENCY.labels(method, route).observe(seconds)
    if queries:
        QUERIES.labels(method, route).inc(queries)
        QUERY_SECONDS.labels(method, route).inc(query_s)


def render() -> bytes:
    """All figures as Prometheus' text, version 0.0.4."""
    body = generate_latest(_registry())
    for collector in _collectors:
        once = CollectorRegistry()
        once.register(collector)
        body += generate_latest(once)
    return body


def _registry() -> CollectorRegistry:
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry
