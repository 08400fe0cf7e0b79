"""What a web worker prepares before its first request."""

from __future__ import annotations

from django.urls import resolve

from nexus.core.api.health import list_migrations
from nexus.core.db.connection_pool import fill_connection_pool


def warm_up() -> None:
    """Import all views, read the names of the migrations and open the database connections.

    Otherwise the first request of each worker would wait for it, or several at once.
    """
    # Any path: Django imports the whole URLconf for it.
    resolve("/health/live/")
    list_migrations()
    fill_connection_pool()
