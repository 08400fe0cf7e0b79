from importlib import import_module

from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "nexus.core"
    label = "core"

    def ready(self) -> None:
        # Lookups register themselves on the field classes, which must be loaded by then.
        import_module("nexus.core.db.lookups")
