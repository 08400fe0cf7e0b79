"""The verdicts on an import's rows, by the catalogue and by what the member already has.

pipeline.match and pipeline.find set them, and so does a member who corrects a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
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
    Viewing,
    WatchlistItem,
    members_visible_to,
)
from social.transfer.formats.records import MOVIE_KINDS, RecordKind

UPDATE_BATCH_SIZE = 500

Verdict = ImportRow.Verdict
#: The profile fields an import can set, with the values of a new account.
PROFILE_DEFAULTS = {
    "display_name": "",
    "bio": "",
    "avatar_url": "",
    "favorite_genres": [],
    "visibility": "public",
}


def set_match(row: ImportRow, match: ReferenceMatch) -> None:
    """Set a row's movie or its candidates; the verdict only if the movie is not certain."""
    row.movie_id = match.movie_id
    row.candidates = list(match.candidates)
    if match.movie_id is not None:
        return
    if match.candidates:
        row.verdict, row.code = Verdict.AMBIGUOUS, "several_films"
        row.reason = "Several movies match the title and year. Choose one of the candidates."
    else:
        row.verdict, row.code = Verdict.MISSING, "not_in_catalogue"
        row.reason = "The catalogue does not have this movie."


def set_verdicts(*, user_id: int, rows: Sequence[ImportRow]) -> None:
    """Set whether rows with a known movie add anything; takes a fixed number of queries."""
    library = MemberLibrary(user_id, rows)
    for row in rows:
        if row.kind in MOVIE_KINDS and row.movie_id is None:
            if row.verdict == Verdict.SKIPPED:
                set_match(row, ReferenceMatch(candidates=tuple(row.candidates)))
        elif row.verdict != Verdict.INVALID:
            row.verdict, row.code, row.reason = library.judge(row)


class Judgement(NamedTuple):
    verdict: Verdict
    code: str = ""
    reason: str = ""


_UNCHANGED = Judgement(Verdict.UNCHANGED, reason="You have this already.")


class MemberLibrary:
    """What a member already has of the things that some rows are about."""

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
            for rating in Rating.objects.filter(user_id=self._user_id, movie_id__any=movie_ids)
        }
        self._viewings = get_viewing_times(self._user_id, movie_ids)
        self._watchlist = set(
            WatchlistItem.objects.filter(
                user_id=self._user_id, movie_id__any=movie_ids
            ).values_list("movie_id", flat=True)
        )
        #: The movies that a row of the same import rates.
        self._rated_in_import = {
            row.movie_id for row in rows if row.kind == RecordKind.RATING and row.movie_id
        }
        if any(row.kind == RecordKind.REVIEW for row in rows):
            stored = ImportRow.objects.filter(
                of_id=rows[0].of_id, kind=RecordKind.RATING, movie_id__in=movie_ids
            )
            stored_ids = stored.values_list("movie_id", flat=True)
            self._rated_in_import.update(movie_id for movie_id in stored_ids if movie_id)

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

    def judge(self, row: ImportRow) -> Judgement:
        match row.kind:
            case RecordKind.RATING | RecordKind.REVIEW:
                return self._judge_rating(row)
            case RecordKind.FOLLOW | RecordKind.BLOCK:
                return self._judge_member(row)
        return _UNCHANGED if self._has(row) else Judgement(Verdict.MATCHED)

    def _has(self, row: ImportRow) -> bool:
        """Return whether the member has what a row would add, other than a rating or a member."""
        movie_id = row.movie_id or 0
        viewings = self._viewings.get(movie_id, set())
        match row.kind:
            case RecordKind.VIEWING:
                return is_viewing_in(viewings, row)
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

    def _judge_rating(self, row: ImportRow) -> Judgement:
        movie_id = row.movie_id or 0
        rating = self._ratings.get(movie_id)
        score = row.values.get("score")
        matched = Judgement(Verdict.MATCHED, reason=row.values.get("note") or "")
        if rating is None:
            if score is None and movie_id not in self._rated_in_import:
                return Judgement(
                    Verdict.INVALID,
                    "no_score",
                    "A review needs a score, and the file has none for this movie.",
                )
            return matched
        if not differs_from(rating, row):
            return _UNCHANGED
        if score in (None, rating.score) and not rating.review:
            return matched
        reason = f"You have rated this movie {rating.score:g} stars"
        reason += " and reviewed it" if rating.review else ""
        return Judgement(Verdict.MATCHED, "conflict", f"{reason}. on_conflict decides which stays.")

    def _judge_member(self, row: ImportRow) -> Judgement:
        member_id = self._member_ids.get(row.values["username"].lower())
        if member_id is None or member_id == self._user_id:
            return Judgement(Verdict.MISSING, "no_such_member", "There is no such member.")
        connected = self._followed if row.kind == RecordKind.FOLLOW else self._blocked
        return _UNCHANGED if member_id in connected else Judgement(Verdict.MATCHED)


# --- Comparisons that applying the rows needs too ------------------------------------------------


def get_viewing_times(user_id: int, movie_ids: Iterable[int]) -> dict[int, set[datetime]]:
    """Return the times at which a member watched each of these movies."""
    times: dict[int, set[datetime]] = {}
    viewings = Viewing.objects.filter(user_id=user_id, movie_id__any=movie_ids)
    for movie_id, watched_at in viewings.values_list("movie_id", "watched_at"):
        times.setdefault(movie_id, set()).add(watched_at)
    return times


def differs_from(rating: Rating, row: ImportRow) -> bool:
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


# --- Duplicates ----------------------------------------------------------------------------------

_NO_DATE = datetime.min.replace(tzinfo=UTC)
_IMPLY_WATCHED = (RecordKind.RATING, RecordKind.REVIEW, RecordKind.VIEWING)


class _DuplicateCandidate(NamedTuple):
    id: int
    number: int
    kind: str
    movie_id: int
    verdict: str
    watched_at: str | None
    playlist: str | None
    updated_at: str | None
    rated_at: str | None

    @property
    def subject(self) -> tuple[object, ...]:
        """What the row is about; of the rows with one subject only one is applied."""
        match self.kind:
            case RecordKind.VIEWING:
                return self.kind, self.movie_id, self.watched_at
            case RecordKind.PLAYLIST_ITEM:
                return self.kind, self.movie_id, self.playlist
        return self.kind, self.movie_id

    @property
    def date(self) -> datetime:
        """The date of a rating or review; the others have none."""
        return to_datetime(self.updated_at or self.rated_at) or _NO_DATE


def mark_duplicates(*, import_id: int, movie_ids: Iterable[int] | None = None) -> None:
    """Set which rows are duplicates of others, of all movies or of some.

    Of the rows with one subject the newest stays, else the first. A row that only says a movie was
    seen is a duplicate of the first row that rates or reviews it or says when it was watched.
    """
    rows = ImportRow.objects.filter(
        of_id=import_id,
        movie_id__isnull=False,
        verdict__in=(Verdict.MATCHED, Verdict.UNCHANGED, Verdict.DUPLICATE),
    )
    if movie_ids is not None:
        rows = rows.filter(movie_id__in=movie_ids)
    fields = ("id", "number", "kind", "movie_id", "verdict")
    values = [f"values__{name}" for name in ("watched_at", "list", "updated_at", "rated_at")]
    candidates = [
        _DuplicateCandidate(*row)
        for row in rows.order_by("number").values_list(*fields, *values).iterator()
    ]
    originals = _find_originals(candidates)
    no_longer = [
        row.id
        for row in candidates
        if row.verdict == Verdict.DUPLICATE and row.number not in originals
    ]
    ImportRow.objects.filter(id__any=no_longer).update(verdict=Verdict.MATCHED, code="", reason="")
    duplicate_ids = [
        row.id for row in candidates if row.verdict != Verdict.DUPLICATE and row.number in originals
    ]
    for start in range(0, len(duplicate_ids), UPDATE_BATCH_SIZE):
        batch_ids = duplicate_ids[start : start + UPDATE_BATCH_SIZE]
        batch = list(ImportRow.objects.filter(id__any=batch_ids))
        for row in batch:
            row.verdict, row.code = Verdict.DUPLICATE, "same_as"
            row.reason = f"Row {originals[row.number]} says this already."
        ImportRow.store_results(batch)


def _find_originals(candidates: Sequence[_DuplicateCandidate]) -> dict[int, int]:
    """Return for each duplicate the number of the row that it repeats, by its own number."""
    winners: dict[tuple[object, ...], _DuplicateCandidate] = {}
    first_watched: dict[int, int] = {}
    for row in candidates:
        winner = winners.setdefault(row.subject, row)
        if row.date > winner.date:
            winners[row.subject] = row
        if row.kind in _IMPLY_WATCHED:
            first_watched.setdefault(row.movie_id, row.number)
    originals = {}
    for row in candidates:
        original = winners[row.subject].number
        if row.kind == RecordKind.SEEN:
            original = first_watched.get(row.movie_id, original)
        if original != row.number:
            originals[row.number] = original
    return originals
