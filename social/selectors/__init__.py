"""Reads across models that return plain data."""

from social.selectors.feed import Event, Feed, Position, feed_of
from social.selectors.people import (
    FollowCounts,
    Profile,
    follow_counts,
    member_named,
    member_seen,
    profile_seen,
)
from social.selectors.playlists import PlaylistLook, playlist_looks
from social.selectors.stats import MemberStats, member_stats

__all__ = [
    "Event",
    "Feed",
    "FollowCounts",
    "MemberStats",
    "PlaylistLook",
    "Position",
    "Profile",
    "feed_of",
    "follow_counts",
    "member_named",
    "member_seen",
    "member_stats",
    "playlist_looks",
    "profile_seen",
]
