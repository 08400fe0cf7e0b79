"""Reads of groups, for their members alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from accounts.models import User
from nexus.core.api.exceptions import NotFound
from social.models import GroupMembership, GroupVote, MovieGroup, members_visible_to


@dataclass(frozen=True)
class GroupMember:
    user: User
    joined_at: datetime


@dataclass(frozen=True)
class GroupWithMembers:
    """A group with its present members, at least one; the first owns it."""

    group: MovieGroup
    members: list[GroupMember]

    @property
    def owner(self) -> User:
        return self.members[0].user

    @property
    def users(self) -> list[User]:
        return [member.user for member in self.members]


def get_group(*, group_id: int, viewer_id: int) -> GroupWithMembers:
    """Return a group in one query. Raises NotFound for who is no present member."""
    groups = read_groups([group_id])
    if not groups or all(user.pk != viewer_id for user in groups[0].users):
        raise NotFound
    return groups[0]


def read_groups(group_ids: Iterable[int]) -> list[GroupWithMembers]:
    """Return the groups that have present members, in the sequence of the ids, in one query."""
    ids = list(group_ids)
    memberships = GroupMembership.objects.present().filter(group__in=ids)
    groups: dict[int, GroupWithMembers] = {}
    for membership in memberships.select_related("group", "user"):
        group = groups.setdefault(membership.group_id, GroupWithMembers(membership.group, []))
        group.members.append(GroupMember(membership.user, membership.joined_at))
    return [groups[group_id] for group_id in ids if group_id in groups]


def can_see_all(group: GroupWithMembers, *, viewer_id: int) -> bool:
    """Return whether the viewer may see the profiles, and so the ratings, of all members."""
    visible = members_visible_to(viewer_id).filter(pk__in=[user.pk for user in group.users])
    return visible.count() == len(group.users)


def has_shared_group(user_id: int, other_id: int) -> bool:
    """Return whether two members are in one group, and both present."""
    memberships = GroupMembership.objects.present()
    groups = memberships.filter(user=other_id).order_by().values("group")
    return memberships.filter(user=user_id, group__in=groups).exists()


@dataclass(frozen=True)
class MovieVotes:
    """The votes of a group's present members on one movie, by username in the order of joining."""

    movie_id: int
    votes: dict[str, str]
    is_decided: bool

    @property
    def yes_count(self) -> int:
        return sum(vote == GroupVote.Vote.YES for vote in self.votes.values())

    @property
    def is_vetoed(self) -> bool:
        return GroupVote.Vote.VETO in self.votes.values()


def read_votes(group: GroupWithMembers, movie_id: int | None = None) -> list[MovieVotes]:
    """Return the votes of a group by movie, the movie with the newest vote first, in one query.

    With `movie_id` only those on this movie. A movie is decided if all present members say yes.
    """
    rows = GroupVote.objects.filter(membership__group=group.group, membership__user__in=group.users)
    if movie_id is not None:
        rows = rows.filter(movie=movie_id)
    by_movie: dict[int, dict[int, str]] = defaultdict(dict)
    newest_first = rows.order_by("-voted_at", "-id")
    for voted_id, user_id, vote in newest_first.values_list(
        "movie_id", "membership__user_id", "vote"
    ):
        by_movie[voted_id][user_id] = vote
    return [
        MovieVotes(
            movie_id=voted_id,
            votes={user.username: votes[user.pk] for user in group.users if user.pk in votes},
            is_decided=all(votes.get(user.pk) == GroupVote.Vote.YES for user in group.users),
        )
        for voted_id, votes in by_movie.items()
    ]
