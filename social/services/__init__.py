"""Writes of what members do, a file for each kind of thing."""

from social.services.diary import (
    ViewingAdded,
    WatchlistAdded,
    viewing_add,
    viewing_remove,
    watchlist_add,
    watchlist_remove,
)
from social.services.following import (
    MAX_FOLLOWING,
    block_remove,
    block_set,
    follow_remove,
    follow_set,
)
from social.services.leaving import account_delete, following_uncount
from social.services.moderation import (
    Reported,
    reports_dismiss,
    review_hide,
    review_report,
    review_restore,
)
from social.services.playlists import (
    MAX_ITEMS,
    ItemsAdded,
    Reordered,
    playlist_copy,
    playlist_create,
    playlist_delete,
    playlist_item_annotate,
    playlist_item_remove,
    playlist_items_add,
    playlist_reorder,
    playlist_update,
)
from social.services.ratings import (
    RatingSet,
    rating_delete,
    rating_set,
    rating_update,
    ratings_recount,
)

__all__ = [
    "MAX_FOLLOWING",
    "MAX_ITEMS",
    "ItemsAdded",
    "RatingSet",
    "Reordered",
    "Reported",
    "ViewingAdded",
    "WatchlistAdded",
    "account_delete",
    "block_remove",
    "block_set",
    "follow_remove",
    "follow_set",
    "following_uncount",
    "playlist_copy",
    "playlist_create",
    "playlist_delete",
    "playlist_item_annotate",
    "playlist_item_remove",
    "playlist_items_add",
    "playlist_reorder",
    "playlist_update",
    "rating_delete",
    "rating_set",
    "rating_update",
    "ratings_recount",
    "reports_dismiss",
    "review_hide",
    "review_report",
    "review_restore",
    "viewing_add",
    "viewing_remove",
    "watchlist_add",
    "watchlist_remove",
]
