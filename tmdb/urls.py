from django.urls import path

from tmdb.views import (
    TmdbBulkImportViewSet,
    TmdbImportViewSet,
    TmdbSearchViewSet,
    TmdbStatusViewSet,
    TrendingViewSet,
)

urlpatterns = [
    path("movies/trending/", TrendingViewSet.as_view({"get": "list"}), name="movie-trending"),
    path("tmdb/search/", TmdbSearchViewSet.as_view({"get": "list"}), name="tmdb-search"),
    path("tmdb/import/", TmdbImportViewSet.as_view({"post": "create"}), name="tmdb-import"),
    path(
        "tmdb/import/bulk/",
        TmdbBulkImportViewSet.as_view({"post": "create"}),
        name="tmdb-import-bulk",
    ),
    path("tmdb/status/", TmdbStatusViewSet.as_view({"get": "retrieve"}), name="tmdb-status"),
]
