"""Offers, videos and release dates of one movie, and the providers of a region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from movies.availability import MONETIZATIONS, parse_offer_key
from movies.models import MAX_AGE, MovieExtras, Offers, Provider

_ALL_REGIONS = ""


@dataclass(frozen=True)
class ProviderOffer:
    """A provider in the list of one kind of payment."""

    provider_id: int
    name: str
    logo_path: str


@dataclass(frozen=True)
class RegionOffers:
    """The offers of a movie in a region: lists by kind of payment, each in TMDb's order."""

    region: str
    link: str
    #: When TMDb sent them; None if they were never read.
    synced_at: datetime | None
    by_monetization: dict[str, list[ProviderOffer]]


def get_region_offers(movie_id: int, region: str) -> RegionOffers:
    """Return the offers of a movie in a region; empty lists without any. At most two queries.

    Offers that are older than TMDb's terms allow count as never read.
    """
    lists: dict[str, list[ProviderOffer]] = {name: [] for name in MONETIZATIONS}
    stored = _read_offers(movie_id)
    if stored is None:
        return RegionOffers(region, "", None, lists)
    offers = [offer for offer in map(parse_offer_key, stored.keys) if offer.region == region]
    providers = Provider.objects.in_bulk({offer.provider_id for offer in offers}) if offers else {}
    for offer in offers:
        provider = providers.get(offer.provider_id)
        if provider is not None:
            entry = ProviderOffer(provider.pk, provider.name, provider.logo_path)
            lists[offer.monetization].append(entry)
    link = f"{stored.link}?locale={region}" if stored.link and offers else ""
    return RegionOffers(region, link, stored.synced_at, lists)


def _read_offers(movie_id: int) -> Offers | None:
    recent = Offers.objects.filter(synced_at__gte=timezone.now() - MAX_AGE)
    return recent.filter(movie_id=movie_id, region=_ALL_REGIONS).first()


def get_extras(movie_id: int) -> MovieExtras | None:
    """Return the videos and releases of a movie, unless they are older than TMDb's terms allow."""
    recent = MovieExtras.objects.filter(synced_at__gte=timezone.now() - MAX_AGE)
    return recent.filter(movie_id=movie_id).first()


def list_region_providers(region: str) -> Sequence[Provider]:
    """Return the providers of a region in TMDb's order."""
    providers = Provider.objects.filter(priorities__has_key=region)
    return sorted(providers, key=lambda row: (row.priorities[region], row.name, row.pk))
