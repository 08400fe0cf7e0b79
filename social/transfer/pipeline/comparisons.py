"""Comparisons of an import's rows with the member's data, for validating and for applying them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from accounts.models import User
from social.models import ImportRow, Rating, Viewing
from social.transfer.formats.records import RecordKind

#: The profile fields an import can set, with the values of a new account.
PROFILE_DEFAULTS = {
    "display_name": "",
    "bio": "",
    "avatar_url": "",
    "favorite_genres": [],
    "visibility": "public",
}


def get_viewing_times(user_id: int, movie_ids: Iterable[int]) -> dict[int, set[datetime]]:
    """Return the times at which a member watched each of these movies."""
    times: dict[int, set[datetime]] = {}
    viewings = Viewing.objects.filter(user_id=user_id, movie_id__in=movie_ids)
    for movie_id, watched_at in viewings.values_list("movie_id", "watched_at"):
        times.setdefault(movie_id, set()).add(watched_at)
    return times


def has_new_values(row: ImportRow, rating: Rating) -> bool:
    """Return whether a row has a value that the member's rating does not have."""
    values = row.values
    return (
        values.get("score") not in (None, rating.score)
        or values.get("review") not in (None, "", rating.review)
        or (bool(values.get("contains_spoilers")) and not rating.contains_spoilers)
    )


def is_viewing_in(times: set[datetime], row: ImportRow) -> bool:
    """Return whether a viewing is among these times: on its day if it has no time."""
    watched_at = to_datetime(row.values.get("watched_at"))
    if watched_at is None:
        return bool(times)
    if row.values.get("day_only"):
        return any(watched_at <= time < watched_at + timedelta(days=1) for time in times)
    return watched_at in times


def to_datetime(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def get_feedback(user_id: int, movie_ids: Collection[int]) -> dict[int, str]:
    """Return the member's feedback on these movies."""
    feedback = get_feedback_rows(user_id).filter(movie_id__in=movie_ids)
    return dict(feedback.values_list("movie_id", "kind"))


def get_feedback_rows(user_id: int) -> QuerySet[Any]:
    """Return the member's feedback on recommendations, a model of a higher layer."""
    return User(pk=user_id).feedback.all()


def get_profile_changes(
    user: User, values: dict[str, object], *, replace: bool
) -> dict[str, object]:
    """Return the fields a row would set: all that differ, or only those still at their default."""
    return {
        name: values[name]
        for name, default in PROFILE_DEFAULTS.items()
        if values.get(name) not in (None, getattr(user, name))
        and (replace or getattr(user, name) == default)
    }


def get_playlist_ids(import_id: int) -> dict[str, UUID]:
    """Return the playlists that an import's playlist rows stand for, by their key in the file."""
    rows = ImportRow.objects.filter(of_id=import_id, kind=RecordKind.PLAYLIST)
    return dict(rows.exclude(playlist_id=None).values_list("values__list", "playlist_id"))
