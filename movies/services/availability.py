"""Store the lists of providers and of what they offer, and delete what has expired.

`movies.services.upsert` stores the offers, videos and release dates of a movie with the movie.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from movies.availability import ProviderData
from movies.models import MAX_AGE, MAX_OFFERS_AGE, MovieExtras, Offers, Provider

_ALL_REGIONS = ""


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


def region_offers_add(
    *, region: str, keys_by_movie: Mapping[int, int], run_started_at: datetime
) -> None:
    """Add an offer of each of these movies, which a list of a region contained, in one statement.

    Offers of the region from before the run are replaced, because they may have ended since. Runs in
    the caller's transaction.
    """
    now = timezone.now()
    stored = {
        offers.movie_id: offers.keys
        for offers in Offers.objects.filter(
            movie__in=keys_by_movie, region=region, synced_at__gte=run_started_at
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
