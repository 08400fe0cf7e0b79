"""Background work with TMDb: stale copies, series, and at night movies and lists."""

from __future__ import annotations

from django.conf import settings
from django.utils import timezone
from procrastinate.contrib.django import app

from movies.services.translations import expired_translations_delete
from nexus.core.background.child import COMMAND_RETRY, run_command
from nexus.core.background.queues import RETRY, Queue
from tmdb.availability import movie_refresh
from tmdb.cache import get_cache
from tmdb.gateway import build_batch_gateway
from tmdb.sync.collection import collection_sync
from tmdb.sync.configuration import configuration_sync
from tmdb.sync.genre_names import genre_names_sync

FIRST_DISCOVERED_YEAR = 1990


# Not retried: the next read of the stale copy requests it again.
@app.task(queue=Queue.TMDB)
def refresh_copy(key: str) -> None:
    """Fetch the response with this cache key, whose copy is stale or absent."""
    get_cache().refresh(key)


# Not retried: the next reader requests it again.
@app.task(queue=Queue.TMDB)
def refresh_movie(tmdb_id: int) -> None:
    """Read a movie again whose offers somebody has asked for."""
    movie_refresh(tmdb_id=tmdb_id)


@app.task(queue=Queue.TMDB, retry=RETRY)
def sync_collection(tmdb_id: int) -> None:
    """Store all parts of a series of which a movie was stored, if there is a credential."""
    if settings.TMDB_TOKEN:
        gateway = build_batch_gateway()
        try:
            collection_sync(tmdb_id=tmdb_id, gateway=gateway)
        finally:
            gateway.close()


@app.periodic(cron="27 4 * * *")
@app.task(queue=Queue.PERIODIC, lock="tmdb", queueing_lock="sync_configuration", retry=RETRY)
def sync_configuration(timestamp: int) -> None:
    """Store TMDb's genres, languages, regions and providers, if there is a credential."""
    if settings.TMDB_TOKEN:
        gateway = build_batch_gateway()
        try:
            configuration_sync(gateway=gateway)
        finally:
            gateway.close()


# Mondays, and with the first import.
@app.periodic(cron="23 4 * * 1")
@app.task(queue=Queue.PERIODIC, queueing_lock="sync_genre_names", retry=RETRY)
def sync_genre_names(timestamp: int) -> None:
    """Store TMDb's names of genres in each language, and delete expired translations."""
    expired_translations_delete()
    if settings.TMDB_TOKEN:
        gateway = build_batch_gateway()
        try:
            genre_names_sync(gateway=gateway)
        finally:
            gateway.close()


@app.periodic(cron="41 3 * * *")
@app.task(queue=Queue.PERIODIC, lock="tmdb", queueing_lock="refresh_tmdb", retry=COMMAND_RETRY)
async def refresh_tmdb(timestamp: int) -> None:
    """Refresh the movies that changed at TMDb or are old, if there is a credential."""
    if settings.TMDB_TOKEN:
        await run_command("refresh_tmdb")


# Mondays.
@app.periodic(cron="11 5 * * 1")
@app.task(queue=Queue.PERIODIC, lock="tmdb", queueing_lock="sync_tmdb", retry=COMMAND_RETRY)
async def sync_tmdb(timestamp: int) -> None:
    """Store the movies of TMDb's lists and of each year, if there is a credential."""
    if settings.TMDB_TOKEN and settings.TMDB_SYNC_PAGES:
        years = f"{FIRST_DISCOVERED_YEAR}-{timezone.now().year}"
        await run_command(
            "sync_tmdb", "--pages", str(settings.TMDB_SYNC_PAGES), "--discover-years", years
        )
