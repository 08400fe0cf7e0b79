"""Comparisons of an import's rows with the member's data, for validating and for applying them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import QuerySet

from accounts.models import User
from social.models import MAX_REVIEW_LENGTH, ImportRow, Rating, Viewing
from social.transfer.formats.records import RecordKind

#: The code of a review of a movie of which the file has another review: it is its viewing's note.
FURTHER_REVIEW = "further_review"
#: The profile fields an import can set, with the values of a new account.
PROFILE_DEFAULTS = {
    "display_name": "",
    "bio": "",
    "avatar_url": "",
    "favorite_genres": [],
    "language": "",
    "region": "",
    "providers": [],
    "visibility": "public",
}


class ViewingTime(NamedTuple):
    """When a member watched a movie, as far as it is known."""

    watched_on: date | None = None
    watched_at: datetime | None = None


def get_viewing_time(values: Mapping[str, Any]) -> ViewingTime:
    """Return the time of a row or of its undo data."""
    moment = to_datetime(values.get("watched_at"))
    day = values.get("watched_on")
    if values.get("day_only") and moment is not None:
        # The previous release has read the row.
        return ViewingTime(moment.date())
    if day is None:
        return ViewingTime(moment and moment.date(), moment)
    return ViewingTime(date.fromisoformat(day), moment)


def get_viewings(user_id: int, movie_ids: Iterable[int]) -> dict[int, list[Viewing]]:
    """Return a member's viewings of these movies, by movie, in the order they were recorded."""
    viewings: dict[int, list[Viewing]] = {}
    own = Viewing.objects.filter(user_id=user_id, movie_id__in=movie_ids)
    for viewing in own.order_by("id"):
        viewings.setdefault(viewing.movie_id, []).append(viewing)
    return viewings


def find_viewing(viewings: Iterable[Viewing], row: ImportRow) -> Viewing | None:
    """Return that of the viewings which a row describes.

    A row of a day is any viewing of the day, unless its file has times and the row none. Viewings on
    unknown days are the same if their notes are.
    """
    time, note = get_viewing_time(row.values), get_viewing_note(row)
    has_no_moment = "watched_at" in row.values
    for viewing in viewings:
        if time.watched_at is not None:
            is_same = viewing.watched_at == time.watched_at
        elif time.watched_on is not None:
            is_same = viewing.watched_on == time.watched_on and not (
                has_no_moment and viewing.watched_at is not None
            )
        else:
            is_same = viewing.watched_on is None and viewing.note == note
        if is_same:
            return viewing
    return None


def get_viewing_note(row: ImportRow) -> str:
    """Return the note of a viewing; for a further review of a movie, its text."""
    name = "review" if row.code == FURTHER_REVIEW else "viewing_note"
    return row.values.get(name) or ""


def merge_notes(note: str, added: str) -> str | None:
    """Return the note with this text appended, as it is if it contains it, None if it gets too long."""
    if added in note:
        return note
    merged = f"{note}\n\n{added}" if note else added
    return merged if len(merged) <= MAX_REVIEW_LENGTH else None


def has_new_values(row: ImportRow, rating: Rating) -> bool:
    """Return whether a row has a value that the member's rating does not have."""
    values = row.values
    return (
        values.get("score") not in (None, rating.score)
        or values.get("review") not in (None, "", rating.review)
        or (bool(values.get("contains_spoilers")) and not rating.contains_spoilers)
    )


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
