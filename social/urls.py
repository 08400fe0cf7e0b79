from typing import Any

from django.urls import path

from social.views import (
    MeViewSet,
    PlaylistItemViewSet,
    PlaylistViewSet,
    RatingViewSet,
    ReviewViewSet,
    StatsViewSet,
)

_one: dict[str, Any] = {
    "get": "retrieve",
    "put": "update",
    "patch": "partial_update",
    "delete": "destroy",
}
_many: dict[str, Any] = {"get": "list", "post": "create"}

urlpatterns = [
    path(
        "movies/<id:movie_id>/reviews/", ReviewViewSet.as_view({"get": "list"}), name="review-list"
    ),
    path("profiles/me/", MeViewSet.as_view(_one), name="profile-me"),
    path("profiles/stats/", StatsViewSet.as_view({"get": "retrieve"}), name="profile-stats"),
    path("ratings/", RatingViewSet.as_view(_many), name="rating-list"),
    path("ratings/<id:pk>/", RatingViewSet.as_view(_one), name="rating-detail"),
    path("playlists/", PlaylistViewSet.as_view(_many), name="playlist-list"),
    path("playlists/<uuid:pk>/", PlaylistViewSet.as_view(_one), name="playlist-detail"),
    path("playlists/<uuid:pk>/items/", PlaylistItemViewSet.as_view(_many), name="playlist-items"),
    path(
        "playlists/<uuid:pk>/items/order/",
        PlaylistItemViewSet.as_view({"put": "reorder"}),
        name="playlist-order",
    ),
    path(
        "playlists/<uuid:pk>/items/<id:movie_id>/",
        PlaylistItemViewSet.as_view({"patch": "partial_update", "delete": "destroy"}),
        name="playlist-item",
    ),
]
