from django.urls import path

from movies.views import GenreViewSet, MovieViewSet, PersonViewSet

urlpatterns = [
    path("movies/", MovieViewSet.as_view({"get": "list"}), name="movie-list"),
    path("movies/top_rated/", MovieViewSet.as_view({"get": "top_rated"}), name="movie-top-rated"),
    path("people/", PersonViewSet.as_view({"get": "list"}), name="person-list"),
    path("people/<id:pk>/", PersonViewSet.as_view({"get": "retrieve"}), name="person-detail"),
    path("people/<id:pk>/movies/", PersonViewSet.as_view({"get": "movies"}), name="person-movies"),
    path("genres/", GenreViewSet.as_view({"get": "list"}), name="genre-list"),
]
