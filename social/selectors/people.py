"""Members as others find them."""

from __future__ import annotations

from dataclasses import dataclass

from accounts.models import User
from nexus.core.errors import NotFound
from nexus.core.lookups import without_case
from social.models import Follow, members_visible_to


@dataclass(frozen=True)
class Profile:
    """A member in the eyes of a viewer; `is_following` is None for nobody and for oneself."""

    member: User
    is_following: bool | None


def member_seen(*, username: str, viewer_id: int | None) -> User:
    """The member of a username, without case. Raises NotFound where the viewer may not see them."""
    named = members_visible_to(viewer_id).filter(username__lower=without_case(username))
    member = named.first()
    if member is None:
        raise NotFound
    return member


def member_named(*, username: str) -> User:
    """The member of a username, without case, to be seen or not. Raises NotFound for none.

    For what a member did themselves, as blocking, and may take back though they see the other no
    more; it must not tell them apart from none in any other case.
    """
    member = User.objects.filter(username__lower=without_case(username)).first()
    if member is None:
        raise NotFound
    return member


def profile_seen(*, username: str, viewer_id: int | None) -> Profile:
    """A member's profile, in two queries at most. Raises NotFound like member_seen."""
    member = member_seen(username=username, viewer_id=viewer_id)
    if viewer_id is None or viewer_id == member.pk:
        return Profile(member, None)
    following = Follow.objects.filter(follower_id=viewer_id, followed_id=member.pk).exists()
    return Profile(member, following)
