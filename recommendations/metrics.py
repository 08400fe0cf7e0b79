"""The active training in `/metrics`."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import Error
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from recommendations.models import Training


class TrainingCollector(Collector):
    """Collects the time and the number of ratings of the active training; nothing if none is active."""

    def collect(self) -> Iterator[Metric]:
        try:
            active = (
                Training.objects.filter(active=True)
                .values_list("created_at", "rating_count")
                .first()
            )
        except Error:
            # Other metrics show that the database is down.
            return
        if active is not None:
            made_at, ratings = active
            yield GaugeMetricFamily(
                "nexus_training_timestamp_seconds",
                "When the training that serves was made.",
                value=made_at.timestamp(),
            )
            yield GaugeMetricFamily(
                "nexus_training_ratings", "Ratings it was made of.", value=ratings
            )
