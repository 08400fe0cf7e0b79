"""What those whom a member follows did, newest first, at a cost that few rows decide.

Three kinds of thing, each read from an index by member and time: ratings, reviews written after
their rating, and lists made public. First each followed member's newest one is looked up, a single
step into an index a member; only the newest `limit` of these members can have anything on the page,
so only theirs are read, and merged.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import connection

from nexus.core.api.query_params import MAX_LIST_DEPTH
from social.models import Playlist, Rating, members_visible_to

# In the order of things of one moment.
RATED, REVIEWED, PUBLISHED = "rated", "reviewed", "published"
KINDS = (RATED, REVIEWED, PUBLISHED)
_NEWEST_FIRST = "at DESC, rank, number DESC, key DESC"
_END_OF_TIME = datetime(9999, 12, 31, tzinfo=UTC)
_LOWEST = dict.fromkeys((RATED, REVIEWED), "0") | {PUBLISHED: str(UUID(int=0))}
_HIGHEST = {kind: str(2**63 - 1) for kind in (RATED, REVIEWED)} | {
    PUBLISHED: str(UUID(int=2**128 - 1))
}
_SOURCES = {
    RATED: (
        "social_rating WHERE user_id = {member} AND (created_at, id) < (%s, %s::bigint)",
        "created_at",
    ),
    REVIEWED: (
        "social_rating WHERE user_id = {member} AND reviewed_at IS NOT NULL"
        " AND hidden_at IS NULL AND (reviewed_at, id) < (%s, %s::bigint)",
        "reviewed_at",
    ),
    PUBLISHED: (
        "social_playlist WHERE owner_id = {member} AND visibility = 'public'"
        " AND (published_at, id) < (%s, %s::uuid)",
        "published_at",
    ),
}


@dataclass(frozen=True)
class Position:
    """A place in a feed: behind it comes what is older."""

    at: datetime
    kind: str
    id: str

    def as_list(self) -> list[str]:
        return [self.at.isoformat(), self.kind, self.id]

    def bound(self, kind: str) -> str:
        """The id below which a thing of this kind and of the same moment comes behind."""
        if kind == self.kind:
            return self.id
        return (_HIGHEST if KINDS.index(kind) > KINDS.index(self.kind) else _LOWEST)[kind]


START = Position(_END_OF_TIME, RATED, _HIGHEST[RATED])


@dataclass(frozen=True)
class Event:
    """A thing somebody did: `rating` is there unless it was `published`, then `playlist` is."""

    position: Position
    rating: Rating | None = None
    playlist: Playlist | None = None

    @property
    def shown_kind(self) -> str:
        """A rating that came with its words is a review from the start."""
        first = self.position.kind == RATED and self.rating is not None
        if first and self.rating.public_review and self.rating.reviewed_at is None:  # type: ignore[union-attr]
            return REVIEWED
        return self.position.kind

    @property
    def username(self) -> str:
        if self.rating is not None:
            return self.rating.user.username
        assert self.playlist is not None
        return self.playlist.owner.username


@dataclass(frozen=True)
class Feed:
    events: list[Event]
    #: How many there are in all, counted up to one more than MAX_LIST_DEPTH.
    count: int
    #: Where the page ends; None at the end of the feed.
    end: Position | None


def get_feed_page(*, user_id: int, behind: Position = START, limit: int) -> Feed:
    """A page of a member's feed, in five queries; `limit` things at most.

    Only of members who may be seen: of one who has gone private or was deactivated since, nothing.
    """
    followed = list(
        members_visible_to(user_id)
        .filter(follows_received__follower_id=user_id)
        .order_by()
        .values_list("id", flat=True)
    )
    with connection.cursor() as cursor:
        cursor.execute(*counting(followed))
        count = int(cursor.fetchone()[0])
        cursor.execute(*reading(followed, behind, limit + 1))
        rows = [
            Position(at, KINDS[rank], str(number if key is None else key))
            for rank, number, key, at in cursor.fetchall()
        ]
    page = rows[:limit]
    ratings = Rating.objects.with_movie_and_author().in_bulk(
        [int(row.id) for row in page if row.kind != PUBLISHED]
    )
    lists = Playlist.objects.with_owner().in_bulk(
        [UUID(row.id) for row in page if row.kind == PUBLISHED]
    )
    events = [
        Event(
            row,
            rating=ratings.get(int(row.id)) if row.kind != PUBLISHED else None,
            playlist=lists.get(UUID(row.id)) if row.kind == PUBLISHED else None,
        )
        for row in page
    ]
    # What was taken away between the queries is left out.
    there = [event for event in events if event.rating or event.playlist]
    return Feed(there, count, end=page[-1] if len(rows) > limit else None)


def reading(followed: list[int], behind: Position, limit: int) -> tuple[str, list[Any]]:
    """The query for (rank of the kind, id or 0, UUID or None, at) of the newest `limit` things behind a position."""
    newest, things = [], []
    bounds: list[Any] = []
    for rank, kind in enumerate(KINDS):
        source, at = _SOURCES[kind]
        number, key = ("0", "id") if kind == PUBLISHED else ("id", "NULL::uuid")
        thing = f"SELECT {at} AS at, {rank} AS rank, {number} AS number, {key} AS key"
        newest.append(
            f"({thing} FROM {source.format(member='member.id')}"
            f" ORDER BY {at} DESC, id DESC LIMIT 1)"
        )
        things.append(
            f"({thing} FROM {source.format(member='active.id')}"
            f" ORDER BY {at} DESC, id DESC LIMIT %s)"
        )
        bounds += [behind.at, behind.bound(kind)]
    sql = (
        "WITH active AS MATERIALIZED ("  # noqa: S608
        " SELECT member.id FROM unnest(%s::bigint[]) AS member (id),"
        f" LATERAL (SELECT * FROM ({' UNION ALL '.join(newest)}) AS each"
        f" ORDER BY {_NEWEST_FIRST} LIMIT 1) AS newest"
        f" ORDER BY {_NEWEST_FIRST} LIMIT %s"
        ") SELECT thing.rank, thing.number, thing.key, thing.at FROM active,"
        f" LATERAL ({' UNION ALL '.join(things)}) AS thing"
        f" ORDER BY {_NEWEST_FIRST} LIMIT %s"
    )
    params: list[Any] = [followed, *bounds, limit]
    for at, bound in zip(bounds[::2], bounds[1::2], strict=True):
        params += [at, bound, limit]
    return sql, [*params, limit]


def counting(followed: list[int]) -> tuple[str, list[Any]]:
    """The query for the number of things in a feed, up to one more than MAX_LIST_DEPTH."""
    sql = (
        "SELECT count(*) FROM ("
        " (SELECT 1 FROM social_rating WHERE user_id = ANY(%s) LIMIT %s)"
        " UNION ALL (SELECT 1 FROM social_rating WHERE user_id = ANY(%s)"
        " AND reviewed_at IS NOT NULL AND hidden_at IS NULL LIMIT %s)"
        " UNION ALL (SELECT 1 FROM social_playlist WHERE owner_id = ANY(%s)"
        " AND visibility = 'public' AND published_at IS NOT NULL LIMIT %s)"
        " LIMIT %s) AS counted"
    )
    most = MAX_LIST_DEPTH + 1
    return sql, [followed, most, followed, most, followed, most, most]
