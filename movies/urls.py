from django.urls import path

from movies.views import GenreViewSet, MovieViewSet

urlpatterns = [
    path("movies/", MovieViewSet.as_view({"get": "list"}), name="movie-list"),
    path("movies/top_rated/", MovieViewSet.as_view({"get": "top_rated"}), name="movie-top-rated"),
    path("genres/", GenreViewSet.as_view({"get": "list"}), name="genre-list"),
]
