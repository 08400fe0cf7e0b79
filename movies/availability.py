"""Offers, videos and release dates of a movie as a source describes them. Free of Django.

`tmdb.parsers` makes these, and `movies.services.availability` stores them. An offer is stored as a
number, its key, so that a filter compares numbers in an index.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import NamedTuple

#: How an offer is paid, in the order of the responses. The position is part of each key.
MONETIZATIONS = ("flatrate", "free", "ads", "rent", "buy")
#: The greatest id of a provider that a key has room for.
MAX_PROVIDER_ID = 2**18 - 1
#: The kinds of releases in TMDb's numbering, from 1.
RELEASE_KINDS = ("premiere", "theatrical_limited", "theatrical", "digital", "physical", "tv")

_LETTERS = 26
_FIRST_LETTER = ord("A")
_MONETIZATION_BITS, _PROVIDER_BITS = 3, 18


class Offer(NamedTuple):
    """A provider shows the movie in a region, for a kind of payment."""

    region: str
    monetization: str
    provider_id: int

    @property
    def key(self) -> int:
        """The offer as a 31-bit number: region, monetization and provider."""
        first, second = (ord(letter) - _FIRST_LETTER for letter in self.region)
        place = (first * _LETTERS + second) << _MONETIZATION_BITS
        place |= MONETIZATIONS.index(self.monetization)
        return place << _PROVIDER_BITS | self.provider_id


def parse_offer_key(key: int) -> Offer:
    place, provider_id = divmod(key, 1 << _PROVIDER_BITS)
    region, monetization = divmod(place, 1 << _MONETIZATION_BITS)
    letters = "".join(chr(_FIRST_LETTER + letter) for letter in divmod(region, _LETTERS))
    return Offer(letters, MONETIZATIONS[monetization], provider_id)


def make_offer_keys(
    region: str, provider_ids: Iterable[int], monetizations: Collection[str] = MONETIZATIONS
) -> list[int]:
    """Return the keys of all offers of these providers in a region; none for ids without a key."""
    return [
        Offer(region, monetization, provider_id).key
        for provider_id in provider_ids
        if 0 < provider_id <= MAX_PROVIDER_ID
        for monetization in monetizations
    ]


@dataclass(frozen=True)
class ProviderData:
    """A company that shows movies."""

    provider_id: int
    name: str
    logo_path: str = ""
    #: Its place in the lists of each region where it is offered, and the region, if they are known.
    priorities: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class VideoData:
    """A trailer or clip on a video site. `kind` is TMDb's type, such as `Trailer`."""

    name: str
    kind: str
    site: str
    key: str
    is_official: bool
    language: str = ""
    published_at: datetime | None = None


@dataclass(frozen=True)
class ReleaseData:
    """A release of the movie in a region, of one of RELEASE_KINDS."""

    region: str
    day: date
    kind: str
    certification: str = ""
    note: str = ""


@dataclass(frozen=True)
class AvailabilityData:
    """What TMDb's response for a movie says about offers, videos and releases."""

    offers: tuple[Offer, ...] = ()
    providers: tuple[ProviderData, ...] = ()
    #: TMDb's page with the offers of any region; the region is a parameter of its own.
    link: str = ""
    videos: tuple[VideoData, ...] = ()
    releases: tuple[ReleaseData, ...] = ()
