"""Prometheus metrics of the gateway that all workers share, read when `/metrics` is scraped.

`tmdb.gateway` and `tmdb.cache` count calls and reads where they happen.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tmdb.cache import get_cache

_BREAKER_STATES = ("closed", "half_open", "open")


class GatewayCollector(Collector):
    """Collects the state of the circuit breaker and the rate limit."""

    def collect(self) -> Iterator[Metric]:
        status = get_cache().gateway.get_status()
        breaker = GaugeMetricFamily(
            "nexus_tmdb_breaker_state",
            "1 for the current state of TMDb's circuit breaker.",
            labels=["state"],
        )
        for state in _BREAKER_STATES:
            breaker.add_metric([state], float(status.state == state))
        yield breaker
        yield GaugeMetricFamily(
            "nexus_tmdb_requests_left",
            "Requests that may be sent to TMDb now.",
            value=status.requests_left,
        )
        if status.last_success is not None:
            yield GaugeMetricFamily(
                "nexus_tmdb_last_success_timestamp_seconds",
                "When TMDb last responded to a request.",
                value=status.last_success,
            )
