from typing import Any

from django.urls import include, path

from social.views.calendar import CalendarFeedViewSet, CalendarViewSet
from social.views.collections import CollectionViewSet
from social.views.diary import HistoryViewSet, WatchlistViewSet
from social.views.groups import GroupViewSet, GroupVoteViewSet
from social.views.members import (
    BlockViewSet,
    FeedViewSet,
    FollowViewSet,
    GuestRegistrationViewSet,
    MemberViewSet,
    MeViewSet,
    StatsViewSet,
)
from social.views.playlists import PlaylistItemViewSet, PlaylistViewSet
from social.views.ratings import RatingViewSet, ReportViewSet, ReviewViewSet
from social.views.scrobbles import ScrobbleViewSet

_DETAIL: dict[str, Any] = {
    "get": "retrieve",
    "put": "update",
    "patch": "partial_update",
    "delete": "destroy",
}
_LIST: dict[str, Any] = {"get": "list", "post": "create"}
_PUT_DELETE: dict[str, Any] = {"put": "update", "delete": "destroy"}


def _make_member_path(name: str) -> Any:
    return path(
        f"profiles/<username:username>/{name}/",
        MemberViewSet.as_view({"get": name}),
        name=f"member-{name}",
    )


urlpatterns = [
    path(
        "auth/guest/register/",
        GuestRegistrationViewSet.as_view({"post": "create"}),
        name="guest-register",
    ),
    path(
        "movies/<id:movie_id>/reviews/", ReviewViewSet.as_view({"get": "list"}), name="review-list"
    ),
    path("profiles/me/", MeViewSet.as_view(_DETAIL), name="profile-me"),
    path("profiles/stats/", StatsViewSet.as_view({"get": "retrieve"}), name="profile-stats"),
    path(
        "profiles/<username:username>/",
        MemberViewSet.as_view({"get": "retrieve"}),
        name="member-detail",
    ),
    _make_member_path("stats"),
    _make_member_path("ratings"),
    _make_member_path("playlists"),
    _make_member_path("followers"),
    _make_member_path("following"),
    path(
        "profiles/<username:username>/follow/",
        FollowViewSet.as_view(_PUT_DELETE),
        name="member-follow",
    ),
    path(
        "profiles/<username:username>/block/",
        BlockViewSet.as_view(_PUT_DELETE),
        name="member-block",
    ),
    path(
        "collections/<id:pk>/",
        CollectionViewSet.as_view({"get": "retrieve"}),
        name="collection-detail",
    ),
    path("blocks/", BlockViewSet.as_view({"get": "list"}), name="block-list"),
    path("feed/", FeedViewSet.as_view({"get": "list"}), name="feed"),
    path("watchlist/", WatchlistViewSet.as_view(_LIST), name="watchlist"),
    path(
        "watchlist/calendar/",
        CalendarViewSet.as_view({"get": "list"}),
        name="watchlist-calendar",
    ),
    path(
        "watchlist/calendar/feed/",
        CalendarFeedViewSet.as_view({"post": "create"}),
        name="watchlist-calendar-feed",
    ),
    path(
        "watchlist/<id:movie_id>/",
        WatchlistViewSet.as_view(_PUT_DELETE),
        name="watchlist-item",
    ),
    path("history/", HistoryViewSet.as_view(_LIST), name="history"),
    path("history/<id:pk>/", HistoryViewSet.as_view({"delete": "destroy"}), name="viewing"),
    path(
        "scrobbles/<media_server:server>/",
        ScrobbleViewSet.as_view({"post": "create"}),
        name="scrobble",
    ),
    path("ratings/", RatingViewSet.as_view(_LIST), name="rating-list"),
    path("ratings/<id:pk>/", RatingViewSet.as_view(_DETAIL), name="rating-detail"),
    path(
        "ratings/<id:pk>/report/", ReportViewSet.as_view({"post": "create"}), name="rating-report"
    ),
    path("playlists/", PlaylistViewSet.as_view(_LIST), name="playlist-list"),
    path("playlists/<uuid:pk>/", PlaylistViewSet.as_view(_DETAIL), name="playlist-detail"),
    path(
        "playlists/<uuid:pk>/copy/", PlaylistViewSet.as_view({"post": "copy"}), name="playlist-copy"
    ),
    path("playlists/<uuid:pk>/items/", PlaylistItemViewSet.as_view(_LIST), name="playlist-items"),
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
    path("groups/", GroupViewSet.as_view(_LIST), name="group-list"),
    path("groups/join/", GroupViewSet.as_view({"post": "join"}), name="group-join"),
    path(
        "groups/<id:pk>/",
        GroupViewSet.as_view({"get": "retrieve", "patch": "partial_update", "delete": "destroy"}),
        name="group-detail",
    ),
    path("groups/<id:pk>/leave/", GroupViewSet.as_view({"post": "leave"}), name="group-leave"),
    path(
        "groups/<id:pk>/join_code/",
        GroupViewSet.as_view({"post": "renew_join_code"}),
        name="group-join-code",
    ),
    path(
        "groups/<id:pk>/members/<username:username>/",
        GroupViewSet.as_view({"delete": "remove_member"}),
        name="group-member",
    ),
    path("groups/<id:pk>/votes/", GroupVoteViewSet.as_view({"get": "list"}), name="group-votes"),
    path(
        "groups/<id:pk>/votes/<id:movie_id>/",
        GroupVoteViewSet.as_view(_PUT_DELETE),
        name="group-vote",
    ),
    path("", include("social.transfer.urls")),
]
