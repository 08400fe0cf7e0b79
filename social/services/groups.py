"""Writes of groups, memberships and votes.

Locks are taken in the order member, group, membership. The lock of the group decides who gets the last
place, and whether somebody joins before the last member has left.
"""

from __future__ import annotations

import secrets

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from rest_framework.exceptions import PermissionDenied

from accounts.services import user_lock
from movies.models import Movie
from nexus.core.api.exceptions import NotFound, Problem
from nexus.core.db.lookups import without_case
from nexus.core.quotas import check_quota
from social.models import Block, GroupMembership, GroupVote, MovieGroup
from social.models.groups import JOIN_CODE_LENGTH, MAX_GROUP_MEMBERS
from social.queries import lock_existing

#: Without letters and digits that look alike: 0 and O, 1 and I and L, U and V, 2 and Z, 5 and S, 8 and B.
JOIN_CODE_ALPHABET = "34679ACDEFGHJKMNPQRTVWXY"
ONLY_OWNER = "Only the owner of the group may do this."


def generate_join_code() -> str:
    return "".join(secrets.choice(JOIN_CODE_ALPHABET) for _ in range(JOIN_CODE_LENGTH))


def normalize_join_code(text: str) -> str:
    """Return a code as it is stored; people type it in lower case, with spaces and hyphens."""
    return "".join(text.upper().replace("-", " ").split())


@transaction.atomic
def group_create(*, user_id: int, name: str) -> MovieGroup:
    """Create a group with one member. Raises Problem (409) if the quota of groups is full."""
    user_lock(user_id=user_id)
    _check_group_quota(user_id)
    group = MovieGroup.objects.create(name=name, join_code=generate_join_code())
    GroupMembership.objects.create(group=group, user_id=user_id)
    return group


@transaction.atomic
def group_rename(*, group_id: int, user_id: int, name: str) -> None:
    """Rename a group. Raises NotFound for who is no member, PermissionDenied for who is not the owner."""
    group = _lock_own_group(group_id, user_id)
    group.name = name
    group.save(update_fields=["name"])


@transaction.atomic
def group_renew_join_code(*, group_id: int, user_id: int) -> None:
    """Replace the join code, so that the old one is dead. Raises like group_rename."""
    group = _lock_own_group(group_id, user_id)
    group.join_code = generate_join_code()
    group.save(update_fields=["join_code"])


@transaction.atomic
def group_delete(*, group_id: int, user_id: int) -> None:
    """Delete a group with its votes. Raises like group_rename."""
    _lock_own_group(group_id, user_id).delete()


@transaction.atomic
def group_join(*, user_id: int, join_code: str) -> int:
    """Let a member join the group with this code, and return its id. Joining twice changes nothing.

    Raises Problem (404) with the same words for a code that is unknown or was replaced, for a full group,
    and if the member and another one have blocked each other; Problem (409) if the quota of groups is full.
    """
    user_lock(user_id=user_id)
    code = normalize_join_code(join_code)
    group = MovieGroup.objects.select_for_update().filter(join_code=code).first()
    member_ids = set()
    if group is not None:
        member_ids = set(group.memberships.values_list("user_id", flat=True))
        if user_id in member_ids:
            return group.pk
    # Before the code is judged: whose quota is full learns nothing about codes.
    _check_group_quota(user_id)
    blocks = Block.objects.filter(
        Q(blocker_id=user_id, blocked__in=member_ids)
        | Q(blocked_id=user_id, blocker__in=member_ids)
    )
    if group is None or len(member_ids) >= MAX_GROUP_MEMBERS or blocks.exists():
        raise Problem(
            404,
            "bad_join_code",
            "No group can be joined with this code. Ask the group's owner for its present code.",
        )
    GroupMembership.objects.create(group=group, user_id=user_id)
    return group.pk


@transaction.atomic
def group_leave(*, group_id: int, user_id: int) -> None:
    """End a membership; the last one ends the group. Raises NotFound if there is none."""
    _lock_group(group_id)
    if not _end_memberships(GroupMembership.objects.filter(group=group_id, user=user_id)):
        raise NotFound


@transaction.atomic
def group_remove_member(*, group_id: int, user_id: int, username: str) -> None:
    """End the membership of another member. Raises like group_rename, and NotFound for no member."""
    group = _lock_own_group(group_id, user_id)
    memberships = GroupMembership.objects.filter(group=group)
    removed = memberships.filter(user__username__lower=without_case(username)).first()
    if removed is None:
        raise NotFound
    if removed.user_id == user_id:
        raise Problem(403, "oneself", "You cannot remove yourself. Leave the group instead.")
    removed.delete()


def groups_leave_shared(*, leaver_id: int, other_id: int) -> None:
    """End the memberships of one member in all groups that two members share."""
    shared = MovieGroup.objects.filter(memberships__user=leaver_id).filter(
        memberships__user=other_id
    )
    _leave(shared, leaver_id)


def groups_leave_all(*, user_id: int) -> None:
    """End all memberships of a member."""
    _leave(MovieGroup.objects.filter(memberships__user=user_id), user_id)


@transaction.atomic
def vote_set(*, group_id: int, user_id: int, movie_id: int, vote: str) -> None:
    """Store a member's vote on a movie, new or instead of an earlier one.

    Raises NotFound for who is no member and for an unknown movie, Problem (409) if the quota of votes
    in the group is full.
    """
    membership = _lock_membership(group_id, user_id)
    if not lock_existing(Movie, [movie_id]):
        raise NotFound
    if not membership.votes.filter(movie_id=movie_id).exists():
        check_quota("group_votes", membership.votes.all())
    GroupVote.objects.update_or_create(
        membership=membership,
        movie_id=movie_id,
        defaults={"vote": vote, "voted_at": timezone.now()},
    )


@transaction.atomic
def vote_delete(*, group_id: int, user_id: int, movie_id: int) -> None:
    """Take a vote back. Raises NotFound if there is none."""
    membership = _lock_membership(group_id, user_id)
    deleted, _ = membership.votes.filter(movie_id=movie_id).delete()
    if not deleted:
        raise NotFound


def _check_group_quota(user_id: int) -> None:
    check_quota("groups", GroupMembership.objects.filter(user=user_id))


def _lock_group(group_id: int) -> MovieGroup:
    group = MovieGroup.objects.select_for_update().filter(pk=group_id).first()
    if group is None:
        raise NotFound
    return group


def _lock_own_group(group_id: int, user_id: int) -> MovieGroup:
    """Lock and return a group that the member owns."""
    group = _lock_group(group_id)
    member_ids = list(group.memberships.present().values_list("user_id", flat=True))
    if user_id not in member_ids:
        raise NotFound
    if member_ids[0] != user_id:
        raise PermissionDenied(ONLY_OWNER)
    return group


def _lock_membership(group_id: int, user_id: int) -> GroupMembership:
    memberships = GroupMembership.objects.select_for_update(no_key=True)
    membership = memberships.filter(group=group_id, user=user_id).first()
    if membership is None:
        raise NotFound
    return membership


def _leave(groups: QuerySet[MovieGroup], user_id: int) -> None:
    ids = list(groups.order_by("pk").select_for_update(of=("self",)).values_list("pk", flat=True))
    _end_memberships(GroupMembership.objects.filter(group__in=ids, user=user_id))


def _end_memberships(memberships: QuerySet[GroupMembership]) -> bool:
    """Delete memberships of locked groups, and groups without any. Return whether there were some."""
    group_ids = list(memberships.values_list("group_id", flat=True))
    memberships.delete()
    MovieGroup.objects.filter(pk__in=group_ids, memberships=None).delete()
    return bool(group_ids)
