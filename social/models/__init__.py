"""What members do: follow, rate, review, collect films in lists, and keep a diary."""

from social.models.diary import Viewing, ViewingQuerySet, WatchlistItem, WatchlistItemQuerySet
from social.models.follows import (
    Block,
    Follow,
    FollowQuerySet,
    member_visible_to,
    members_visible_to,
)
from social.models.imports import Import, ImportFile, ImportRow
from social.models.playlists import (
    MAX_DESCRIPTION_LENGTH,
    MAX_NAME_LENGTH,
    MAX_NOTE_LENGTH,
    Playlist,
    PlaylistItem,
    PlaylistItemQuerySet,
    PlaylistQuerySet,
)
from social.models.ratings import (
    MAX_COMMENT_LENGTH,
    MAX_REVIEW_LENGTH,
    MAX_SCORE,
    MIN_SCORE,
    Rating,
    RatingQuerySet,
    ReviewReport,
)

__all__ = [
    "MAX_COMMENT_LENGTH",
    "MAX_DESCRIPTION_LENGTH",
    "MAX_NAME_LENGTH",
    "MAX_NOTE_LENGTH",
    "MAX_REVIEW_LENGTH",
    "MAX_SCORE",
    "MIN_SCORE",
    "Block",
    "Follow",
    "FollowQuerySet",
    "Import",
    "ImportFile",
    "ImportRow",
    "Playlist",
    "PlaylistItem",
    "PlaylistItemQuerySet",
    "PlaylistQuerySet",
    "Rating",
    "RatingQuerySet",
    "ReviewReport",
    "Viewing",
    "ViewingQuerySet",
    "WatchlistItem",
    "WatchlistItemQuerySet",
    "member_visible_to",
    "members_visible_to",
]
