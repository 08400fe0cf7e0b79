"""Prometheus metrics of the queues, read from the database when `/metrics` is scraped."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import Error
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from nexus.core.background.jobs import count_jobs, get_longest_waits
from nexus.core.background.queues import Queue


class JobCollector(Collector):
    """Collects the number of jobs of each queue by status, and how long the oldest one waits."""

    def collect(self) -> Iterator[Metric]:
        try:
            counts, waits = count_jobs(), get_longest_waits()
        except Error:
            # Other metrics show that the database is down.
            return
        jobs = GaugeMetricFamily(
            "nexus_jobs",
            "Background jobs of the last week by queue and status; `todo` is waiting.",
            labels=["queue", "status"],
        )
        for (queue, status), count in counts.items():
            jobs.add_metric([queue, status], count)
        yield jobs
        longest = GaugeMetricFamily(
            "nexus_jobs_oldest_wait_seconds",
            "How long the oldest job that is due has waited for a worker.",
            labels=["queue"],
        )
        for queue in Queue:
            longest.add_metric([queue], waits.get(queue, 0.0))
        yield longest
