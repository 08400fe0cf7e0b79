"""Reads of members: by username, with their profile and follow counts."""

from __future__ import annotations

from dataclasses import dataclass

from accounts.models import User
from nexus.core.api.exceptions import NotFound
from nexus.core.db.bounded_page import MAX_LIST_DEPTH
from nexus.core.db.lookups import without_case
from social.models import Follow, members_visible_to


@dataclass(frozen=True)
class FollowCounts:
    """The sizes of a member's lists of followers and followed members, as a viewer sees them."""

    followers: int
    following: int


@dataclass(frozen=True)
class Profile:
    """A member as a viewer sees them.

    `is_following` is None without a viewer and if the member is the viewer.
    """

    member: User
    counts: FollowCounts
    is_following: bool | None


def get_visible_member(*, username: str, viewer_id: int | None) -> User:
    """Return the member with a username, in any case.

    Raises NotFound if there is none whom the viewer may see.
    """
    named = members_visible_to(viewer_id).filter(username__lower=without_case(username))
    member = named.first()
    if member is None:
        raise NotFound
    return member


def get_member(*, username: str) -> User:
    """Return the member with a username, in any case, whether visible to anybody or not.

    Raises NotFound if there is none. For undoing the caller's own follows and blocks of members who
    are no longer visible. The response must not reveal that an invisible member exists.
    """
    member = User.objects.filter(username__lower=without_case(username)).first()
    if member is None:
        raise NotFound
    return member


def count_follows(*, member_id: int, viewer_id: int | None) -> FollowCounts:
    """Count a member's followers and followed members up to MAX_LIST_DEPTH, in two queries.

    They are not stored, because they depend on the viewer and on the visibility of every member in
    the lists.
    """
    follows = Follow.objects.order_by()
    followers = follows.followers_visible_to(viewer_id).filter(followed_id=member_id)
    following = follows.followed_visible_to(viewer_id).filter(follower_id=member_id)
    return FollowCounts(
        followers=followers.values("pk")[:MAX_LIST_DEPTH].count(),
        following=following.values("pk")[:MAX_LIST_DEPTH].count(),
    )


def get_profile(*, username: str, viewer_id: int | None) -> Profile:
    """Return a member's profile, in at most four queries. Raises like get_visible_member."""
    member = get_visible_member(username=username, viewer_id=viewer_id)
    counts = count_follows(member_id=member.pk, viewer_id=viewer_id)
    if viewer_id is None or viewer_id == member.pk:
        return Profile(member, counts, None)
    following = Follow.objects.filter(follower_id=viewer_id, followed_id=member.pk).exists()
    return Profile(member, counts, following)
