from django.urls import path

from movies.views import GenreViewSet, MovieViewSet

urlpatterns = [
    path("movies/", MovieViewSet.as_view({"get": "list"}), name="movie-list"),
    path("movies/top_rated/", MovieViewSet.as_view({"get": "top_rated"}), name="movie-top-rated"),
    path("movies/<id:pk>/", MovieViewSet.as_view({"get": "retrieve"}), name="movie-detail"),
    path("genres/", GenreViewSet.as_view({"get": "list"}), name="genre-list"),
]
