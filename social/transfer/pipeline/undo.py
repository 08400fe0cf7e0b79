"""Last step of an import, on request: undo its writes, except those the member has changed since."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.utils import timezone
from rest_framework.exceptions import APIException

from accounts.models import User
from movies.services.ratings import RatingChange
from nexus.core.api.exceptions import NotFound
from social.models import Import, ImportRow, Playlist, PlaylistItem, Rating, Viewing, WatchlistItem
from social.services.figures import figures_apply
from social.services.follows import block_remove, follow_remove
from social.services.members import member_update
from social.services.playlists import playlist_delete, playlist_items_remove
from social.transfer.formats.dates import UNKNOWN_DAY
from social.transfer.formats.records import RecordKind
from social.transfer.pipeline.apply import (
    RATING_FIELDS,
    describes_viewing,
    get_movie_id,
    select_kinds,
    serialize_rating,
    serialize_viewing,
)
from social.transfer.pipeline.batch import lock_import, retry_on_conflict
from social.transfer.pipeline.comparisons import get_feedback_rows, get_viewings, to_datetime

BATCH_SIZE = 250

Outcome = ImportRow.Outcome


@retry_on_conflict
def undo_batch(import_id: int) -> Import:
    """Undo the last rows that are not undone yet, in the reverse order of writing them."""
    with lock_import(import_id, Import.Step.UNDO) as job:
        last = job.total - job.position
        batch = ImportRow.objects.filter(
            of_id=job.pk, number__lte=last, number__gt=last - BATCH_SIZE
        )
        written = list(batch.filter(undo__isnull=False).order_by("-number"))
        for row in written:
            row.outcome = Outcome.CHANGED_SINCE
        user_id = job.user_id
        _undo_members(user_id, select_kinds(written, RecordKind.FOLLOW, RecordKind.BLOCK))
        _undo_profile(user_id, select_kinds(written, RecordKind.PROFILE))
        _undo_playlist_items(user_id, select_kinds(written, RecordKind.PLAYLIST_ITEM))
        _undo_playlists(user_id, select_kinds(written, RecordKind.PLAYLIST))
        _undo_feedback(user_id, select_kinds(written, RecordKind.FEEDBACK))
        _undo_watchlist(user_id, select_kinds(written, RecordKind.WATCHLIST))
        viewings = [row for row in written if describes_viewing(row)]
        _undo_viewings(user_id, viewings)
        _undo_ratings(job.user, [row for row in written if _describes_rating(row)])
        for row in written:
            row.undo = None
        ImportRow.store_results(written)
        job.position += BATCH_SIZE
        if job.position >= job.total:
            job.finish(Import.State.UNDONE)
            job.undone_at = timezone.now()
    return job


def _describes_rating(row: ImportRow) -> bool:
    return row.kind in (RecordKind.RATING, RecordKind.REVIEW) and not describes_viewing(row)


def _get_undo(row: ImportRow) -> dict[str, Any]:
    undo: dict[str, Any] | None = row.undo
    assert undo is not None
    return undo


def _undo_ratings(user: User, rows: Sequence[ImportRow]) -> None:
    """Restore the former ratings, or delete new ones, if they still are as the import wrote them."""
    locked = Rating.objects.select_for_update().filter(
        user=user, movie_id__in={get_movie_id(row) for row in rows}
    )
    ratings = {rating.movie_id: rating for rating in locked.order_by("movie_id")}
    old_scores = {movie_id: rating.counted_score for movie_id, rating in ratings.items()}
    restored: dict[int, Rating] = {}
    deleted: dict[int, Rating] = {}
    for row in rows:
        movie_id, undo = get_movie_id(row), _get_undo(row)
        rating = ratings.get(movie_id)
        if rating is None or serialize_rating(rating) != undo["after"]:
            continue
        row.outcome = Outcome.UNDONE
        if undo["before"] is None:
            deleted[movie_id] = ratings.pop(movie_id)
            restored.pop(movie_id, None)
            continue
        before = dict(undo["before"])
        rating.set_score(before.pop("score"), is_member_counted=user.is_counted)
        for name, value in before.items():
            setattr(rating, name, to_datetime(value) if name.endswith("_at") else value)
        restored[movie_id] = rating
    Rating.objects.filter(id__in=[rating.pk for rating in deleted.values()]).delete()
    Rating.objects.bulk_update(restored.values(), [*RATING_FIELDS, "is_counted"], batch_size=125)
    new_scores = {movie_id: rating.counted_score for movie_id, rating in restored.items()}
    figures_apply(
        changes=[
            RatingChange(
                movie_id, old_scores[movie_id], new_scores.get(movie_id), rating.created_at
            )
            for movie_id, rating in {**deleted, **restored}.items()
            if old_scores[movie_id] != new_scores.get(movie_id)
        ]
    )


def _undo_viewings(user_id: int, rows: Sequence[ImportRow]) -> None:
    """Delete new viewings and restore notes, if the viewings still are as the import wrote them.

    Movies that the viewings took off the watchlist return to it.
    """
    viewings_by_movie = get_viewings(user_id, {get_movie_id(row) for row in rows})
    restored: dict[int, Viewing] = {}
    deleted_ids: list[int] = []
    watchlisted: list[WatchlistItem] = []
    for row in rows:
        movie_id, undo = get_movie_id(row), _get_undo(row)
        viewings = viewings_by_movie.get(movie_id, [])
        viewing = _find_written_viewing(viewings, undo["after"])
        if viewing is None:
            continue
        row.outcome = Outcome.UNDONE
        if undo.get("before") is None:
            viewings.remove(viewing)
            deleted_ids.append(viewing.pk)
            restored.pop(viewing.pk, None)
        else:
            viewing.note = undo["before"]["note"]
            restored[viewing.pk] = viewing
        if added_at := to_datetime(undo.get("watchlisted_at")):
            watchlisted.append(WatchlistItem(user_id=user_id, movie_id=movie_id, added_at=added_at))
    Viewing.objects.filter(id__in=deleted_ids).delete()
    Viewing.objects.bulk_update(restored.values(), ["note"], batch_size=125)
    WatchlistItem.objects.bulk_create(watchlisted, ignore_conflicts=True)


def _find_written_viewing(
    viewings: Sequence[Viewing], after: dict[str, Any] | str
) -> Viewing | None:
    """Return the viewing that is as a row has left it."""
    if isinstance(after, str):
        # The previous release has written it, at this moment; migration 0021 made days of midnights.
        moment = datetime.fromisoformat(after)
        times: list[tuple[date | None, datetime | None]] = [
            (moment.date(), moment),
            (moment.date(), None),
        ]
        if moment.date() == UNKNOWN_DAY:
            times.append((None, None))
        found = [each for each in viewings if (each.watched_on, each.watched_at) in times]
        return next(iter(found), None)
    written = (each for each in viewings if serialize_viewing(each) == after)
    return next(written, None)


def _undo_feedback(user_id: int, rows: Sequence[ImportRow]) -> None:
    for row in rows:
        own = get_feedback_rows(user_id).filter(movie_id=get_movie_id(row))
        deleted_count, _ = own.filter(kind=_get_undo(row)["after"]).delete()
        if deleted_count:
            row.outcome = Outcome.UNDONE


def _undo_watchlist(user_id: int, rows: Sequence[ImportRow]) -> None:
    items = WatchlistItem.objects.filter(
        user_id=user_id, movie_id__in={get_movie_id(row) for row in rows}
    )
    ids = {
        (movie_id, added_at): pk
        for pk, movie_id, added_at in items.values_list("id", "movie_id", "added_at")
    }
    WatchlistItem.objects.filter(id__in=_take_ids(rows, ids)).delete()


def _take_ids(rows: Sequence[ImportRow], ids: dict[tuple[int, datetime], int]) -> list[int]:
    """Return the ids of the objects that rows created, and mark these rows as undone.

    `ids` maps the movie and the date of an object to its id.
    """
    taken = []
    for row in rows:
        written_at = to_datetime(_get_undo(row)["after"])
        assert written_at is not None
        pk = ids.get((get_movie_id(row), written_at))
        if pk is not None:
            row.outcome = Outcome.UNDONE
            taken.append(pk)
    return taken


def _undo_playlist_items(user_id: int, rows: Sequence[ImportRow]) -> None:
    """Remove the items whose note is as the import wrote it."""
    rows_by_playlist: dict[UUID, list[ImportRow]] = {}
    for row in rows:
        if row.playlist_id is not None:
            rows_by_playlist.setdefault(row.playlist_id, []).append(row)
    for playlist_id in sorted(rows_by_playlist):
        playlist_rows = rows_by_playlist[playlist_id]
        notes = dict(
            PlaylistItem.objects.filter(
                playlist_id=playlist_id,
                playlist__owner_id=user_id,
                movie_id__in=[get_movie_id(row) for row in playlist_rows],
            ).values_list("movie_id", "note")
        )
        unchanged = [
            row for row in playlist_rows if notes.get(get_movie_id(row)) == _get_undo(row)["after"]
        ]
        if not unchanged:
            continue
        try:
            playlist_items_remove(
                playlist_id=playlist_id, movie_ids=[get_movie_id(row) for row in unchanged]
            )
        except NotFound:
            # The member has deleted the playlist.
            continue
        for row in unchanged:
            row.outcome = Outcome.UNDONE


def _undo_playlists(user_id: int, rows: Sequence[ImportRow]) -> None:
    """Delete the playlists that are empty now and still named and described as imported."""
    playlists = Playlist.objects.filter(owner_id=user_id).in_bulk(
        [row.playlist_id for row in rows if row.playlist_id is not None]
    )
    for row in rows:
        playlist = playlists.get(row.playlist_id) if row.playlist_id is not None else None
        if playlist is None:
            row.playlist_id = None
            continue
        current = [playlist.name, playlist.description, playlist.visibility]
        if playlist.movie_count == 0 and current == _get_undo(row)["after"]:
            playlist_delete(playlist_id=playlist.id)
            row.playlist_id, row.outcome = None, Outcome.UNDONE


def _undo_profile(user_id: int, rows: Sequence[ImportRow]) -> None:
    for row in rows:
        user = User.objects.select_for_update(no_key=True).get(pk=user_id)
        before, after = _get_undo(row)["before"], _get_undo(row)["after"]
        changes = {name: before[name] for name in before if getattr(user, name) == after[name]}
        try:
            member_update(user=user, changes=changes)
        except APIException:
            # The visibility has changed as often as it may in a day.
            continue
        if len(changes) == len(before):
            row.outcome = Outcome.UNDONE


def _undo_members(user_id: int, rows: Sequence[ImportRow]) -> None:
    for row in rows:
        member_id = _get_undo(row)["after"]
        if row.kind == RecordKind.FOLLOW:
            removed = follow_remove(follower_id=user_id, followed_id=member_id)
        else:
            removed = block_remove(blocker_id=user_id, blocked_id=member_id)
        if removed:
            row.outcome = Outcome.UNDONE
