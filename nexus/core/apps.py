import logging
from importlib import import_module

from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "nexus.core"
    label = "core"

    def ready(self) -> None:
        # Imported now, because models can only be imported once all apps are.
        from nexus.core.background.metrics import JobCollector
        from nexus.core.observability.metrics import register_collector

        # The module registers its lookups on Django's field classes when it is imported.
        import_module("nexus.core.db.lookups")
        register_collector(JobCollector())
        # Warnings of Python become log lines, which are JSON in production.
        logging.captureWarnings(True)
