"""Writing an import's rows, a piece at a time, each with what it needs to be taken back.

Ratings, viewings and watchlist items keep the moments of the file, so that a history of years does
not come up as today's news, and they are written in bulk: through the services of single writes a
thousand ratings cost six thousand queries. Playlists, follows and blocks go through their services.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone
from rest_framework.exceptions import APIException

from accounts.models import User
from accounts.services import profile_update
from movies.models import Movie
from movies.services.ratings import RatingChange, movies_apply_ratings
from social.models import (
    Block,
    Follow,
    Import,
    ImportRow,
    Playlist,
    Rating,
    Viewing,
    WatchlistItem,
    members_visible_to,
)
from social.queries import lock_existing
from social.services.follows import block_set, follow_set
from social.services.playlists import playlist_create, playlist_items_add
from social.transfer.formats.records import OF_A_FILM, Kind
from social.transfer.pipeline.storage import rows_store
from social.transfer.pipeline.validation import (
    differs,
    is_seen_at,
    lists_of,
    moment,
    profile_changes,
)

ROWS_AT_ONCE = 250

Outcome = ImportRow.Outcome
Verdict = ImportRow.Verdict
RATING_FIELDS = (
    "score",
    "review",
    "contains_spoilers",
    "created_at",
    "updated_at",
    "reviewed_at",
)


def apply_piece(job: Import) -> None:
    """Write the next rows that are matched."""
    left = ImportRow.objects.filter(of_id=job.pk, number__gt=job.position).order_by("number")
    rows = list(left[:ROWS_AT_ONCE])
    wanted = [row for row in rows if row.verdict in (Verdict.MATCHED, Verdict.UNCHANGED)]
    movies = {row.movie_id for row in wanted if row.movie_id is not None}
    known = lock_existing(Movie, sorted(movies))
    writer = _Writer(job)
    by_kind: dict[str, list[ImportRow]] = {}
    for row in wanted:
        # Since the dry run a film may have left the catalogue.
        if row.kind not in OF_A_FILM or row.movie_id in known:
            row.outcome, row.undo = Outcome.UNCHANGED, None
            by_kind.setdefault(row.kind, []).append(row)
    writer.ratings([*by_kind.get(Kind.RATING, []), *by_kind.get(Kind.REVIEW, [])])
    writer.viewings([*by_kind.get(Kind.VIEWING, []), *by_kind.get(Kind.SEEN, [])])
    writer.watchlist(by_kind.get(Kind.WATCHLIST, []))
    writer.playlists(by_kind.get(Kind.PLAYLIST, []))
    writer.playlist_items(by_kind.get(Kind.PLAYLIST_ITEM, []))
    writer.profile(by_kind.get(Kind.PROFILE, []))
    writer.members([*by_kind.get(Kind.FOLLOW, []), *by_kind.get(Kind.BLOCK, [])])
    rows_store(wanted)
    job.position += len(rows)
    if job.position >= job.total or not rows:
        job.state, job.step, job.position = Import.State.APPLIED, Import.Step.NONE, job.total


class _Writer:
    """The writes of one piece, in the order locks are taken: the member's own things, then films."""

    def __init__(self, job: Import) -> None:
        self.job = job
        self.user_id = job.user_id
        self.now = timezone.now()

    # --- Ratings and reviews ---------------------------------------------------------------------

    def ratings(self, rows: Sequence[ImportRow]) -> None:
        if not rows:
            return
        theirs = Rating.objects.select_for_update().filter(
            user_id=self.user_id, movie_id__any={row.movie_id for row in rows}
        )
        held_ratings = {each.movie_id: each for each in theirs.order_by("movie_id")}
        scores = {movie_id: each.score for movie_id, each in held_ratings.items()}
        made: dict[int, Rating] = {}
        changed: dict[int, Rating] = {}
        for row in sorted(rows, key=lambda each: each.number):
            assert row.movie_id is not None
            rating = held_ratings.get(row.movie_id)
            if rating is None:
                rating = self._new_rating(row)
                if rating is None:
                    continue
                held_ratings[row.movie_id] = made[row.movie_id] = rating
                row.outcome = Outcome.CREATED
                row.undo = {"before": None, "after": rating_state(rating)}
                continue
            before = rating_state(rating)
            row.outcome = self._merge(rating, row)
            if row.outcome == Outcome.UPDATED:
                row.undo = {"before": before, "after": rating_state(rating)}
                if row.movie_id not in made:
                    changed[row.movie_id] = rating
        Rating.objects.bulk_create(made.values(), batch_size=500)
        Rating.objects.bulk_update(changed.values(), RATING_FIELDS, batch_size=125)
        movies_apply_ratings(
            changes=[
                RatingChange(movie_id, scores.get(movie_id), rating.score, rating.created_at)
                for movie_id, rating in {**made, **changed}.items()
                if scores.get(movie_id) != rating.score
            ]
        )

    def _new_rating(self, row: ImportRow) -> Rating | None:
        values = row.values
        assert row.movie_id is not None
        if values.get("score") is None:
            return None
        at = moment(values.get("rated_at")) or self.now
        return Rating(
            user_id=self.user_id,
            movie_id=row.movie_id,
            score=values["score"],
            review=values.get("review") or "",
            contains_spoilers=bool(values.get("contains_spoilers")),
            created_at=at,
            updated_at=moment(values.get("updated_at")) or at,
            reviewed_at=moment(values.get("reviewed_at")),
        )

    def _merge(self, rating: Rating, row: ImportRow) -> Outcome:
        """Fill in what the member has not said; what they said stays or goes by `on_conflict`."""
        values = row.values
        if not differs(rating, row):
            return Outcome.UNCHANGED
        at = moment(values.get("updated_at")) or moment(values.get("rated_at"))
        wins = self.job.on_conflict == Import.OnConflict.REPLACE or (
            self.job.on_conflict == Import.OnConflict.NEWER
            and at is not None
            and at > rating.updated_at
        )
        before = (rating.score, rating.review, rating.contains_spoilers)
        if wins and values.get("score") is not None:
            rating.score = values["score"]
        review = values.get("review") or ""
        if review and (wins or not rating.review):
            rating.review = review
            rating.contains_spoilers = bool(values.get("contains_spoilers"))
        elif wins and values.get("contains_spoilers"):
            rating.contains_spoilers = True
        if (rating.score, rating.review, rating.contains_spoilers) == before:
            return Outcome.KEPT
        rating.updated_at = max(rating.updated_at, at or self.now)
        return Outcome.UPDATED

    # --- Viewings and the watchlist --------------------------------------------------------------

    def viewings(self, rows: Sequence[ImportRow]) -> None:
        if not rows:
            return
        of_movies = {
            "user_id": self.user_id,
            "movie_id__any": {row.movie_id for row in rows},
        }
        seen: dict[int, set[datetime]] = {}
        for movie_id, at in Viewing.objects.filter(**of_movies).values_list(
            "movie_id", "watched_at"
        ):
            seen.setdefault(movie_id, set()).add(at)
        rated = set(Rating.objects.filter(**of_movies).values_list("movie_id", flat=True))
        made = []
        for row in sorted(rows, key=lambda each: each.number):
            assert row.movie_id is not None
            theirs = seen.setdefault(row.movie_id, set())
            if row.kind == Kind.SEEN and (theirs or row.movie_id in rated):
                continue
            if row.kind == Kind.VIEWING and is_seen_at(theirs, row):
                continue
            at = moment(row.values.get("watched_at")) or self.job.created_at
            theirs.add(at)
            made.append(Viewing(user_id=self.user_id, movie_id=row.movie_id, watched_at=at))
            row.outcome, row.undo = Outcome.CREATED, {"after": at.isoformat()}
        Viewing.objects.bulk_create(made, ignore_conflicts=True, batch_size=500)

    def watchlist(self, rows: Sequence[ImportRow]) -> None:
        """Films stay on it though they are rated: the file had both."""
        if not rows:
            return
        listed = set(
            WatchlistItem.objects.filter(
                user_id=self.user_id, movie_id__any={row.movie_id for row in rows}
            ).values_list("movie_id", flat=True)
        )
        made = []
        for row in rows:
            assert row.movie_id is not None
            if row.movie_id in listed:
                continue
            listed.add(row.movie_id)
            at = moment(row.values.get("added_at")) or self.now
            made.append(WatchlistItem(user_id=self.user_id, movie_id=row.movie_id, added_at=at))
            row.outcome, row.undo = Outcome.CREATED, {"after": at.isoformat()}
        WatchlistItem.objects.bulk_create(made, ignore_conflicts=True, batch_size=500)

    # --- Playlists -------------------------------------------------------------------------------

    def playlists(self, rows: Sequence[ImportRow]) -> None:
        """A list of the same name is added to; a new one is private where the file does not say."""
        if not rows:
            return
        owner = User.objects.get(pk=self.user_id)
        theirs = set(
            Playlist.objects.filter(
                owner=owner, id__in=[row.playlist_id for row in rows if row.playlist_id]
            ).values_list("id", flat=True)
        )
        for row in rows:
            if row.playlist_id in theirs:
                continue
            values = row.values
            playlist = playlist_create(
                owner=owner,
                name=values["name"],
                description=values.get("description") or "",
                visibility=values.get("visibility") or Playlist.Visibility.PRIVATE,
            )
            created = moment(values.get("created_at"))
            moments = {"created_at": created or self.now}
            if published := moment(values.get("published_at")):
                moments["published_at"] = published
            elif playlist.published_at is not None and created is not None:
                moments["published_at"] = created
            Playlist.objects.filter(id=playlist.id).update(**moments)
            row.playlist_id, row.outcome = playlist.id, Outcome.CREATED
            row.undo = {
                "after": [playlist.name, playlist.description, playlist.visibility],
            }
        # Their items look for them there.
        rows_store(rows)

    def playlist_items(self, rows: Sequence[ImportRow]) -> None:
        if not rows:
            return
        lists = lists_of(self.job.pk)
        by_list: dict[UUID, list[ImportRow]] = {}
        for row in rows:
            row.playlist_id = lists.get(row.values["list"])
            if row.playlist_id is not None:
                by_list.setdefault(row.playlist_id, []).append(row)
        theirs = set(
            Playlist.objects.filter(owner_id=self.user_id, id__in=by_list).values_list(
                "id", flat=True
            )
        )
        for playlist_id in sorted(theirs):
            self._items(playlist_id, by_list[playlist_id])

    def _items(self, playlist_id: UUID, rows: Sequence[ImportRow]) -> None:
        by_movie = {row.movie_id: row for row in reversed(rows) if row.movie_id is not None}
        wanted = [row.movie_id for row in rows if row.movie_id is not None]
        try:
            added = playlist_items_add(playlist_id=playlist_id, movie_ids=wanted).added
        except APIException:
            # The list is full.
            for row in rows:
                row.outcome = Outcome.KEPT
            return
        notes, moments = [], []
        for movie_id in added:
            row = by_movie[movie_id]
            at = moment(row.values.get("added_at")) or self.now
            notes.append(row.values.get("note") or "")
            moments.append(at)
            row.outcome, row.undo = Outcome.CREATED, {"after": notes[-1]}
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE social_playlistitem AS item SET note = told.note, added_at = told.at"
                " FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[])"
                " AS told (movie_id, note, at)"
                " WHERE item.playlist_id = %s AND item.movie_id = told.movie_id",
                [added, notes, moments, playlist_id],
            )

    # --- The profile, and members ----------------------------------------------------------------

    def profile(self, rows: Sequence[ImportRow]) -> None:
        """Fields that are as they were made are filled; others stay, unless `replace` is asked."""
        for row in rows:
            user = User.objects.select_for_update(no_key=True).get(pk=self.user_id)
            replace = self.job.on_conflict == Import.OnConflict.REPLACE
            changes = profile_changes(user, row.values, replace=replace)
            if not changes:
                if profile_changes(user, row.values, replace=True):
                    row.outcome = Outcome.KEPT
                continue
            before = {name: getattr(user, name) for name in changes}
            profile_update(user=user, changes=changes)
            row.outcome, row.undo = Outcome.UPDATED, {"before": before, "after": changes}

    def members(self, rows: Sequence[ImportRow]) -> None:
        for row in rows:
            name = row.values["username"]
            other = (
                members_visible_to(self.user_id)
                .filter(username__iexact=name)
                .exclude(pk=self.user_id)
                .first()
            )
            if other is None:
                continue
            model, column = (Follow, "follower") if row.kind == Kind.FOLLOW else (Block, "blocker")
            pair = {f"{column}_id": self.user_id, _OTHER[column]: other.pk}
            if model._default_manager.filter(**pair).exists():
                continue
            try:
                with transaction.atomic():
                    if row.kind == Kind.FOLLOW:
                        follow_set(follower_id=self.user_id, followed_id=other.pk)
                    else:
                        block_set(blocker_id=self.user_id, blocked_id=other.pk)
            except APIException:
                # They follow as many as they may already.
                row.outcome = Outcome.KEPT
                continue
            if since := moment(row.values.get("since")):
                model._default_manager.filter(**pair).update(created_at=since)
            row.outcome, row.undo = Outcome.CREATED, {"after": other.pk}


_OTHER = {"follower": "followed_id", "blocker": "blocked_id"}


def rating_state(rating: Rating) -> dict[str, Any]:
    """What a rating says, as plain JSON data that tells whether it was changed since."""
    return {
        name: value.isoformat() if isinstance(value := getattr(rating, name), datetime) else value
        for name in RATING_FIELDS
    }
