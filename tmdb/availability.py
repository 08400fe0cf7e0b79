"""Offers, videos and releases of one movie: as stored, and read from TMDb again where they are old.

The views of `tmdb.views.availability` call this, and recommendations for `append`. TMDb's one response
for a movie has all of it, for all regions, so that a movie is requested twice a day at most. The rules
are those of tmdb.cache, with the database in place of Valkey:

- What is younger than REVALIDATE_AFTER is served as it is.
- Until MAX_AGE_ON_READ it is served, and the task worker refreshes the movie.
- What is older, or was never read, is requested while the caller waits. If TMDb fails, what is stored is
  served as stale; without anything stored TmdbError is raised.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DatabaseError, transaction
from django.utils import timezone
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException

from movies.models import Movie, MovieExtras
from movies.selectors import RegionOffers, get_extras, get_region_offers
from movies.services.catalogue import movie_mark_removed
from nexus.core.cache import client as cache_client
from nexus.core.cache import locks
from tmdb import cache
from tmdb.client.errors import TmdbError, TmdbNotFound
from tmdb.services import movies_upsert_with_series

REVALIDATE_AFTER = timedelta(hours=12)
MAX_AGE_ON_READ = timedelta(hours=24)
#: Videos and release dates change rarely.
MAX_EXTRAS_AGE = timedelta(days=7)
# A movie that could not be read is served as it is stored, without another request, for this long.
RETRY_AFTER_S = 30
# A movie is queued for the task worker this often at most.
REFRESH_INTERVAL_S = 600.0

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class OffersReading:
    """The offers of a movie in a region, and whether they are older than they should be."""

    offers: RegionOffers
    is_stale: bool


@dataclass(frozen=True)
class ExtrasReading:
    """The videos and releases of a movie; None if TMDb has none, because it does not know the movie."""

    extras: MovieExtras | None
    is_stale: bool


def read_offers(movie: Movie, region: str) -> OffersReading:
    """Return the offers of a movie in a region, at most MAX_AGE_ON_READ old if TMDb responds.

    Raises TmdbError if TMDb fails and nothing is stored.
    """
    offers = get_region_offers(movie.pk, region)
    if _freshen(movie, offers.synced_at, REVALIDATE_AFTER, MAX_AGE_ON_READ):
        offers = get_region_offers(movie.pk, region)
    return OffersReading(offers, _is_older(offers.synced_at, MAX_AGE_ON_READ))


def read_extras(movie: Movie) -> ExtrasReading:
    """Return the videos and releases of a movie, at most MAX_EXTRAS_AGE old if TMDb responds.

    Raises TmdbError if TMDb fails and nothing is stored.
    """
    extras = get_extras(movie.pk)
    synced_at = extras.synced_at if extras else None
    if _freshen(movie, synced_at, MAX_EXTRAS_AGE / 2, MAX_EXTRAS_AGE):
        extras = get_extras(movie.pk)
    return ExtrasReading(extras, extras is not None and _is_older(extras.synced_at, MAX_EXTRAS_AGE))


def movie_refresh(*, tmdb_id: int) -> None:
    """Read a movie from TMDb again and store it, unless another process just did."""
    movie = Movie.objects.filter(tmdb_id=tmdb_id).first()
    if movie is None:
        return
    synced_at = get_region_offers(movie.pk, "").synced_at
    if not _is_older(synced_at, REVALIDATE_AFTER):
        return
    # The gateway logs an error, and what is stored remains.
    with suppress(TmdbError):
        _fetch_and_store(movie, synced_at)


def _freshen(
    movie: Movie, synced_at: datetime | None, revalidate_after: timedelta, max_age: timedelta
) -> bool:
    """Read the movie again if what is stored of it is old; return whether something was stored."""
    if movie.tmdb_id is None or movie.removed_at_source is not None:
        return False
    if synced_at is not None and not _is_older(synced_at, max_age):
        if _is_older(synced_at, revalidate_after):
            _request_refresh(movie.tmdb_id)
        return False
    failure_key = f"tmdb:availability_failed:{movie.tmdb_id}"
    if synced_at is not None and cache_client.get(failure_key) is not None:
        return False
    try:
        return _fetch_and_store(movie, synced_at)
    except TmdbError:
        if synced_at is None:
            raise
        cache_client.set(failure_key, True, ttl_s=RETRY_AFTER_S)
        return False


def _is_older(synced_at: datetime | None, age: timedelta) -> bool:
    return synced_at is not None and timezone.now() - synced_at > age


def _fetch_and_store(movie: Movie, synced_at: datetime | None) -> bool:
    """Store TMDb's movie; return False if TMDb does not know it. Raises TmdbError."""
    assert movie.tmdb_id is not None
    try:
        data = cache.get_movie(movie.tmdb_id)
    except TmdbNotFound:
        if movie.source == Movie.Source.TMDB:
            movie_mark_removed(movie=movie)
        return False
    # Of concurrent readers, who share one response, the first one stores it.
    if get_region_offers(movie.pk, "").synced_at == synced_at:
        movies_upsert_with_series(movies=[data])
    return True


def _request_refresh(tmdb_id: int) -> None:
    """Let the task worker refresh a movie, unless that was requested a moment ago."""
    token = locks.acquire_lock(f"tmdb:refresh_movie:{tmdb_id}", ttl_s=REFRESH_INTERVAL_S)
    if token is None or token == locks.UNSHARED_LOCK:
        return
    # By its name, because the task imports this module.
    deferrer = app.configure_task("tmdb.tasks.refresh_movie", queueing_lock=f"movie:{tmdb_id}")
    try:
        with transaction.atomic():
            deferrer.defer(tmdb_id=tmdb_id)
    except AlreadyEnqueued:
        pass
    except (ConnectorException, DatabaseError) as error:
        # What is stored needs no refresh to be served.
        _LOG.warning("The refresh of movie %s was not queued: %s", tmdb_id, error)
