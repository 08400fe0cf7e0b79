from django.apps import AppConfig

from nexus.core.observability import metrics


class TmdbConfig(AppConfig):
    name = "tmdb"

    def ready(self) -> None:
        # Not above: its models' modules can be imported from here on.
        from tmdb.metrics import GateCollector

        metrics.register_collector(GateCollector())
