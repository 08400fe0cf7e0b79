from django.apps import AppConfig

from nexus.core.observability import metrics


class TmdbConfig(AppConfig):
    name = "tmdb"

    def ready(self) -> None:
        # Models can be imported only once all apps are loaded.
        from tmdb.metrics import GatewayCollector

        metrics.register_collector(GatewayCollector())
