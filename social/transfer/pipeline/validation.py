"""Set the verdict on each row of an import, from its match and the data the member already has.

pipeline.match and pipeline.find do this, and so does transfer.services when a member corrects a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from accounts.models import User
from movies.title_matching import ReferenceMatch
from social.models import (
    Block,
    Follow,
    ImportRow,
    Playlist,
    PlaylistItem,
    Rating,
    WatchlistItem,
    members_visible_to,
)
from social.transfer.formats.records import MOVIE_KINDS, RecordKind
from social.transfer.pipeline.comparisons import (
    find_viewing,
    get_feedback,
    get_playlist_ids,
    get_profile_changes,
    get_viewing_note,
    get_viewings,
    has_new_values,
    merge_notes,
)

Verdict = ImportRow.Verdict


#: The codes of rows that another source may help to match.
UNSURE_CODES = ("no_exact_match", "no_year")
NOT_FOUND_CODES = ("not_in_catalogue", "unknown_type")


def set_match(row: ImportRow, match: ReferenceMatch) -> None:
    """Set a row's movie or its candidates; the verdict only if the movie is not certain."""
    row.movie_id = match.movie_id
    row.candidates = list(match.candidates)
    if match.movie_id is not None:
        return
    if match.candidates:
        row.verdict = Verdict.AMBIGUOUS
        if match.has_namesakes:
            row.code = "several_films"
            reason = "Several movies are what the row says. Choose one of the candidates."
        elif row.year is None:
            row.code = "no_year"
            reason = "The row has no year that tells movies of this title apart. Choose one of the candidates."
        else:
            row.code = "no_exact_match"
            reason = "No movie has exactly this title and year. Choose one of the candidates."
    elif row.values.get("must_be_confirmed"):
        row.verdict, row.code = Verdict.MISSING, "unknown_type"
        reason = "The row is of an unknown type, and the catalogue has no movie with its id."
    else:
        row.verdict, row.code = Verdict.MISSING, "not_in_catalogue"
        reason = "The catalogue does not have this movie."
    set_reason(row, reason)


def set_reason(row: ImportRow, *sentences: str) -> None:
    """Set the reason for a row's verdict, and what was changed when its cells were parsed."""
    row.reason = ""
    add_reason(row, *sentences, row.values.get("changes") or "")


def add_reason(row: ImportRow, *sentences: str) -> None:
    row.reason = " ".join(filter(None, (row.reason, *sentences)))[:300]


def set_verdicts(*, user_id: int, rows: Sequence[ImportRow]) -> None:
    """Set the verdict of rows by whether they add anything to the account; a fixed number of queries.

    Rows without a movie keep the verdict of `set_match`, and invalid rows theirs.
    """
    library = MemberLibrary(user_id, rows)
    for row in rows:
        if row.kind in MOVIE_KINDS and row.movie_id is None:
            if row.verdict == Verdict.SKIPPED:
                set_match(row, ReferenceMatch(candidates=tuple(row.candidates)))
        elif row.verdict != Verdict.INVALID:
            row.verdict, row.code, reason = library.get_verdict(row)
            set_reason(row, reason)


class RowVerdict(NamedTuple):
    """A verdict and its reason."""

    verdict: Verdict
    code: str = ""
    reason: str = ""


_UNCHANGED = RowVerdict(Verdict.UNCHANGED, reason="You have this already.")


class MemberLibrary:
    """The member's ratings, viewings, playlists, follows and so on that some rows may repeat."""

    def __init__(self, user_id: int, rows: Sequence[ImportRow]) -> None:
        self._user_id = user_id
        self._load_movies(rows)
        self._load_playlists(rows)
        self._load_members(rows)
        self._user: User | None = None
        if any(row.kind == RecordKind.PROFILE for row in rows):
            self._user = User.objects.get(pk=user_id)

    def _load_movies(self, rows: Sequence[ImportRow]) -> None:
        movie_ids = {row.movie_id for row in rows if row.movie_id is not None}
        self._ratings = {
            rating.movie_id: rating
            for rating in Rating.objects.filter(user_id=self._user_id, movie_id__in=movie_ids)
        }
        self._viewings = get_viewings(self._user_id, movie_ids)
        self._watchlist = set(
            WatchlistItem.objects.filter(user_id=self._user_id, movie_id__in=movie_ids).values_list(
                "movie_id", flat=True
            )
        )
        self._feedback = get_feedback(self._user_id, movie_ids)

    def _load_playlists(self, rows: Sequence[ImportRow]) -> None:
        """Load the member's playlists, and set `playlist_id` of rows that name one of them."""
        self._playlist_ids: dict[str, UUID] = {}
        self._playlist_items: set[tuple[UUID, int]] = set()
        playlists = [row for row in rows if row.kind == RecordKind.PLAYLIST]
        items = [row for row in rows if row.kind == RecordKind.PLAYLIST_ITEM]
        if playlists:
            ids_by_name: dict[str, list[UUID]] = {}
            own = Playlist.objects.filter(
                owner_id=self._user_id, name__in={row.values["name"] for row in playlists}
            )
            for name, key in own.order_by("created_at", "id").values_list("name", "id"):
                ids_by_name.setdefault(name, []).append(key)
            for row in playlists:
                # The second playlist of a name in the file is the member's second of that name.
                ids = ids_by_name.get(row.values["name"], [])
                index = row.values.get("namesake", 0)
                row.playlist_id = ids[index] if index < len(ids) else None
                if row.playlist_id:
                    self._playlist_ids[row.values["list"]] = row.playlist_id
        if items:
            self._playlist_ids |= get_playlist_ids(rows[0].of_id)
            self._playlist_items = set(
                PlaylistItem.objects.filter(
                    playlist_id__in={
                        self._playlist_ids[row.values["list"]]
                        for row in items
                        if row.values["list"] in self._playlist_ids
                    },
                    movie_id__in={row.movie_id for row in items if row.movie_id},
                ).values_list("playlist_id", "movie_id")
            )

    def _load_members(self, rows: Sequence[ImportRow]) -> None:
        self._member_ids: dict[str, int] = {}
        self._followed: set[int] = set()
        self._blocked: set[int] = set()
        names = {
            row.values["username"].lower()
            for row in rows
            if row.kind in (RecordKind.FOLLOW, RecordKind.BLOCK)
        }
        if not names:
            return
        self._blocked = set(
            Block.objects.filter(blocker_id=self._user_id).values_list("blocked_id", flat=True)
        )
        # A member may not see whom they have blocked, but may see that they have.
        known = members_visible_to(self._user_id) | User.objects.filter(id__in=self._blocked)
        self._member_ids = {
            name.lower(): pk
            for name, pk in known.filter(username__lower__in=names).values_list("username", "id")
        }
        self._followed = set(
            Follow.objects.filter(
                follower_id=self._user_id, followed_id__in=self._member_ids.values()
            ).values_list("followed_id", flat=True)
        )

    def get_verdict(self, row: ImportRow) -> RowVerdict:
        match row.kind:
            case RecordKind.RATING | RecordKind.REVIEW:
                return self._get_rating_verdict(row)
            case RecordKind.FEEDBACK:
                return self._get_feedback_verdict(row)
            case RecordKind.FOLLOW | RecordKind.BLOCK:
                return self._get_member_verdict(row)
        return _UNCHANGED if self._contains(row) else RowVerdict(Verdict.MATCHED)

    def _contains(self, row: ImportRow) -> bool:
        """Return whether the member already has the object of a row; not for ratings, feedback and members."""
        movie_id = row.movie_id or 0
        viewings = self._viewings.get(movie_id, [])
        match row.kind:
            case RecordKind.VIEWING:
                viewing = find_viewing(viewings, row)
                return viewing is not None and (
                    merge_notes(viewing.note, get_viewing_note(row)) == viewing.note
                )
            case RecordKind.SEEN:
                return bool(viewings) or movie_id in self._ratings
            case RecordKind.WATCHLIST:
                return movie_id in self._watchlist
            case RecordKind.PLAYLIST:
                return row.playlist_id is not None
            case RecordKind.PLAYLIST_ITEM:
                playlist_id = self._playlist_ids.get(row.values["list"])
                return (playlist_id, movie_id) in self._playlist_items
            case RecordKind.PROFILE:
                assert self._user is not None
                return not get_profile_changes(self._user, row.values, replace=True)
        raise ValueError(f"Unknown kind {row.kind!r}.")

    def _get_rating_verdict(self, row: ImportRow) -> RowVerdict:
        movie_id = row.movie_id or 0
        rating = self._ratings.get(movie_id)
        score = row.values.get("score")
        matched = RowVerdict(Verdict.MATCHED)
        if rating is None:
            return matched
        if not has_new_values(row, rating):
            return _UNCHANGED
        has_same_score = score in (None, rating.score) or rating.score is None
        has_same_review = row.values.get("review") in (None, "", rating.review) or not rating.review
        if has_same_score and has_same_review:
            return matched
        own = [f"rated this movie {rating.score:g} stars"] if rating.score is not None else []
        own += ["reviewed it" if own else "reviewed this movie"] if rating.review else []
        reason = f"You have {' and '.join(own)}"
        return RowVerdict(
            Verdict.MATCHED, "conflict", f"{reason}. on_conflict decides which stays."
        )

    def _get_feedback_verdict(self, row: ImportRow) -> RowVerdict:
        own = self._feedback.get(row.movie_id or 0)
        if own is None:
            return RowVerdict(Verdict.MATCHED)
        if own == row.values["feedback"]:
            return _UNCHANGED
        return RowVerdict(
            Verdict.MATCHED, "conflict", f"Your feedback on this movie is “{own}”, which stays."
        )

    def _get_member_verdict(self, row: ImportRow) -> RowVerdict:
        member_id = self._member_ids.get(row.values["username"].lower())
        if member_id is None or member_id == self._user_id:
            return RowVerdict(Verdict.MISSING, "no_such_member", "There is no such member.")
        connected = self._followed if row.kind == RecordKind.FOLLOW else self._blocked
        return _UNCHANGED if member_id in connected else RowVerdict(Verdict.MATCHED)
