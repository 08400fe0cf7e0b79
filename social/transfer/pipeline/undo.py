"""Taking back what an import wrote, last row first, and nothing that the member changed since."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.utils import timezone

from accounts.models import User
from accounts.services import profile_update
from movies.services.ratings import RatingChange, movies_apply_ratings
from nexus.core.api.exceptions import NotFound
from social.models import Import, ImportRow, Playlist, PlaylistItem, Rating, Viewing, WatchlistItem
from social.services.follows import block_remove, follow_remove
from social.services.playlists import playlist_delete, playlist_items_remove
from social.transfer.formats.records import Kind
from social.transfer.pipeline.apply import RATING_FIELDS, rating_state
from social.transfer.pipeline.storage import rows_store
from social.transfer.pipeline.validation import moment

ROWS_AT_ONCE = 250

Outcome = ImportRow.Outcome


def undo_piece(job: Import) -> None:
    """Take back the next rows; `position` counts them from the end."""
    last = job.total - job.position
    rows = list(
        ImportRow.objects.filter(
            of_id=job.pk, number__lte=last, number__gt=last - ROWS_AT_ONCE
        ).order_by("-number")
    )
    written = [row for row in rows if row.undo is not None]
    for row in written:
        row.outcome = Outcome.CHANGED_SINCE
    by_kind: dict[str, list[ImportRow]] = {}
    for row in written:
        by_kind.setdefault(row.kind, []).append(row)
    user_id = job.user_id
    _members([*by_kind.get(Kind.FOLLOW, []), *by_kind.get(Kind.BLOCK, [])], user_id)
    _profile(by_kind.get(Kind.PROFILE, []), user_id)
    _playlist_items(by_kind.get(Kind.PLAYLIST_ITEM, []), user_id)
    _playlists(by_kind.get(Kind.PLAYLIST, []), user_id)
    _moments(WatchlistItem, "added_at", by_kind.get(Kind.WATCHLIST, []), user_id)
    seen = [*by_kind.get(Kind.VIEWING, []), *by_kind.get(Kind.SEEN, [])]
    _moments(Viewing, "watched_at", seen, user_id)
    _ratings([row for row in written if row.kind in (Kind.RATING, Kind.REVIEW)], user_id)
    for row in written:
        row.undo = None
    rows_store(written)
    job.position += ROWS_AT_ONCE
    if job.position >= job.total:
        job.state, job.step, job.position = Import.State.UNDONE, Import.Step.NONE, job.total
        job.undone_at = timezone.now()


def _ratings(rows: Sequence[ImportRow], user_id: int) -> None:
    """Put back what stood before, where what stands now is what the import wrote."""
    if not rows:
        return
    theirs = Rating.objects.select_for_update().filter(
        user_id=user_id, movie_id__any={row.movie_id for row in rows}
    )
    ratings = {each.movie_id: each for each in theirs.order_by("movie_id")}
    scores = {movie_id: each.score for movie_id, each in ratings.items()}
    changed: dict[int, Rating] = {}
    gone: dict[int, Rating] = {}
    for row in rows:
        assert row.movie_id is not None
        assert row.undo is not None
        rating = ratings.get(row.movie_id)
        if rating is None or rating_state(rating) != row.undo["after"]:
            continue
        row.outcome = Outcome.UNDONE
        before = row.undo["before"]
        if before is None:
            del ratings[row.movie_id]
            changed.pop(row.movie_id, None)
            gone[row.movie_id] = rating
            continue
        for name, value in before.items():
            setattr(rating, name, moment(value) if name.endswith("_at") else value)
        changed[row.movie_id] = rating
    Rating.objects.filter(id__in=[rating.pk for rating in gone.values()]).delete()
    Rating.objects.bulk_update(changed.values(), RATING_FIELDS, batch_size=125)
    movies_apply_ratings(
        changes=[
            *(RatingChange(movie_id, scores[movie_id], None) for movie_id in gone),
            *(
                RatingChange(movie_id, scores[movie_id], rating.score)
                for movie_id, rating in changed.items()
                if rating.score != scores[movie_id]
            ),
        ]
    )


def _moments(
    model: type[Viewing | WatchlistItem], column: str, rows: Sequence[ImportRow], user_id: int
) -> None:
    """Remove what was made with a moment, where it has that moment still."""
    wanted = {}
    for row in rows:
        assert row.undo is not None
        wanted[(row.movie_id, moment(row.undo["after"]))] = row
    if not wanted:
        return
    theirs = model._default_manager.filter(
        user_id=user_id, movie_id__any={row.movie_id for row in rows}
    )
    found = {
        (movie_id, at): pk for pk, movie_id, at in theirs.values_list("id", "movie_id", column)
    }
    for key, row in wanted.items():
        if key in found:
            row.outcome = Outcome.UNDONE
    model._default_manager.filter(id__in=[found[key] for key in wanted if key in found]).delete()


def _playlist_items(rows: Sequence[ImportRow], user_id: int) -> None:
    by_list: dict[UUID, list[ImportRow]] = {}
    for row in rows:
        if row.playlist_id is not None:
            by_list.setdefault(row.playlist_id, []).append(row)
    for playlist_id in sorted(by_list):
        notes = dict(
            PlaylistItem.objects.filter(
                playlist_id=playlist_id,
                playlist__owner_id=user_id,
                movie_id__in=[row.movie_id for row in by_list[playlist_id]],
            ).values_list("movie_id", "note")
        )
        as_written = [
            row
            for row in by_list[playlist_id]
            if row.undo is not None and notes.get(row.movie_id or 0) == row.undo["after"]
        ]
        if not as_written:
            continue
        try:
            playlist_items_remove(
                playlist_id=playlist_id,
                movie_ids=[row.movie_id for row in as_written if row.movie_id is not None],
            )
        except NotFound:
            continue
        for row in as_written:
            row.outcome = Outcome.UNDONE


def _playlists(rows: Sequence[ImportRow], user_id: int) -> None:
    """Lists that the import made go again, once they are empty and named as it named them."""
    for row in rows:
        assert row.undo is not None
        playlist = None
        if row.playlist_id is not None:
            playlist = Playlist.objects.filter(id=row.playlist_id, owner_id=user_id).first()
        if playlist is None:
            row.playlist_id = None
            continue
        now = [playlist.name, playlist.description, playlist.visibility]
        if playlist.movie_count == 0 and now == row.undo["after"]:
            playlist_delete(playlist_id=playlist.id)
            row.playlist_id, row.outcome = None, Outcome.UNDONE


def _profile(rows: Sequence[ImportRow], user_id: int) -> None:
    for row in rows:
        user = User.objects.select_for_update(no_key=True).get(pk=user_id)
        assert row.undo is not None
        before, after = row.undo["before"], row.undo["after"]
        changes = {name: before[name] for name in before if getattr(user, name) == after[name]}
        if changes:
            profile_update(user=user, changes=changes)
        if len(changes) == len(before):
            row.outcome = Outcome.UNDONE


def _members(rows: Sequence[ImportRow], user_id: int) -> None:
    for row in rows:
        assert row.undo is not None
        other = row.undo["after"]
        if row.kind == Kind.FOLLOW:
            removed = follow_remove(follower_id=user_id, followed_id=other)
        else:
            removed = block_remove(blocker_id=user_id, blocked_id=other)
        if removed:
            row.outcome = Outcome.UNDONE
