"""Store offers, videos and release dates of movies, and the lists of providers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from movies.availability import AvailabilityData, ProviderData, VideoData
from movies.models import MAX_AGE, MAX_OFFERS_AGE, Movie, MovieExtras, Offers, Provider

_ALL_REGIONS = ""


def availability_store(
    *, movies: Mapping[int, AvailabilityData], synced_at: datetime | None = None
) -> None:
    """Replace what is stored of the offers, videos and releases of movies, by movie id.

    Runs in the caller's transaction.
    """
    if not movies:
        return
    now = synced_at or timezone.now()
    providers_store(providers=[provider for data in movies.values() for provider in data.providers])
    Offers.objects.bulk_create(
        [
            Offers(
                movie_id=movie_id,
                region=_ALL_REGIONS,
                keys=[offer.key for offer in data.offers],
                link=data.link,
                synced_at=now,
            )
            for movie_id, data in sorted(movies.items())
        ],
        update_conflicts=True,
        unique_fields=["movie", "region"],
        update_fields=["keys", "link", "synced_at"],
        batch_size=500,
    )
    _store_extras(movies, now)


def _store_extras(movies: Mapping[int, AvailabilityData], now: datetime) -> None:
    """Replace videos and releases; changed releases have a new revision."""
    stored = MovieExtras.objects.defer("videos").in_bulk(list(movies))
    rows = []
    for movie_id, data in sorted(movies.items()):
        before, releases = stored.get(movie_id), _pack_releases(data)
        is_changed = before is None or before.releases != releases
        row = MovieExtras(
            movie_id=movie_id,
            videos=[_pack_video(video) for video in data.videos],
            releases=releases,
            last_release=max((release.day for release in data.releases), default=None),
            synced_at=now,
        )
        if before is not None:
            row.revision = before.revision + is_changed
        row.changed_at = now if is_changed or before is None else before.changed_at
        rows.append(row)
    MovieExtras.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["movie"],
        update_fields=[
            *("videos", "releases", "last_release", "revision", "changed_at", "synced_at"),
        ],
        batch_size=500,
    )


def providers_store(*, providers: Iterable[ProviderData]) -> None:
    """Store new providers, and changed names and logos. Regions stay as they are."""
    by_id = {provider.provider_id: provider for provider in providers}
    stored = {row.pk: (row.name, row.logo_path) for row in Provider.objects.filter(pk__in=by_id)}
    changed = [
        Provider(id=provider_id, name=provider.name, logo_path=provider.logo_path)
        for provider_id, provider in sorted(by_id.items())
        if stored.get(provider_id) != (provider.name, provider.logo_path)
    ]
    if changed:
        Provider.objects.bulk_create(
            changed,
            update_conflicts=True,
            unique_fields=["id"],
            update_fields=["name", "logo_path"],
        )


@transaction.atomic
def provider_list_replace(*, providers: Sequence[ProviderData]) -> None:
    """Store TMDb's list of all providers with their regions.

    A provider that TMDb has dropped keeps its name, because offers refer to it, and loses its regions.
    """
    rows = {provider.provider_id: provider for provider in providers}
    Provider.objects.exclude(pk__in=rows).exclude(priorities={}).update(priorities={})
    Provider.objects.bulk_create(
        [
            Provider(
                id=provider_id,
                name=provider.name,
                logo_path=provider.logo_path,
                priorities=dict(provider.priorities),
            )
            for provider_id, provider in sorted(rows.items())
        ],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=["name", "logo_path", "priorities"],
    )


def region_offers_add(*, region: str, keys_by_movie: Mapping[int, int]) -> None:
    """Add an offer of each of these movies, which a list of a region contained, in one statement.

    Offers of the region that are too old for a filter are replaced. Runs in the caller's transaction.
    """
    now = timezone.now()
    stored = {
        offers.movie_id: offers.keys
        for offers in Offers.objects.filter(
            movie__in=keys_by_movie, region=region, synced_at__gte=now - timedelta(days=1)
        )
    }
    Offers.objects.bulk_create(
        [
            Offers(
                movie_id=movie_id,
                region=region,
                keys=sorted({*stored.get(movie_id, []), key}),
                synced_at=now,
            )
            for movie_id, key in sorted(keys_by_movie.items())
        ],
        update_conflicts=True,
        unique_fields=["movie", "region"],
        update_fields=["keys", "synced_at"],
    )


def expired_availability_delete() -> int:
    """Delete what is too old to be used; return the number of rows.

    TMDb's terms allow its data to be stored for six months. Offers of a region's lists serve filters
    alone, and for a week.
    """
    now = timezone.now()
    old, lists = now - MAX_AGE, now - MAX_OFFERS_AGE
    deleted = Offers.objects.filter(synced_at__lt=old).delete()[0]
    deleted += Offers.objects.exclude(region=_ALL_REGIONS).filter(synced_at__lt=lists).delete()[0]
    return deleted + MovieExtras.objects.filter(synced_at__lt=old).delete()[0]


def collect_availability(
    movies: Iterable[tuple[Movie, AvailabilityData | None]],
) -> dict[int, AvailabilityData]:
    """Return what the source says about each saved movie; the last data of a movie counts."""
    return {movie.pk: data for movie, data in movies if data is not None}


def _pack_video(video: VideoData) -> dict[str, Any]:
    return {
        "name": video.name,
        "type": video.kind,
        "site": video.site,
        "key": video.key,
        "official": video.is_official,
        "language": video.language,
        "published_at": video.published_at.isoformat() if video.published_at else None,
    }


def _pack_releases(data: AvailabilityData) -> dict[str, list[list[str]]]:
    packed: dict[str, list[list[str]]] = {}
    for release in data.releases:
        entry = [release.day.isoformat(), release.kind, release.certification, release.note]
        packed.setdefault(release.region, []).append(entry)
    return packed
