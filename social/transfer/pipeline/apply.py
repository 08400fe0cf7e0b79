"""Fourth step of an import: write the matched rows to the account, and store how to undo them.

Ratings, viewings and watchlist items keep the dates of the file, so that years of history do not
appear as today's activity, and are written in bulk: the services of single writes would take six
queries a row. Playlists, follows and blocks go through their services. The step after it, on
request, is undo.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from rest_framework.exceptions import APIException

from accounts.models import User
from movies.models import Movie
from movies.services.ratings import RatingChange
from nexus.core.quotas import count_free_rows, make_quota_problem
from social.models import (
    Block,
    Follow,
    Import,
    ImportRow,
    Playlist,
    PlaylistItem,
    Rating,
    Viewing,
    WatchlistItem,
    members_visible_to,
)
from social.queries import lock_existing
from social.services.figures import figures_apply
from social.services.follows import block_set, follow_set
from social.services.members import member_update
from social.services.playlists import playlist_create, playlist_items_add
from social.services.ratings import get_hidden_at
from social.transfer.formats.records import MOVIE_KINDS, RecordKind
from social.transfer.pipeline.batch import lock_import, retry_on_conflict
from social.transfer.pipeline.comparisons import (
    FURTHER_REVIEW,
    ViewingTime,
    find_viewing,
    get_feedback,
    get_feedback_rows,
    get_playlist_ids,
    get_profile_changes,
    get_viewing_note,
    get_viewing_time,
    get_viewings,
    has_new_values,
    merge_notes,
    to_datetime,
)

BATCH_SIZE = 250

Outcome = ImportRow.Outcome
Verdict = ImportRow.Verdict
NO_PLAYLIST = "no_playlist"
NOTE_TOO_LONG = "note_too_long"
#: Codes of rows that were matched but not written.
REFUSALS = frozenset(
    {
        NO_PLAYLIST,
        NOTE_TOO_LONG,
        "following_too_many",
        "throttled",
        *(f"too_many_{name}" for name in settings.MEMBER_QUOTAS),
    }
)
#: The fields of a rating that an import sets and undoing restores.
RATING_FIELDS = (
    "score",
    "review",
    "contains_spoilers",
    "created_at",
    "updated_at",
    "reviewed_at",
)


@retry_on_conflict
def apply_batch(import_id: int) -> Import:
    """Write the next rows, each with its outcome.

    Rows of the member are locked first and movies last, as in the services of single writes.
    """
    with lock_import(import_id, Import.Step.APPLY) as job:
        rows = ImportRow.objects.filter(of_id=job.pk, number__gt=job.position)
        batch = list(rows.order_by("number")[:BATCH_SIZE])
        writable = _select_writable(batch)
        for row in writable:
            row.outcome, row.undo = Outcome.UNCHANGED, None
            if row.code in REFUSALS:
                # The import is applied again.
                row.code, row.reason = "", ""
        ratings = select_kinds(writable, RecordKind.RATING, RecordKind.REVIEW)
        _write_ratings(job, [row for row in ratings if row.code != FURTHER_REVIEW])
        _write_viewings(job, [row for row in writable if describes_viewing(row)])
        _write_watchlist(job, select_kinds(writable, RecordKind.WATCHLIST))
        _write_feedback(job, select_kinds(writable, RecordKind.FEEDBACK))
        _write_playlists(job, select_kinds(writable, RecordKind.PLAYLIST))
        _write_playlist_items(job, select_kinds(writable, RecordKind.PLAYLIST_ITEM))
        _write_profile(job, select_kinds(writable, RecordKind.PROFILE))
        _write_follows(job, select_kinds(writable, RecordKind.FOLLOW))
        _write_blocks(job, select_kinds(writable, RecordKind.BLOCK))
        ImportRow.store_results(writable)
        job.position += len(batch)
        if len(batch) < BATCH_SIZE:
            job.finish(Import.State.APPLIED)
    return job


def _select_writable(rows: Sequence[ImportRow]) -> list[ImportRow]:
    """Return the matched rows whose movie is still in the catalogue, and lock their movies."""
    # Rows that can be undone are written: the import is applied again after a new match.
    matched = [
        row
        for row in rows
        if row.verdict in (Verdict.MATCHED, Verdict.UNCHANGED) and row.undo is None
    ]
    movie_ids = {row.movie_id for row in matched if row.movie_id is not None}
    existing = lock_existing(Movie, sorted(movie_ids))
    return [row for row in matched if row.kind not in MOVIE_KINDS or row.movie_id in existing]


def select_kinds(rows: Sequence[ImportRow], *kinds: RecordKind) -> list[ImportRow]:
    return [row for row in rows if row.kind in kinds]


def describes_viewing(row: ImportRow) -> bool:
    return row.kind in (RecordKind.VIEWING, RecordKind.SEEN) or row.code == FURTHER_REVIEW


def _refuse(row: ImportRow, error: APIException) -> None:
    """Leave the account as it is, for the reason of a service or a quota."""
    row.outcome, row.code, row.reason = Outcome.KEPT, str(error.get_codes()), str(error.detail)


def get_movie_id(row: ImportRow) -> int:
    assert row.movie_id is not None
    return row.movie_id


# --- Ratings and reviews -------------------------------------------------------------------------


def _write_ratings(job: Import, rows: Sequence[ImportRow]) -> None:
    locked = Rating.objects.select_for_update().filter(
        user_id=job.user_id, movie_id__in={get_movie_id(row) for row in rows}
    )
    ratings = {rating.movie_id: rating for rating in locked.order_by("movie_id")}
    old_scores = {movie_id: rating.counted_score for movie_id, rating in ratings.items()}
    created: dict[int, Rating] = {}
    updated: dict[int, Rating] = {}
    free_ratings = count_free_rows("ratings", Rating.objects.filter(user_id=job.user_id))
    free_reviews = count_free_rows("reviews", Rating.objects.with_review_by(job.user_id))
    for row in rows:
        movie_id = get_movie_id(row)
        rating = ratings.get(movie_id)
        if rating is None and row.values.get("score") is None and not row.values.get("review"):
            continue
        adds_review = bool(row.values.get("review")) and (rating is None or not rating.review)
        if adds_review and not free_reviews:
            _refuse(row, make_quota_problem("reviews"))
            continue
        if rating is None and len(created) >= free_ratings:
            _refuse(row, make_quota_problem("ratings"))
            continue
        free_reviews -= adds_review
        if rating is None:
            rating = ratings[movie_id] = created[movie_id] = _make_rating(job, row)
            row.outcome = Outcome.CREATED
            row.undo = {"before": None, "after": serialize_rating(rating)}
            continue
        before = serialize_rating(rating)
        row.outcome = _merge_rating(job, rating, row)
        if row.outcome == Outcome.UPDATED:
            row.undo = {"before": before, "after": serialize_rating(rating)}
            if movie_id not in created:
                updated[movie_id] = rating
    for movie_id, hidden_at in get_hidden_at(job.user_id, created.keys()).items():
        created[movie_id].hidden_at = hidden_at
    # Not an upsert: a rating the member has created meanwhile must raise IntegrityError, so that
    # the batch is retried and sees it.
    Rating.objects.bulk_create(created.values())
    Rating.objects.bulk_update(updated.values(), [*RATING_FIELDS, "is_counted"], batch_size=125)
    figures_apply(
        changes=[
            RatingChange(
                movie_id, old_scores.get(movie_id), rating.counted_score, rating.created_at
            )
            for movie_id, rating in {**created, **updated}.items()
            if old_scores.get(movie_id) != rating.counted_score
        ]
    )


def _make_rating(job: Import, row: ImportRow) -> Rating:
    values = row.values
    rated_at = to_datetime(values.get("rated_at")) or timezone.now()
    rating = Rating(
        user_id=job.user_id,
        movie_id=get_movie_id(row),
        review=values.get("review") or "",
        contains_spoilers=bool(values.get("contains_spoilers")),
        created_at=rated_at,
        updated_at=to_datetime(values.get("updated_at")) or rated_at,
        reviewed_at=to_datetime(values.get("reviewed_at")),
    )
    rating.set_score(values.get("score"), is_member_counted=job.user.is_counted)
    rating.settle_reviewed_at()
    return rating


def _merge_rating(job: Import, rating: Rating, row: ImportRow) -> Outcome:
    """Add what the member's rating lacks. If both have a value, `on_conflict` decides which stays."""
    values = row.values
    if not has_new_values(row, rating):
        return Outcome.UNCHANGED
    dated_at = to_datetime(values.get("updated_at")) or to_datetime(values.get("rated_at"))
    row_wins = job.on_conflict == Import.OnConflict.REPLACE or (
        job.on_conflict == Import.OnConflict.NEWER
        and dated_at is not None
        and dated_at > rating.updated_at
    )
    before = (rating.score, rating.review, rating.contains_spoilers)
    if values.get("score") is not None and (row_wins or rating.score is None):
        rating.set_score(values["score"], is_member_counted=job.user.is_counted)
    review = values.get("review") or ""
    if review and (row_wins or not rating.review):
        rating.review = review
        rating.contains_spoilers = bool(values.get("contains_spoilers"))
    elif row_wins and values.get("contains_spoilers"):
        rating.contains_spoilers = True
    if (rating.score, rating.review, rating.contains_spoilers) == before:
        return Outcome.KEPT
    rating.updated_at = max(rating.updated_at, dated_at or timezone.now())
    rating.settle_reviewed_at()
    return Outcome.UPDATED


def serialize_rating(rating: Rating) -> dict[str, Any]:
    """Return RATING_FIELDS as JSON data, to restore them and to see whether they have changed."""
    return {
        name: value.isoformat() if isinstance(value := getattr(rating, name), datetime) else value
        for name in RATING_FIELDS
    }


# --- Viewings and the watchlist ------------------------------------------------------------------


def _write_viewings(job: Import, rows: Sequence[ImportRow]) -> None:
    movie_ids = {get_movie_id(row) for row in rows}
    viewings_by_movie = get_viewings(job.user_id, movie_ids)
    rated = set(
        Rating.objects.filter(user_id=job.user_id, movie_id__in=movie_ids).values_list(
            "movie_id", flat=True
        )
    )
    own = Viewing.objects.filter(user_id=job.user_id)
    created: list[Viewing] = []
    annotated: dict[int, Viewing] = {}
    free = count_free_rows("viewings", own)
    free_notes = count_free_rows("viewing_notes", own.exclude(note=""))
    for row in rows:
        movie_id = get_movie_id(row)
        viewings = viewings_by_movie.setdefault(movie_id, [])
        if row.kind == RecordKind.SEEN and (viewings or movie_id in rated):
            continue
        viewing = None if row.kind == RecordKind.SEEN else find_viewing(viewings, row)
        note = get_viewing_note(row)
        if note and (viewing is None or not viewing.note):
            if not free_notes:
                _refuse(row, make_quota_problem("viewing_notes"))
                continue
            free_notes -= 1
        if viewing is not None:
            _annotate_viewing(viewing, row)
            if row.outcome == Outcome.UPDATED and viewing.pk is not None:
                annotated[viewing.pk] = viewing
            continue
        if len(created) >= free:
            _refuse(row, make_quota_problem("viewings"))
            continue
        time = ViewingTime() if row.kind == RecordKind.SEEN else get_viewing_time(row.values)
        viewing = Viewing(user_id=job.user_id, movie_id=movie_id, note=note, **time._asdict())
        viewings.append(viewing)
        created.append(viewing)
        row.outcome = Outcome.CREATED
        row.undo = {"before": None, "after": serialize_viewing(viewing)}
    Viewing.objects.bulk_create(created, ignore_conflicts=True)
    Viewing.objects.bulk_update(annotated.values(), ["note"], batch_size=125)
    _take_off_watchlist(job, [row for row in rows if row.outcome == Outcome.CREATED])


def _annotate_viewing(viewing: Viewing, row: ImportRow) -> None:
    """Add the note of a row to a viewing that exists."""
    note = get_viewing_note(row)
    merged = merge_notes(viewing.note, note)
    if merged is None:
        row.outcome, row.code = Outcome.KEPT, NOTE_TOO_LONG
        row.reason = "The viewing has another note, and both together are too long."
    elif merged != viewing.note:
        before = serialize_viewing(viewing)
        viewing.note = merged
        row.outcome = Outcome.UPDATED
        row.undo = {"before": before, "after": serialize_viewing(viewing)}


def serialize_viewing(viewing: Viewing) -> dict[str, Any]:
    """Return the fields of a viewing as JSON data, to find it again and to restore it."""
    watched_on, watched_at = viewing.watched_on, viewing.watched_at
    return {
        "watched_on": watched_on and watched_on.isoformat(),
        "watched_at": watched_at and watched_at.isoformat(),
        "note": viewing.note,
    }


def _take_off_watchlist(job: Import, rows: Sequence[ImportRow]) -> None:
    """Take watched movies off the watchlist, except those that the file has on it."""
    row_by_movie = {get_movie_id(row): row for row in reversed(rows)}
    kept = ImportRow.objects.filter(
        of_id=job.pk, kind=RecordKind.WATCHLIST, movie_id__in=row_by_movie
    )
    items = WatchlistItem.objects.filter(
        user_id=job.user_id,
        movie_id__in=row_by_movie.keys() - set(kept.values_list("movie_id", flat=True)),
    )
    for item in items:
        row = row_by_movie[item.movie_id]
        row.undo = {**(row.undo or {}), "watchlisted_at": item.added_at.isoformat()}
    items.delete()


def _write_watchlist(job: Import, rows: Sequence[ImportRow]) -> None:
    """Add movies to the watchlist, rated ones too: the file has them in both places."""
    listed = set(
        WatchlistItem.objects.filter(
            user_id=job.user_id, movie_id__in={get_movie_id(row) for row in rows}
        ).values_list("movie_id", flat=True)
    )
    created: list[WatchlistItem] = []
    free = count_free_rows("watchlist_items", WatchlistItem.objects.filter(user_id=job.user_id))
    for row in rows:
        movie_id = get_movie_id(row)
        if movie_id in listed:
            continue
        if len(created) >= free:
            _refuse(row, make_quota_problem("watchlist_items"))
            continue
        listed.add(movie_id)
        added_at = to_datetime(row.values.get("added_at")) or timezone.now()
        created.append(WatchlistItem(user_id=job.user_id, movie_id=movie_id, added_at=added_at))
        row.outcome, row.undo = Outcome.CREATED, {"after": added_at.isoformat()}
    WatchlistItem.objects.bulk_create(created, ignore_conflicts=True)


def _write_feedback(job: Import, rows: Sequence[ImportRow]) -> None:
    """Add feedback on recommendations. The member's own on the same movie stays."""
    feedback = get_feedback_rows(job.user_id)
    existing = get_feedback(job.user_id, {get_movie_id(row) for row in rows})
    created = []
    for row in rows:
        movie_id, kind = get_movie_id(row), row.values["feedback"]
        if movie_id in existing:
            row.outcome = Outcome.UNCHANGED if existing[movie_id] == kind else Outcome.KEPT
            continue
        existing[movie_id] = kind
        created_at = to_datetime(row.values.get("created_at")) or timezone.now()
        created.append(
            feedback.model(
                user_id=job.user_id,
                movie_id=movie_id,
                kind=kind,
                created_at=created_at,
                updated_at=to_datetime(row.values.get("updated_at")) or created_at,
            )
        )
        row.outcome, row.undo = Outcome.CREATED, {"after": kind}
    feedback.bulk_create(created, ignore_conflicts=True)


# --- Playlists -----------------------------------------------------------------------------------


def _write_playlists(job: Import, rows: Sequence[ImportRow]) -> None:
    """Create the playlists the member does not have, private unless the file has a visibility."""
    if not rows:
        return
    owner = User.objects.get(pk=job.user_id)
    existing = set(
        Playlist.objects.filter(
            owner=owner, id__in=[row.playlist_id for row in rows if row.playlist_id]
        ).values_list("id", flat=True)
    )
    for row in rows:
        if row.playlist_id not in existing:
            try:
                playlist = _create_playlist(owner, row.values)
            except APIException as error:
                _refuse(row, error)
                row.playlist_id = None
                continue
            row.playlist_id, row.outcome = playlist.id, Outcome.CREATED
            row.undo = {"after": [playlist.name, playlist.description, playlist.visibility]}
    # The rows of their items find the playlists through these rows.
    ImportRow.store_results(rows)


def _create_playlist(owner: User, values: dict[str, Any]) -> Playlist:
    playlist = playlist_create(
        owner=owner,
        name=values["name"],
        description=values.get("description") or "",
        visibility=values.get("visibility") or Playlist.Visibility.PRIVATE,
    )
    created_at = to_datetime(values.get("created_at"))
    dates = {"created_at": created_at or timezone.now()}
    if published_at := to_datetime(values.get("published_at")):
        dates["published_at"] = published_at
    elif playlist.published_at is not None and created_at is not None:
        dates["published_at"] = created_at
    Playlist.objects.filter(id=playlist.id).update(**dates)
    return playlist


def _write_playlist_items(job: Import, rows: Sequence[ImportRow]) -> None:
    if not rows:
        return
    playlist_ids = get_playlist_ids(job.pk)
    rows_by_playlist: dict[UUID, list[ImportRow]] = {}
    for row in rows:
        row.playlist_id = playlist_ids.get(row.values["list"])
        if row.playlist_id is not None:
            rows_by_playlist.setdefault(row.playlist_id, []).append(row)
        else:
            row.outcome = Outcome.KEPT
            row.code, row.reason = NO_PLAYLIST, "The playlist of this row was not created."
    own = Playlist.objects.filter(owner_id=job.user_id, id__in=rows_by_playlist)
    for playlist_id in own.order_by("id").values_list("id", flat=True):
        _add_items(playlist_id, rows_by_playlist[playlist_id])


def _add_items(playlist_id: UUID, rows: Sequence[ImportRow]) -> None:
    # Of several rows for a movie the first counts.
    row_by_movie = {get_movie_id(row): row for row in reversed(rows)}
    movie_ids = [get_movie_id(row) for row in rows]
    try:
        added = playlist_items_add(playlist_id=playlist_id, movie_ids=movie_ids).added
    except APIException as error:
        for row in rows:
            _refuse(row, error)
        return
    items = list(PlaylistItem.objects.filter(playlist_id=playlist_id, movie_id__in=added))
    for item in items:
        row = row_by_movie[item.movie_id]
        item.note = row.values.get("note") or ""
        item.added_at = to_datetime(row.values.get("added_at")) or timezone.now()
        row.outcome, row.undo = Outcome.CREATED, {"after": item.note}
    PlaylistItem.objects.bulk_update(items, ["note", "added_at"])


# --- The profile, follows and blocks -------------------------------------------------------------


def _write_profile(job: Import, rows: Sequence[ImportRow]) -> None:
    """Set the profile fields still at their default; with `replace` all of them."""
    replace = job.on_conflict == Import.OnConflict.REPLACE
    for row in rows:
        user = User.objects.select_for_update(no_key=True).get(pk=job.user_id)
        changes = get_profile_changes(user, row.values, replace=replace)
        if changes:
            before = {name: getattr(user, name) for name in changes}
            try:
                member_update(user=user, changes=changes)
            except APIException as error:
                # The visibility has changed as often as it may in a day.
                _refuse(row, error)
                continue
            row.outcome, row.undo = Outcome.UPDATED, {"before": before, "after": changes}
        elif get_profile_changes(user, row.values, replace=True):
            row.outcome = Outcome.KEPT


def _write_follows(job: Import, rows: Sequence[ImportRow]) -> None:
    for row in rows:
        followed_id = _find_member_id(job, row)
        if followed_id is None:
            continue
        follows = Follow.objects.filter(follower_id=job.user_id, followed_id=followed_id)
        if follows.exists():
            continue
        try:
            follow_set(follower_id=job.user_id, followed_id=followed_id)
        except APIException as error:
            _refuse(row, error)
            continue
        if since := to_datetime(row.values.get("since")):
            follows.update(created_at=since)
        row.outcome, row.undo = Outcome.CREATED, {"after": followed_id}


def _write_blocks(job: Import, rows: Sequence[ImportRow]) -> None:
    for row in rows:
        blocked_id = _find_member_id(job, row)
        if blocked_id is None:
            continue
        blocks = Block.objects.filter(blocker_id=job.user_id, blocked_id=blocked_id)
        if blocks.exists():
            continue
        try:
            block_set(blocker_id=job.user_id, blocked_id=blocked_id)
        except APIException as error:
            _refuse(row, error)
            continue
        if since := to_datetime(row.values.get("since")):
            blocks.update(created_at=since)
        row.outcome, row.undo = Outcome.CREATED, {"after": blocked_id}


def _find_member_id(job: Import, row: ImportRow) -> int | None:
    members = members_visible_to(job.user_id).exclude(pk=job.user_id)
    named = members.filter(username__iexact=row.values["username"])
    return named.values_list("pk", flat=True).first()
