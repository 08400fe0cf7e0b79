from django.urls import path

from tmdb.views import TmdbImportViewSet, TmdbSearchViewSet, TrendingViewSet

urlpatterns = [
    path("movies/trending/", TrendingViewSet.as_view({"get": "list"}), name="movie-trending"),
    path("tmdb/search/", TmdbSearchViewSet.as_view({"get": "list"}), name="tmdb-search"),
    path("tmdb/import/", TmdbImportViewSet.as_view({"post": "create"}), name="tmdb-import"),
]
