"""Store all parts of a series as entries of a list, in one request.

The task `tmdb.tasks.sync_collection` calls `collection_sync` after a movie of the series was stored.
"""

from __future__ import annotations

from dataclasses import replace

from django.db import transaction
from django.utils import timezone

from movies.models import Collection
from tmdb import cache
from tmdb.client.errors import TmdbNotFound
from tmdb.client.http import make_collection_request
from tmdb.gateway import Gateway
from tmdb.parsers import parse_collection, select_catalogue_entries
from tmdb.services import movies_store


def collection_sync(*, tmdb_id: int, gateway: Gateway) -> int:
    """Store the parts of a series and when they were read; return how many were stored.

    Adult titles and videos are left out. A series that TMDb does not have keeps its stored parts.
    Raises TmdbError.
    """
    collections = Collection.objects.filter(tmdb_id=tmdb_id)
    try:
        document = gateway.fetch(make_collection_request(tmdb_id))
    except TmdbNotFound:
        collections.update(synced_at=timezone.now())
        return 0
    collection, page = parse_collection(document, tmdb_id=tmdb_id)
    # Outside the transaction, because a genre's name may have to be fetched from TMDb.
    entries = select_catalogue_entries(page, cache.get_genre_names(page))
    with transaction.atomic():
        stored = movies_store([replace(movie, collection=collection) for movie in entries.movies])
        collections.update(synced_at=timezone.now())
    return len(stored)
