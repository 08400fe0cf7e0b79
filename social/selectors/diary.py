"""What a member has seen and means to see, for whoever recommends."""

from __future__ import annotations

from django.db.models import QuerySet

from accounts.models import User
from social.models import Rating, Viewing, WatchlistItem


def films_watched(user: User) -> QuerySet[Viewing, int]:
    """The ids of the films that a member has rated or seen, each once."""
    rated = Rating.objects.filter(user=user).order_by().values_list("movie_id", flat=True)
    viewed = Viewing.objects.filter(user=user).order_by().values_list("movie_id", flat=True)
    return viewed.union(rated)  # type: ignore[arg-type]


def films_on_watchlist(user: User) -> QuerySet[WatchlistItem, int]:
    """The ids of the films on a member's watchlist."""
    return WatchlistItem.objects.filter(user=user).order_by().values_list("movie_id", flat=True)
