"""What members do, over HTTP, a file for each kind of thing."""

from social.views.diary import HistoryViewSet, WatchlistViewSet
from social.views.people import (
    BlockViewSet,
    FeedViewSet,
    FollowViewSet,
    MemberViewSet,
    MeViewSet,
    StatsViewSet,
)
from social.views.playlists import PlaylistItemViewSet, PlaylistViewSet
from social.views.ratings import RatingViewSet, ReportViewSet, ReviewViewSet

__all__ = [
    "BlockViewSet",
    "FeedViewSet",
    "FollowViewSet",
    "HistoryViewSet",
    "MeViewSet",
    "MemberViewSet",
    "PlaylistItemViewSet",
    "PlaylistViewSet",
    "RatingViewSet",
    "ReportViewSet",
    "ReviewViewSet",
    "StatsViewSet",
    "WatchlistViewSet",
]
