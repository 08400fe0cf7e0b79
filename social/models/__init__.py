"""Ratings, reviews, reports, follows, blocks, playlists, watchlists, viewings, imports and groups."""

from social.models.diary import EARLIEST_VIEWING, CalendarFeed, Viewing, WatchlistItem
from social.models.exports import Export, ExportPiece
from social.models.figures import FiguresCheck
from social.models.follows import (
    Block,
    Follow,
    members_visible_to,
)
from social.models.groups import GroupMembership, GroupVote, MovieGroup
from social.models.imports import Import, ImportFilePiece, ImportRow
from social.models.moderation import MAX_COMMENT_LENGTH, HiddenReview, ReviewReport
from social.models.playlists import (
    MAX_DESCRIPTION_LENGTH,
    MAX_NAME_LENGTH,
    MAX_NOTE_LENGTH,
    Playlist,
    PlaylistItem,
    PlaylistQuerySet,
)
from social.models.ratings import (
    MAX_REVIEW_LENGTH,
    MAX_SCORE,
    MIN_SCORE,
    Rating,
    RatingQuerySet,
)

__all__ = [
    "EARLIEST_VIEWING",
    "MAX_COMMENT_LENGTH",
    "MAX_DESCRIPTION_LENGTH",
    "MAX_NAME_LENGTH",
    "MAX_NOTE_LENGTH",
    "MAX_REVIEW_LENGTH",
    "MAX_SCORE",
    "MIN_SCORE",
    "Block",
    "CalendarFeed",
    "Export",
    "ExportPiece",
    "FiguresCheck",
    "Follow",
    "GroupMembership",
    "GroupVote",
    "HiddenReview",
    "Import",
    "ImportFilePiece",
    "ImportRow",
    "MovieGroup",
    "Playlist",
    "PlaylistItem",
    "PlaylistQuerySet",
    "Rating",
    "RatingQuerySet",
    "ReviewReport",
    "Viewing",
    "WatchlistItem",
    "members_visible_to",
]
