"""Writes of follows and blocks.

Each service that creates or ends a follow locks both members first, so that a follow and a block of
the same two members cannot be written at the same time.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from accounts.models import User
from nexus.core.api.exceptions import AccountNotFound, NotFound, Problem
from nexus.core.quotas import check_quota
from social.models import Block, Follow, members_visible_to
from social.selectors.groups import has_shared_group
from social.services.groups import groups_leave_shared


@transaction.atomic
def follow_set(*, follower_id: int, followed_id: int) -> None:
    """Let one member follow another. Following a followed member again changes nothing.

    Raises Problem (403) if the two are the same member, Problem (409) if the follower follows
    as many members as the quota allows, NotFound if the follower may not see the other member.
    """
    _lock_pair(follower_id, followed_id, "You cannot follow yourself.")
    follows = Follow.objects.filter(follower_id=follower_id)
    if follows.filter(followed_id=followed_id).exists():
        return
    if not members_visible_to(follower_id).filter(pk=followed_id).exists():
        raise NotFound
    check_quota("follows", follows, code="following_too_many")
    Follow.objects.create(follower_id=follower_id, followed_id=followed_id)


@transaction.atomic
def follow_remove(*, follower_id: int, followed_id: int) -> bool:
    """End a follow. Return whether it existed."""
    _lock_members([follower_id, followed_id])
    deleted, _ = Follow.objects.filter(follower_id=follower_id, followed_id=followed_id).delete()
    return bool(deleted)


@transaction.atomic
def block_set(*, blocker_id: int, blocked_id: int) -> None:
    """Hide two members from each other, and end their follows in both directions.

    The blocker leaves the groups they share, in which they may block members whose profiles they may
    not see. Blocking a blocked member again changes nothing. Raises Problem (403) if the two are the
    same member, Problem (409) if the blocker has as many blocks as the quota allows, NotFound if the
    blocker may not see the other member.
    """
    _lock_pair(blocker_id, blocked_id, "You cannot block yourself.")
    if Block.objects.filter(blocker_id=blocker_id, blocked_id=blocked_id).exists():
        return
    is_visible = members_visible_to(blocker_id).filter(pk=blocked_id).exists()
    if not (is_visible or has_shared_group(blocker_id, blocked_id)):
        raise NotFound
    check_quota("blocks", Block.objects.filter(blocker_id=blocker_id))
    Block.objects.create(blocker_id=blocker_id, blocked_id=blocked_id)
    groups_leave_shared(leaver_id=blocker_id, other_id=blocked_id)
    Follow.objects.filter(
        follower_id__in=[blocker_id, blocked_id], followed_id__in=[blocker_id, blocked_id]
    ).delete()


@transaction.atomic
def block_remove(*, blocker_id: int, blocked_id: int) -> bool:
    """End a block. Return whether it existed. The follows that it ended are not restored."""
    deleted, _ = Block.objects.filter(blocker_id=blocker_id, blocked_id=blocked_id).delete()
    return bool(deleted)


def _lock_pair(caller_id: int, other_id: int, same_member_detail: str) -> None:
    if caller_id == other_id:
        raise Problem(403, "oneself", same_member_detail)
    locked = _lock_members([caller_id, other_id])
    if caller_id not in locked:
        raise AccountNotFound
    if other_id not in locked:
        raise NotFound


def _lock_members(user_ids: Sequence[int]) -> set[int]:
    """Lock members in the order of ids, which avoids deadlocks. Return the ids that exist.

    Writes that only refer to these members, such as reports, are not blocked.
    """
    members = User.objects.select_for_update(no_key=True).filter(pk__in=user_ids).order_by("pk")
    return set(members.values_list("pk", flat=True))
