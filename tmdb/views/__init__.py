"""The HTTP endpoints of this app; import them from here."""

from tmdb.views.availability import (
    ProviderViewSet,
    ReleasesViewSet,
    VideoViewSet,
    WatchProvidersViewSet,
    choose_region,
    describe_offers,
    list_videos,
)
from tmdb.views.base import TMDB_ERRORS, TmdbViewSet
from tmdb.views.catalogue import (
    MovieDetailViewSet,
    TmdbBulkImportViewSet,
    TmdbImportViewSet,
    TmdbSearchViewSet,
    TmdbStatusViewSet,
    TrendingViewSet,
)

__all__ = [
    "TMDB_ERRORS",
    "MovieDetailViewSet",
    "ProviderViewSet",
    "ReleasesViewSet",
    "TmdbBulkImportViewSet",
    "TmdbImportViewSet",
    "TmdbSearchViewSet",
    "TmdbStatusViewSet",
    "TmdbViewSet",
    "TrendingViewSet",
    "VideoViewSet",
    "WatchProvidersViewSet",
    "choose_region",
    "describe_offers",
    "list_videos",
]
