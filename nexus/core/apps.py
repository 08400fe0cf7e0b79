from importlib import import_module

from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "nexus.core"
    label = "core"

    def ready(self) -> None:
        # The module registers its lookups on Django's field classes when it is imported.
        import_module("nexus.core.db.lookups")
