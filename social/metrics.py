"""Prometheus metrics of the checks of public figures."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import Error
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from social.models import FiguresCheck


class FiguresCollector(Collector):
    """Collects when figures were last compared with their rows, and how many were wrong."""

    def collect(self) -> Iterator[Metric]:
        try:
            check = FiguresCheck.objects.first()
        except Error:
            # Other metrics show that the database is down.
            return
        if check is None:
            return
        yield GaugeMetricFamily(
            "nexus_figures_check_timestamp_seconds",
            "When public figures were last compared with the rows they count.",
            value=check.checked_at.timestamp(),
        )
        drift = GaugeMetricFamily(
            "nexus_figures_drift",
            "Figures that differed from their rows at that time. They were corrected.",
            labels=["figure"],
        )
        for figure in ("movies", "playlists"):
            drift.add_metric([figure], getattr(check, figure))
        yield drift
