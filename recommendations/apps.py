from django.apps import AppConfig

from nexus.core.observability import metrics


class RecommendationsConfig(AppConfig):
    name = "recommendations"

    def ready(self) -> None:
        # Not above: its models can be imported from here on.
        from recommendations.metrics import TrainingCollector

        metrics.register_collector(TrainingCollector())
