"""Writes of the watchlist and of viewings."""

from __future__ import annotations

from datetime import date, datetime

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.services import user_lock
from movies.models import Movie
from nexus.core.api.exceptions import NotFound, Problem, field_error
from nexus.core.quotas import check_quota
from social.models import Viewing, WatchlistItem
from social.queries import lock_existing


@transaction.atomic
def watchlist_add(
    *, user_id: int, movie_id: int, added_at: datetime | None = None
) -> tuple[WatchlistItem, bool]:
    """Put a movie on a member's watchlist. Return the item and whether it is new.

    A movie that is already on the list keeps its date. Raises ValidationError (400) on `movie` for
    an unknown movie, AccountNotFound (401) if the member was deleted, Problem (409) if the list is as
    long as the quota allows or the item is removed by another request at the same time.
    """
    _lock_member_and_movie(user_id, movie_id)
    listed = WatchlistItem.objects.filter(user_id=user_id)
    if not listed.filter(movie_id=movie_id).exists():
        check_quota("watchlist_items", listed)
    try:
        return WatchlistItem.objects.with_movie().get_or_create(
            user_id=user_id,
            movie_id=movie_id,
            defaults={"added_at": added_at or timezone.now()},
        )
    except IntegrityError as error:
        raise _make_removal_conflict() from error


@transaction.atomic
def watchlist_remove(*, user_id: int, movie_id: int) -> None:
    """Take a movie off a member's watchlist. Raises NotFound if it is not on it."""
    deleted, _ = WatchlistItem.objects.filter(user_id=user_id, movie_id=movie_id).delete()
    if not deleted:
        raise NotFound


@transaction.atomic
def viewing_add(
    *,
    user_id: int,
    movie_id: int,
    watched_on: date | None = None,
    watched_at: datetime | None = None,
    note: str | None = None,
    keep_in_watchlist: bool = False,
) -> tuple[Viewing, bool]:
    """Record that a member watched a movie. Return the viewing and whether it is new.

    Without `watched_on` the day is that of `watched_at` in its own offset; without both it is unknown.
    The same movie at the same moment, or on the same day if the moment is unknown, is the same viewing;
    its note changes if `note` is not None. The movie leaves the member's watchlist unless
    `keep_in_watchlist`. Raises ValidationError (400) on `movie` for an unknown movie, AccountNotFound
    (401) if the member was deleted, Problem (409) if a quota is full.
    """
    # Under this lock no other viewing of the member is created.
    _lock_member_and_movie(user_id, movie_id)
    if watched_at is not None:
        watched_on = watched_on or watched_at.date()
    own = Viewing.objects.filter(user_id=user_id)
    same = own.filter(movie_id=movie_id).at(
        watched_on=watched_on, watched_at=watched_at, note=note or ""
    )
    viewing = same.with_movie().first()
    if note and (viewing is None or not viewing.note):
        check_quota("viewing_notes", own.exclude(note=""))
    created = viewing is None
    if viewing is None:
        check_quota("viewings", own)
        viewing = Viewing.objects.create(
            user_id=user_id,
            movie_id=movie_id,
            watched_on=watched_on,
            watched_at=watched_at,
            note=note or "",
        )
        viewing.movie = Movie.objects.summaries().get(id=movie_id)
    elif note is not None and note != viewing.note:
        viewing.note = note
        viewing.save(update_fields=["note"])
    if not keep_in_watchlist:
        WatchlistItem.objects.filter(user_id=user_id, movie_id=movie_id).delete()
    return viewing, created


@transaction.atomic
def viewing_remove(*, user_id: int, viewing_id: int) -> None:
    """Delete a viewing. Raises NotFound if it is not one of the member's."""
    deleted, _ = Viewing.objects.filter(user_id=user_id, id=viewing_id).delete()
    if not deleted:
        raise NotFound


def _lock_member_and_movie(user_id: int, movie_id: int) -> None:
    """Lock the member, and protect the movie from deletion, until the transaction ends."""
    user_lock(user_id=user_id)
    if not lock_existing(Movie, [movie_id]):
        raise field_error("movie", f"There is no movie with the id {movie_id}.", "does_not_exist")


def _make_removal_conflict() -> Problem:
    """Return the 409 for a row that existed when get_or_create inserted it and was deleted since."""
    return Problem(409, "conflict", "Another request is changing this entry. Try again.")
