"""The feed: ratings, reviews and playlists of the members that a member follows, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.db.models import Value

from nexus.core.db.bounded_page import MAX_LIST_DEPTH
from social.models import Playlist, Rating, members_visible_to
from social.queries import fetch_feed_page

RATED, REVIEWED, PUBLISHED = "rated", "reviewed", "published"
#: Events of the same moment are in this order.
KINDS = (RATED, REVIEWED, PUBLISHED)
_MIN_ID = {RATED: "0", REVIEWED: "0", PUBLISHED: str(UUID(int=0))}
_MAX_ID = {RATED: str(2**63 - 1), REVIEWED: str(2**63 - 1), PUBLISHED: str(UUID(int=2**128 - 1))}


@dataclass(frozen=True)
class FeedPosition:
    """An event's position in a feed, which is ordered by moment, kind and the id of the object."""

    at: datetime
    kind: str
    id: str

    def to_cursor(self) -> list[str]:
        return [self.at.isoformat(), self.kind, self.id]

    def get_id_bound(self, kind: str) -> str:
        """Return the bound on ids of this kind: those below it come after this position.

        It applies to events at the moment of this position.
        """
        if kind == self.kind:
            return self.id
        comes_later = KINDS.index(kind) > KINDS.index(self.kind)
        return _MAX_ID[kind] if comes_later else _MIN_ID[kind]


FEED_START = FeedPosition(datetime(9999, 12, 31, tzinfo=UTC), RATED, _MAX_ID[RATED])


@dataclass(frozen=True)
class FeedEvent:
    """One event: a playlist if its kind is `published`, else a rating."""

    position: FeedPosition
    rating: Rating | None = None
    playlist: Playlist | None = None

    @property
    def shown_kind(self) -> str:
        """The event's kind as clients see it: a rating created with its review is a review."""
        rating = self.rating
        is_rated = self.position.kind == RATED and rating is not None
        if is_rated and rating.public_review and rating.reviewed_at is None:  # type: ignore[union-attr]
            return REVIEWED
        return self.position.kind

    @property
    def username(self) -> str:
        if self.rating is not None:
            return self.rating.user.username
        assert self.playlist is not None
        return self.playlist.owner.username


@dataclass(frozen=True)
class FeedPage:
    events: list[FeedEvent]
    #: The number of events in the whole feed, counted up to MAX_LIST_DEPTH + 1.
    count: int
    #: The position of the last event; None on the last page.
    end: FeedPosition | None


def get_feed_page(*, user_id: int, after: FeedPosition = FEED_START, limit: int) -> FeedPage:
    """Return the `limit` events that follow a position in a member's feed, in five queries.

    Only events of members who are visible to this member: members who have become private or
    inactive, or with whom there is a block, are left out.
    """
    followed_ids = list(
        members_visible_to(user_id)
        .filter(follows_received__follower_id=user_id)
        .order_by()
        .values_list("id", flat=True)
    )
    count = _count_events(followed_ids)
    rows = fetch_feed_page(
        followed_ids,
        before=after.at,
        rated_before=after.get_id_bound(RATED),
        reviewed_before=after.get_id_bound(REVIEWED),
        published_before=after.get_id_bound(PUBLISHED),
        limit=limit + 1,
    )
    page = rows[:limit]
    ratings = Rating.objects.with_movie_and_author().in_bulk([row[2] for row in page if row[2]])
    playlists = Playlist.objects.with_owner().in_bulk([row[3] for row in page if row[3]])
    events = [
        FeedEvent(
            FeedPosition(at, KINDS[kind], str(rating_id or playlist_id)),
            rating=ratings.get(rating_id),
            playlist=playlists.get(playlist_id),
        )
        for at, kind, rating_id, playlist_id in page
    ]
    return FeedPage(
        # Objects that were deleted between the queries are left out.
        events=[event for event in events if event.rating or event.playlist],
        count=count,
        end=events[-1].position if len(rows) > limit else None,
    )


def _count_events(member_ids: Sequence[int]) -> int:
    """Count these members' events, up to MAX_LIST_DEPTH + 1, in one query."""
    maximum = MAX_LIST_DEPTH + 1
    # A review without a score is an event of a review.
    ratings = Rating.objects.filter(user_id__in=member_ids)
    scored = ratings.filter(score__isnull=False)
    rated, reviewed, published = (
        queryset.order_by().values(row=Value(1))[:maximum]
        for queryset in (
            scored,
            ratings.filter(reviewed_at__isnull=False, hidden_at__isnull=True),
            Playlist.objects.filter(
                owner_id__in=member_ids,
                visibility=Playlist.Visibility.PUBLIC,
                published_at__isnull=False,
            ),
        )
    )
    return min(rated.union(reviewed, published, all=True).count(), maximum)
