from typing import Any

from django.urls import include, path

from social.views.diary import HistoryViewSet, WatchlistViewSet
from social.views.members import (
    BlockViewSet,
    FeedViewSet,
    FollowViewSet,
    MemberViewSet,
    MeViewSet,
    StatsViewSet,
)
from social.views.playlists import PlaylistItemViewSet, PlaylistViewSet
from social.views.ratings import RatingViewSet, ReportViewSet, ReviewViewSet

_one: dict[str, Any] = {
    "get": "retrieve",
    "put": "update",
    "patch": "partial_update",
    "delete": "destroy",
}
_many: dict[str, Any] = {"get": "list", "post": "create"}
_tie: dict[str, Any] = {"put": "update", "delete": "destroy"}


def _of_member(what: str) -> Any:
    return path(
        f"profiles/<username:username>/{what}/",
        MemberViewSet.as_view({"get": what}),
        name=f"member-{what}",
    )


urlpatterns = [
    path(
        "movies/<id:movie_id>/reviews/", ReviewViewSet.as_view({"get": "list"}), name="review-list"
    ),
    path("profiles/me/", MeViewSet.as_view(_one), name="profile-me"),
    path("profiles/stats/", StatsViewSet.as_view({"get": "retrieve"}), name="profile-stats"),
    path(
        "profiles/<username:username>/",
        MemberViewSet.as_view({"get": "retrieve"}),
        name="member-detail",
    ),
    _of_member("stats"),
    _of_member("ratings"),
    _of_member("playlists"),
    _of_member("followers"),
    _of_member("following"),
    path("profiles/<username:username>/follow/", FollowViewSet.as_view(_tie), name="member-follow"),
    path("profiles/<username:username>/block/", BlockViewSet.as_view(_tie), name="member-block"),
    path("blocks/", BlockViewSet.as_view({"get": "list"}), name="block-list"),
    path("feed/", FeedViewSet.as_view({"get": "list"}), name="feed"),
    path("watchlist/", WatchlistViewSet.as_view(_many), name="watchlist"),
    path(
        "watchlist/<id:movie_id>/",
        WatchlistViewSet.as_view({"delete": "destroy"}),
        name="watchlist-item",
    ),
    path("history/", HistoryViewSet.as_view(_many), name="history"),
    path("history/<id:pk>/", HistoryViewSet.as_view({"delete": "destroy"}), name="viewing"),
    path("ratings/", RatingViewSet.as_view(_many), name="rating-list"),
    path("ratings/<id:pk>/", RatingViewSet.as_view(_one), name="rating-detail"),
    path(
        "ratings/<id:pk>/report/", ReportViewSet.as_view({"post": "create"}), name="rating-report"
    ),
    path("playlists/", PlaylistViewSet.as_view(_many), name="playlist-list"),
    path("playlists/<uuid:pk>/", PlaylistViewSet.as_view(_one), name="playlist-detail"),
    path(
        "playlists/<uuid:pk>/copy/", PlaylistViewSet.as_view({"post": "copy"}), name="playlist-copy"
    ),
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
    path("", include("social.transfer.urls")),
]
