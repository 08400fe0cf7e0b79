"""Writes of who follows and who blocks whom.

Each locks both members before it looks, so that what it finds holds, and moves the counters of both.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import F
from rest_framework.exceptions import AuthenticationFailed

from accounts.models import User
from nexus.core.api.exceptions import NotFound, Problem
from social.models import Block, Follow, members_visible_to
from social.services.locks import lock_members

# A feed takes a step into an index for each followed member (social.selectors.feed): that many stay
# within its 50 ms.
MAX_FOLLOWING = 2000


@transaction.atomic
def follow_set(*, follower_id: int, followed_id: int) -> None:
    """Let one member follow another; once is as often as twice.

    Raises Problem (403) for oneself and (409) over MAX_FOLLOWING, NotFound where the other may not
    be seen. One who is followed already is so still, even where they have gone private since.
    """
    _both_locked(follower_id, followed_id, "You cannot follow yourself.")
    if Follow.objects.filter(follower_id=follower_id, followed_id=followed_id).exists():
        return
    if not members_visible_to(follower_id).filter(pk=followed_id).exists():
        raise NotFound
    if User.objects.get(pk=follower_id).following_count >= MAX_FOLLOWING:
        detail = f"You follow {MAX_FOLLOWING} members already; unfollow one first."
        raise Problem(409, "following_too_many", detail)
    Follow.objects.create(follower_id=follower_id, followed_id=followed_id)
    _counted(follower_id, followed_id, 1)


@transaction.atomic
def follow_remove(*, follower_id: int, followed_id: int) -> bool:
    """End a following; whether there was one."""
    lock_members([follower_id, followed_id])
    return _removed(follower_id, followed_id)


@transaction.atomic
def block_set(*, blocker_id: int, blocked_id: int) -> None:
    """Let two members see nothing of each other, and end what following there was.

    Raises Problem (403) for oneself, NotFound where the other may not be seen. One who is blocked
    already is so still.
    """
    _both_locked(blocker_id, blocked_id, "You cannot block yourself.")
    if Block.objects.filter(blocker_id=blocker_id, blocked_id=blocked_id).exists():
        return
    if not members_visible_to(blocker_id).filter(pk=blocked_id).exists():
        raise NotFound
    Block.objects.create(blocker_id=blocker_id, blocked_id=blocked_id)
    _removed(blocker_id, blocked_id)
    _removed(blocked_id, blocker_id)


@transaction.atomic
def block_remove(*, blocker_id: int, blocked_id: int) -> bool:
    """End a block; whether there was one. What following it ended stays ended."""
    removed, _ = Block.objects.filter(blocker_id=blocker_id, blocked_id=blocked_id).delete()
    return bool(removed)


def _both_locked(caller_id: int, other_id: int, not_oneself: str) -> None:
    if caller_id == other_id:
        raise Problem(403, "oneself", not_oneself)
    found = lock_members([caller_id, other_id])
    if caller_id not in found:
        raise AuthenticationFailed("This account is gone.", code="user_not_found")
    if other_id not in found:
        raise NotFound


def _removed(follower_id: int, followed_id: int) -> bool:
    removed, _ = Follow.objects.filter(follower_id=follower_id, followed_id=followed_id).delete()
    if removed:
        _counted(follower_id, followed_id, -1)
    return bool(removed)


def _counted(follower_id: int, followed_id: int, change: int) -> None:
    User.objects.filter(pk=follower_id).update(following_count=F("following_count") + change)
    User.objects.filter(pk=followed_id).update(follower_count=F("follower_count") + change)
