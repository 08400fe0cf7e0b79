"""What would become of each row of an import, against the catalogue and what the member has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection

from accounts.models import User
from movies.dto import MovieReference
from movies.title_matching import ReferenceMatch, match_references
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
from social.transfer.formats.records import OF_A_FILM, Kind

Verdict = ImportRow.Verdict
PROFILE_FIELDS = {
    "display_name": "",
    "bio": "",
    "avatar_url": "",
    "favorite_genres": [],
    "visibility": "public",
}


def reference_of(row: ImportRow) -> MovieReference:
    return MovieReference(row.title, row.year, row.tmdb_id, row.imdb_id, row.named_movie_id)


def rows_match(*, rows: Sequence[ImportRow]) -> None:
    """Set the film of each row that is about one, or those it may be, or that there is none."""
    of_films = [row for row in rows if row.kind in OF_A_FILM and row.verdict == Verdict.PENDING]
    matches = match_references([reference_of(row) for row in of_films])
    for row, match in zip(of_films, matches, strict=True):
        match_take(row, match)


def match_take(row: ImportRow, match: ReferenceMatch) -> None:
    row.movie_id = match.movie_id
    row.candidates = list(match.candidates)
    if match.movie_id is None and match.candidates:
        row.verdict, row.code = Verdict.AMBIGUOUS, "several_films"
        row.reason = "Films of about this title and year; say which."
    elif match.movie_id is None:
        row.verdict, row.code = Verdict.MISSING, "not_in_catalogue"
        row.reason = "The catalogue has no such film."


def verdicts_set(*, user_id: int, rows: Sequence[ImportRow]) -> None:
    """Tell matched rows from those that say what the member has already; a fixed number of queries."""
    theirs = _Theirs(user_id, rows)
    for row in rows:
        if row.kind in OF_A_FILM and row.movie_id is None:
            if row.verdict == Verdict.SKIPPED:
                match_take(row, ReferenceMatch(candidates=tuple(row.candidates)))
            continue
        if row.verdict != Verdict.INVALID:
            row.verdict, row.code, row.reason = theirs.verdict(row)


class _Theirs:
    """What a member has of what some rows are about."""

    def __init__(self, user_id: int, rows: Sequence[ImportRow]) -> None:
        self.user_id = user_id
        movies = {row.movie_id for row in rows if row.movie_id is not None}
        of_movies = {"user_id": user_id, "movie_id__any": movies}
        self.ratings: dict[int, Rating] = {}
        self.viewings: dict[int, set[datetime]] = {}
        self.watchlist: set[int] = set()
        self.rated_here: set[int] = set()
        if movies:
            self.ratings = {each.movie_id: each for each in Rating.objects.filter(**of_movies)}
            for movie_id, at in Viewing.objects.filter(**of_movies).values_list(
                "movie_id", "watched_at"
            ):
                self.viewings.setdefault(movie_id, set()).add(at)
            self.watchlist = set(
                WatchlistItem.objects.filter(**of_movies).values_list("movie_id", flat=True)
            )
        if any(row.kind == Kind.REVIEW for row in rows):
            rated = ImportRow.objects.filter(of_id=rows[0].of_id, kind=Kind.RATING)
            self.rated_here = {
                row.movie_id for row in rows if row.kind == Kind.RATING and row.movie_id
            }
            found = rated.filter(movie_id__in=movies).values_list("movie_id", flat=True)
            self.rated_here |= {movie_id or 0 for movie_id in found}
        self._lists(rows)
        self._members(rows)

    def _lists(self, rows: Sequence[ImportRow]) -> None:
        self.playlists: dict[str, list[UUID]] = {}
        self.list_ids: dict[str, UUID] = {}
        self.list_items: set[tuple[UUID, int]] = set()
        heads = [row for row in rows if row.kind == Kind.PLAYLIST]
        items = [row for row in rows if row.kind == Kind.PLAYLIST_ITEM]
        if heads:
            named = Playlist.objects.filter(
                owner_id=self.user_id, name__in={row.values["name"] for row in heads}
            )
            for name, key in named.order_by("created_at", "id").values_list("name", "id"):
                self.playlists.setdefault(name, []).append(key)
            for row in heads:
                row.playlist_id = self._namesake(row)
                if row.playlist_id:
                    self.list_ids[row.values["list"]] = row.playlist_id
        if items:
            keys = {row.values["list"] for row in items}
            known = lists_of(rows[0].of_id)
            self.list_ids |= {key: known[key] for key in keys & set(known)}
            self.list_items = set(
                PlaylistItem.objects.filter(
                    playlist_id__in=set(self.list_ids.values()),
                    movie_id__in={row.movie_id for row in items if row.movie_id},
                ).values_list("playlist_id", "movie_id")
            )

    def _namesake(self, row: ImportRow) -> UUID | None:
        """The member's list of this name; of several, the one as far on as the row is in its file."""
        found = self.playlists.get(row.values["name"], [])
        place = row.values.get("namesake", 0)
        return found[place] if place < len(found) else None

    def _members(self, rows: Sequence[ImportRow]) -> None:
        self.members: dict[str, int] = {}
        self.followed: set[int] = set()
        self.blocked: set[int] = set()
        self.user: User | None = None
        names = {
            row.values["username"].lower() for row in rows if row.kind in (Kind.FOLLOW, Kind.BLOCK)
        }
        if names:
            # Whom the member has blocked they cannot see, but the block is theirs.
            self.blocked = set(
                Block.objects.filter(blocker_id=self.user_id).values_list("blocked_id", flat=True)
            )
            seen = members_visible_to(self.user_id) | User.objects.filter(id__in=self.blocked)
            self.members = {
                name.lower(): pk
                for name, pk in seen.filter(username__lower__in=names).values_list("username", "id")
            }
            self.followed = set(
                Follow.objects.filter(
                    follower_id=self.user_id, followed_id__in=self.members.values()
                ).values_list("followed_id", flat=True)
            )
        if any(row.kind == Kind.PROFILE for row in rows):
            self.user = User.objects.get(pk=self.user_id)

    def verdict(self, row: ImportRow) -> tuple[Verdict, str, str]:
        movie = row.movie_id or 0
        rating = self.ratings.get(movie)
        seen = self.viewings.get(movie, set())
        # A rating's note tells what reading changed; a playlist item's is the member's own words.
        changed = "" if row.kind == Kind.PLAYLIST_ITEM else str(row.values.get("note") or "")
        matched = (Verdict.MATCHED, "", changed)
        same = (Verdict.UNCHANGED, "", "You have this already.")
        if row.kind in (Kind.RATING, Kind.REVIEW):
            if rating is None:
                if row.values.get("score") is None and movie not in self.rated_here:
                    reason = "A review needs stars, and the file has none for this film."
                    return Verdict.INVALID, "no_score", reason
                return matched
            if not differs(rating, row):
                return same
            if row.values.get("score") in (None, rating.score) and not rating.review:
                return matched
            reason = f"You gave {rating.score:g} stars"
            reason += " and wrote a review" if rating.review else ""
            return Verdict.MATCHED, "conflict", f"{reason}; on_conflict says which stays."
        if row.kind == Kind.VIEWING:
            return same if is_seen_at(seen, row) else matched
        if row.kind == Kind.SEEN:
            return same if seen or rating is not None else matched
        if row.kind == Kind.WATCHLIST:
            return same if movie in self.watchlist else matched
        if row.kind == Kind.PLAYLIST:
            return same if row.playlist_id else matched
        if row.kind == Kind.PLAYLIST_ITEM:
            key = self.list_ids.get(row.values["list"])
            return same if key and (key, movie) in self.list_items else matched
        if row.kind == Kind.PROFILE:
            assert self.user is not None
            changes = profile_changes(self.user, row.values, replace=True)
            return matched if changes else same
        return self._member_verdict(row)

    def _member_verdict(self, row: ImportRow) -> tuple[Verdict, str, str]:
        pk = self.members.get(row.values["username"].lower())
        if pk is None or pk == self.user_id:
            return Verdict.MISSING, "no_such_member", "There is no such member here."
        if pk in (self.followed if row.kind == Kind.FOLLOW else self.blocked):
            return Verdict.UNCHANGED, "", "You have this already."
        return Verdict.MATCHED, "", ""


def differs(rating: Rating, row: ImportRow) -> bool:
    """Whether a row says anything of a film that the member's rating does not say."""
    values = row.values
    review = values.get("review")
    return (
        values.get("score") not in (None, rating.score)
        or review not in (None, "", rating.review)
        or (bool(values.get("contains_spoilers")) and not rating.contains_spoilers)
    )


def is_seen_at(seen: Iterable[datetime], row: ImportRow) -> bool:
    """Whether a viewing row is among these moments; where only its day is known, on that day."""
    at = moment(row.values.get("watched_at"))
    if at is None:
        return bool(list(seen))
    if row.values.get("day_only"):
        return any(at <= each < at + timedelta(days=1) for each in seen)
    return at in set(seen)


def moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def profile_changes(user: User, values: dict[str, object], *, replace: bool) -> dict[str, object]:
    """The fields that a row would set: all that differ, or only those that are as they were made."""
    return {
        name: values[name]
        for name, untouched in PROFILE_FIELDS.items()
        if values.get(name) not in (None, getattr(user, name))
        and (replace or getattr(user, name) == untouched)
    }


def lists_of(import_id: int) -> dict[str, UUID]:
    """The playlists that an import's lists are, by the lists' keys."""
    heads = ImportRow.objects.filter(of_id=import_id, kind=Kind.PLAYLIST)
    return dict(heads.exclude(playlist_id=None).values_list("values__list", "playlist_id"))


def duplicates_mark(*, import_id: int) -> None:
    """Of rows that say the same thing of the same film, let one stand: the newest, else the first.

    One thing is a film's rating, its review, its viewing at a moment, its place in a list. Where any
    row says when a film was seen, or rates it, one that only says that it was seen is a duplicate.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '1min'")
        cursor.execute(_MARK, {"import_id": import_id})
        cursor.execute("SET LOCAL statement_timeout TO DEFAULT")


# One pass with windows, and the rows then by their key: right after a large file is stored there are
# no statistics, and the planner would join ten thousand rows to themselves one by one.
_MARK = """
    WITH told AS (
        SELECT id, number, kind, movie_id, verdict,
               CASE kind WHEN 'viewing' THEN "values" ->> 'watched_at'
                         WHEN 'playlist_item' THEN "values" ->> 'list' ELSE '' END AS place,
               CASE WHEN kind IN ('rating', 'review') THEN coalesce(
                   "values" ->> 'updated_at', "values" ->> 'rated_at')::timestamptz END AS at
        FROM social_importrow
        WHERE of_id = %(import_id)s AND movie_id IS NOT NULL
          AND verdict IN ('matched', 'unchanged', 'duplicate')
    ),
    judged AS (
        SELECT id, verdict,
               CASE WHEN kind = 'seen' AND sure IS NOT NULL THEN sure
                    WHEN winner <> number THEN winner END AS other
        FROM (
            SELECT id, number, kind, verdict,
                   first_value(number) OVER (
                       PARTITION BY kind, movie_id, place ORDER BY at DESC NULLS LAST, number
                   ) AS winner,
                   min(number) FILTER (WHERE kind IN ('rating', 'review', 'viewing'))
                       OVER (PARTITION BY movie_id) AS sure
            FROM told
        ) AS ranked
    )
    UPDATE social_importrow AS item
    SET verdict = CASE WHEN judged.other IS NULL THEN 'matched' ELSE 'duplicate' END,
        code = CASE WHEN judged.other IS NULL THEN '' ELSE 'same_as' END,
        reason = CASE WHEN judged.other IS NULL THEN ''
                      ELSE 'Row ' || judged.other || ' says this already.' END
    FROM judged
    WHERE item.id = judged.id
      AND (judged.verdict = 'duplicate') <> (judged.other IS NOT NULL)
"""
