"""Where a movie can be watched, its videos and its releases over HTTP, and the providers of a region."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.shortcuts import get_object_or_404
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from movies.availability import MONETIZATIONS, RELEASE_KINDS
from movies.fields import RegionField
from movies.models import Movie, MovieExtras
from movies.selectors import list_region_providers
from movies.serializers import build_image_url, build_video_url
from nexus.core.api.exceptions import field_error
from nexus.core.api.fields import UTCDateTimeField
from nexus.core.api.pagination import paginate_list
from nexus.core.api.query_params import PageQuery, QuerySerializer
from nexus.core.api.views import NO_STORE, PUBLIC, PageOf, contract
from tmdb.availability import read_extras, read_offers
from tmdb.serializers import (
    ProviderSerializer,
    ReleasesSerializer,
    VideoSerializer,
    WatchProvidersSerializer,
)
from tmdb.services import providers_ensure
from tmdb.views.base import TMDB_ERRORS, TmdbViewSet

#: TMDb's terms for offers require it wherever they are shown.
ATTRIBUTION = "Offers by JustWatch"
LOGO_SIZE = "w92"
_UNREAD = {
    **TMDB_ERRORS,
    401: "Without `region`, a token is needed: the region is that of the profile.",
}


class RegionQuery(QuerySerializer):
    region = RegionField(
        required=False,
        help_text="ISO 3166-1 code, such as `DE`. By default the region of the caller's profile.",
    )


class ProviderListQuery(PageQuery):
    region = RegionField(
        required=False,
        help_text="ISO 3166-1 code, such as `DE`. By default the region of the caller's profile.",
    )


class RegionViewSet(TmdbViewSet):
    """A view whose response depends on the caller only if the query names no region."""

    permission_classes = [AllowAny]
    cache_control = PUBLIC
    query: dict[str, Any]

    def get_authenticators(self) -> list[BaseAuthentication]:
        """Read the token only if the response depends on the caller."""
        # The generator of the schema has no request, or one without parameters.
        if self.request is None or "region" not in self.request.GET:
            return [authenticator() for authenticator in self.authentication_classes]
        return super().get_authenticators()

    def choose_region(self, request: Request) -> str:
        return choose_region(request, self.query.get("region"))


def choose_region(request: Request, region: str | None) -> str:
    """Return the region of the query, or else of the caller's profile. Raises ValidationError."""
    region = region or getattr(request.user, "region", "")
    if not region:
        message = "Name a region, such as region=DE, or set one in your profile."
        raise field_error("region", message)
    return region


class WatchProvidersViewSet(RegionViewSet):
    @contract(query=RegionQuery, responses={200: WatchProvidersSerializer}, errors=_UNREAD)
    def retrieve(self, request: Request, pk: int) -> Response:
        """Where a movie can be watched in a region.

        At most 24 hours old. While TMDb is unavailable, older offers are `stale`. The lists are empty
        if nobody offers the movie in the region. TMDb has the data from JustWatch, which has to be
        named where it is shown: `attribution`.
        """
        movie = get_object_or_404(Movie.objects.summaries(), pk=pk)
        offers = describe_offers(movie, self.choose_region(request))
        return _make_response(offers)


class VideoViewSet(TmdbViewSet):
    permission_classes = [AllowAny]
    cache_control = PUBLIC

    @contract(query=PageQuery, responses={200: PageOf(VideoSerializer)}, errors=TMDB_ERRORS)
    def list(self, request: Request, pk: int) -> Response:
        """The trailers and clips of a movie: official trailers first, then other trailers."""
        movie = get_object_or_404(Movie.objects.summaries(), pk=pk)
        return paginate_list(request, self.query, list_videos(movie), _serialize_videos)


class ReleasesViewSet(RegionViewSet):
    @contract(query=RegionQuery, responses={200: ReleasesSerializer}, errors=_UNREAD)
    def retrieve(self, request: Request, pk: int) -> Response:
        """The days on which a movie is released in a region, by kind, and its certification there."""
        movie = get_object_or_404(Movie.objects.summaries(), pk=pk)
        region = self.choose_region(request)
        reading = read_extras(movie)
        releases = {
            "region": region,
            "as_of": _format_time(reading.extras.synced_at if reading.extras else None),
            "stale": reading.is_stale,
            **_group_releases(reading.extras, region),
        }
        return _make_response(releases)


class ProviderViewSet(RegionViewSet):
    @contract(
        query=ProviderListQuery,
        responses={
            200: PageOf(
                ProviderSerializer,
                extra_fields={
                    "region": serializers.CharField(),
                    "attribution": serializers.CharField(help_text="To be shown beside the list."),
                },
            )
        },
        errors=_UNREAD,
    )
    def list(self, request: Request) -> Response:
        """The providers of a region in TMDb's order, for filters and the profile."""
        region = self.choose_region(request)
        providers_ensure()
        return paginate_list(
            request,
            self.query,
            list_region_providers(region),
            _serialize_providers,
            region=region,
            attribution=ATTRIBUTION,
        )


def describe_offers(movie: Movie, region: str) -> dict[str, Any]:
    """Return the offers of a movie in a region as WatchProvidersSerializer describes them.

    Raises TmdbError if TMDb fails and none are stored.
    """
    reading = read_offers(movie, region)
    offers = reading.offers
    return {
        "region": region,
        "link": offers.link or None,
        "as_of": _format_time(offers.synced_at),
        "stale": reading.is_stale,
        "attribution": ATTRIBUTION,
        **{
            name: [
                _make_provider(offer.provider_id, offer.name, offer.logo_path)
                for offer in offers.by_monetization[name]
            ]
            for name in MONETIZATIONS
        },
    }


def list_videos(movie: Movie) -> list[dict[str, Any]]:
    """Return the videos of a movie as VideoSerializer describes them.

    Raises TmdbError if TMDb fails and none are stored.
    """
    extras = read_extras(movie).extras
    return [
        {
            **video,
            "url": build_video_url(video["site"], video["key"]),
            "published_at": _format_time(
                video["published_at"] and datetime.fromisoformat(video["published_at"])
            ),
        }
        for video in (extras.videos if extras else ())
    ]


def _group_releases(extras: MovieExtras | None, region: str) -> dict[str, Any]:
    """Return the releases of a region by kind, and the first certification."""
    releases = extras.releases.get(region, []) if extras else []
    by_kind: dict[str, list[dict[str, str]]] = {kind: [] for kind in RELEASE_KINDS}
    for day, kind, certification, note in releases:
        by_kind[kind].append({"date": day, "certification": certification, "note": note})
    certifications = [certification for _, _, certification, _ in releases if certification]
    return {"certification": certifications[0] if certifications else "", **by_kind}


def _make_provider(provider_id: int, name: str, logo_path: str) -> dict[str, Any]:
    return {
        "provider_id": provider_id,
        "name": name,
        "logo_url": build_image_url(logo_path, LOGO_SIZE),
    }


def _serialize_providers(rows: Iterable[Any]) -> list[dict[str, Any]]:
    return [_make_provider(row.pk, row.name, row.logo_path) for row in rows]


def _serialize_videos(videos: list[Any]) -> list[Any]:
    return videos


def _format_time(moment: datetime | None) -> str | None:
    return UTCDateTimeField().to_representation(moment)


def _make_response(data: dict[str, Any]) -> Response:
    response = Response(data)
    if data["stale"]:
        # A cached response would hide for a minute that TMDb responds again.
        response["Cache-Control"] = NO_STORE
    return response
