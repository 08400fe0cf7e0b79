"""Background work with TMDb: movies are refreshed and lists are read at night."""

from __future__ import annotations

from django.conf import settings
from django.utils import timezone
from procrastinate.contrib.django import app

from nexus.core.background.child import COMMAND_RETRY, run_command
from nexus.core.background.queues import Queue

FIRST_DISCOVERED_YEAR = 1990


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
