from django.apps import AppConfig

from nexus.core.observability import metrics


class SocialConfig(AppConfig):
    name = "social"

    def ready(self) -> None:
        # Models can be imported only from here on.
        from social.metrics import FiguresCollector

        metrics.register_collector(FiguresCollector())
