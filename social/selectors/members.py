"""Members as others find them."""

from __future__ import annotations

from dataclasses import dataclass

from accounts.models import User
from nexus.core.api.exceptions import NotFound
from nexus.core.db.bounded_page import MAX_LIST_DEPTH
from nexus.core.db.lookups import without_case
from social.models import Follow, members_visible_to


@dataclass(frozen=True)
class FollowCounts:
    """How many follow a member and are followed, as the two lists show them to a viewer."""

    followers: int
    following: int


@dataclass(frozen=True)
class Profile:
    """A member in the eyes of a viewer; `is_following` is None for nobody and for oneself."""

    member: User
    counts: FollowCounts
    is_following: bool | None


def get_visible_member(*, username: str, viewer_id: int | None) -> User:
    """The member of a username, without case. Raises NotFound where the viewer may not see them."""
    named = members_visible_to(viewer_id).filter(username__lower=without_case(username))
    member = named.first()
    if member is None:
        raise NotFound
    return member


def get_member(*, username: str) -> User:
    """The member of a username, without case, to be seen or not. Raises NotFound for none.

    For what a member did themselves, as blocking, and may take back though they see the other no
    more; it must not tell them apart from none in any other case.
    """
    member = User.objects.filter(username__lower=without_case(username)).first()
    if member is None:
        raise NotFound
    return member


def count_follows(*, member_id: int, viewer_id: int | None) -> FollowCounts:
    """The counts of a member's two lists, each up to MAX_LIST_DEPTH as every count is.

    Counted anew: what a counter would hold changes with each viewer, and with each member who goes
    private or is deactivated, for all whom they follow. In two queries.
    """
    follows = Follow.objects.order_by()
    followers = follows.followers_visible_to(viewer_id).filter(followed_id=member_id)
    following = follows.followed_visible_to(viewer_id).filter(follower_id=member_id)
    return FollowCounts(
        followers=followers.values("pk")[:MAX_LIST_DEPTH].count(),
        following=following.values("pk")[:MAX_LIST_DEPTH].count(),
    )


def get_profile(*, username: str, viewer_id: int | None) -> Profile:
    """A member's profile, in four queries at most. Raises NotFound like get_visible_member."""
    member = get_visible_member(username=username, viewer_id=viewer_id)
    counts = count_follows(member_id=member.pk, viewer_id=viewer_id)
    if viewer_id is None or viewer_id == member.pk:
        return Profile(member, counts, None)
    following = Follow.objects.filter(follower_id=viewer_id, followed_id=member.pk).exists()
    return Profile(member, counts, following)
