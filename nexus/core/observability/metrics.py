"""What Prometheus reads at `/metrics`, of all workers of this instance together.

gunicorn's workers each keep their figures in a file of PROMETHEUS_MULTIPROC_DIR (gunicorn.conf.py makes
it); the worker that is asked adds them up. What is kept elsewhere, such as the state of a breaker in
Valkey, is looked up then, by the collectors that the apps hand to `at_scrape`.
"""

from __future__ import annotations

import os

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
LIMITS_HIT = Counter("nexus_rate_limit_refusals_total", "Requests over a limit.", ["scope"])

CACHE_READS = Counter(
    "nexus_cache_reads_total", "Reads of the cache: hit, miss, garbage, failed, passed.", ["result"]
)
CACHE_FAILURES = Counter("nexus_cache_failures_total", "Calls of the cache that failed.")
CACHE_PAUSES = Counter(
    "nexus_cache_pauses_total", "Times a process began to pass over a cache that does not answer."
)
MAILS = Counter("nexus_mails_total", "Mails handed to the mail server.", ["result"])
PASSWORD_ATTEMPTS = Counter(
    "nexus_password_attempts_total",
    "Passwords tried, by whether they reached the hasher.",
    ["result"],
)

_collectors: list[Collector] = []


def at_scrape(collector: Collector) -> None:
    """Have `collector` asked at each scrape; an app calls it once, when it is ready.

    Here belongs whatever is known outside of the workers, such as the age of a training.
    """
    _collectors.append(collector)


def observe(
    request: HttpRequest, response: HttpResponse, seconds: float, queries: int, query_s: float
) -> None:
    """Count one answered request under the pattern of its route, never under its path."""
    method = request.method if request.method in _METHODS else "other"
    match = request.resolver_match
    # A kept answer is given before a route is looked for, and names its own.
    route = f"/{match.route}" if match else getattr(request, "route", "none")
    REQUESTS.labels(method, route, response.status_code).inc()
    LATENCY.labels(method, route).observe(seconds)
    if queries:
        QUERIES.labels(method, route).inc(queries)
        QUERY_SECONDS.labels(method, route).inc(query_s)


def as_text() -> bytes:
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
