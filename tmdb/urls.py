from django.urls import path

from tmdb.views import (
    ProviderViewSet,
    ReleasesViewSet,
    TmdbBulkImportViewSet,
    TmdbImportViewSet,
    TmdbSearchViewSet,
    TmdbStatusViewSet,
    TrendingViewSet,
    VideoViewSet,
    WatchProvidersViewSet,
)

urlpatterns = [
    path("movies/trending/", TrendingViewSet.as_view({"get": "list"}), name="movie-trending"),
    path(
        "movies/<id:pk>/watch_providers/",
        WatchProvidersViewSet.as_view({"get": "retrieve"}),
        name="movie-watch-providers",
    ),
    path("movies/<id:pk>/videos/", VideoViewSet.as_view({"get": "list"}), name="movie-videos"),
    path(
        "movies/<id:pk>/releases/",
        ReleasesViewSet.as_view({"get": "retrieve"}),
        name="movie-releases",
    ),
    path("providers/", ProviderViewSet.as_view({"get": "list"}), name="provider-list"),
    path("tmdb/search/", TmdbSearchViewSet.as_view({"get": "list"}), name="tmdb-search"),
    path("tmdb/import/", TmdbImportViewSet.as_view({"post": "create"}), name="tmdb-import"),
    path(
        "tmdb/import/bulk/",
        TmdbBulkImportViewSet.as_view({"post": "create"}),
        name="tmdb-import-bulk",
    ),
    path("tmdb/status/", TmdbStatusViewSet.as_view({"get": "retrieve"}), name="tmdb-status"),
]
