"""Writes of the watchlist and of viewings."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction
from django.utils import timezone

from nexus.core.api.exceptions import NotFound, Problem
from social.models import Viewing, WatchlistItem
from social.services.locks import lock_member_and_movie

# How often a row that is taken away while it is found to be there already is tried again.
_ATTEMPTS = 5


@dataclass(frozen=True)
class WatchlistAdded:
    item: WatchlistItem
    created: bool


@dataclass(frozen=True)
class ViewingAdded:
    viewing: Viewing
    created: bool


@transaction.atomic
def watchlist_add(
    *, user_id: int, movie_id: int, added_at: datetime | None = None
) -> WatchlistAdded:
    """Put a film on a member's watchlist; one that is on it stays as it is.

    Raises ValidationError (400) on `movie` for an unknown film.
    """
    lock_member_and_movie(user_id=user_id, movie_id=movie_id)
    items = WatchlistItem.objects.with_movie()
    for _ in range(_ATTEMPTS):
        new = _inserted("social_watchlistitem", "added_at", user_id, movie_id, added_at)
        item = items.filter(user_id=user_id, movie_id=movie_id).first()
        if item is not None:
            return WatchlistAdded(item, created=new)
    raise _changing()


@transaction.atomic
def watchlist_remove(*, user_id: int, movie_id: int) -> None:
    """Take a film off a member's watchlist. Raises NotFound where it is not on it."""
    removed, _ = WatchlistItem.objects.filter(user_id=user_id, movie_id=movie_id).delete()
    if not removed:
        raise NotFound


@transaction.atomic
def viewing_add(*, user_id: int, movie_id: int, watched_at: datetime | None = None) -> ViewingAdded:
    """Note that a member saw a film, now where no time is given; the same moment counts once.

    Raises ValidationError (400) on `movie` for an unknown film.
    """
    lock_member_and_movie(user_id=user_id, movie_id=movie_id)
    watched_at = watched_at or timezone.now()
    viewings = Viewing.objects.with_movie()
    for _ in range(_ATTEMPTS):
        new = _inserted("social_viewing", "watched_at", user_id, movie_id, watched_at)
        viewing = viewings.filter(user_id=user_id, movie_id=movie_id, watched_at=watched_at).first()
        if viewing is not None:
            return ViewingAdded(viewing, created=new)
    raise _changing()


@transaction.atomic
def viewing_remove(*, user_id: int, viewing_id: int) -> None:
    """Take back a viewing of the member's. Raises NotFound where it is none of theirs."""
    removed, _ = Viewing.objects.filter(user_id=user_id, id=viewing_id).delete()
    if not removed:
        raise NotFound


def _inserted(
    table: str, column: str, user_id: int, movie_id: int, moment: datetime | None
) -> bool:
    """Whether the row is new, after waiting for a rival's commit."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (user_id, movie_id, {column}) VALUES (%s, %s, %s)"  # noqa: S608
            " ON CONFLICT DO NOTHING",
            [user_id, movie_id, moment or timezone.now()],
        )
        return bool(cursor.rowcount)


def _changing() -> Problem:
    return Problem(409, "conflict", "This is being changed elsewhere. Try again.")
