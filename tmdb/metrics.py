"""What `/metrics` says of the gate, which all workers share; the rest is counted where it happens."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tmdb import cache

_STATES = ("closed", "half_open", "open")


class GateCollector(Collector):
    """The breaker and the budget as all workers share them."""

    def collect(self) -> Iterator[Metric]:
        look = cache.gate().look()
        breaker = GaugeMetricFamily(
            "nexus_tmdb_breaker_state", "1 for the state the breaker is in.", labels=["state"]
        )
        for state in _STATES:
            breaker.add_metric([state], float(look.breaker == state))
        yield breaker
        yield GaugeMetricFamily(
            "nexus_tmdb_requests_left", "Requests the budget holds now.", value=look.requests_left
        )
        if look.last_success is not None:
            yield GaugeMetricFamily(
                "nexus_tmdb_last_success_timestamp_seconds",
                "When TMDb last answered well.",
                value=look.last_success,
            )
