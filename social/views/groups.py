"""Endpoints of groups: members, join codes and votes.

The recommendations of a group are an endpoint of the app recommendations.
"""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle

from movies.views import LocalizedViewSet
from nexus.core.api.exceptions import NotFound
from nexus.core.api.pagination import paginate, paginate_list
from nexus.core.api.query_params import PageQuery
from nexus.core.api.throttling import ScopedThrottle, hit_or_raise
from nexus.core.api.views import ApiViewSet, PageOf, contract
from social.filters import GROUPS_NEWEST_FIRST
from social.models import GroupMembership
from social.selectors.groups import get_group, read_groups, read_votes
from social.serializers.groups import (
    GroupJoinSerializer,
    GroupSerializer,
    GroupWriteSerializer,
    MovieVotesSerializer,
    VoteWriteSerializer,
    serialize_group,
    serialize_votes,
)
from social.services.groups import (
    ONLY_OWNER,
    group_create,
    group_delete,
    group_join,
    group_leave,
    group_remove_member,
    group_rename,
    group_renew_join_code,
    vote_delete,
    vote_set,
)

QUOTA = "A quota is full: `too_many_groups`."


class GroupViewSet(ApiViewSet):
    permission_classes = [IsAuthenticated]

    def get_throttles(self) -> list[BaseThrottle]:
        # Nobody may try codes until one fits.
        throttles = super().get_throttles()
        return [*throttles, ScopedThrottle()] if self.action == "join" else throttles

    throttle_scope = "group_join"

    @contract(query=PageQuery, responses={200: PageOf(GroupSerializer)})
    def list(self, request: Request) -> Response:
        """List the groups of the caller, those joined last first."""

        def serialize(memberships: list[GroupMembership]) -> list[dict[str, Any]]:
            groups = read_groups(membership.group_id for membership in memberships)
            return [serialize_group(group, viewer_id=self.member_id) for group in groups]

        own = GroupMembership.objects.filter(user=self.member_id)
        return paginate(request, self.query, own, GROUPS_NEWEST_FIRST, serialize)

    @contract(
        body=GroupWriteSerializer,
        responses={201: GroupSerializer},
        errors={409: QUOTA},
        response_headers={201: ["Location"]},
    )
    def create(self, request: Request) -> Response:
        """Create a group whose only member is the caller.

        `Location` is its URL.
        """
        group = group_create(user_id=self.member_id, **self.body)
        location = request.build_absolute_uri(reverse("group-detail", args=[group.pk]))
        return Response(self._get(group.pk), status=201, headers={"Location": location})

    @contract(responses={200: GroupSerializer})
    def retrieve(self, request: Request, pk: int) -> Response:
        """Get a group of the caller. Others get a 404."""
        return Response(self._get(pk))

    @contract(body=GroupWriteSerializer, responses={200: GroupSerializer}, errors={403: ONLY_OWNER})
    def partial_update(self, request: Request, pk: int) -> Response:
        """Rename a group that the caller owns."""
        if body := self.body:
            group_rename(group_id=pk, user_id=self.member_id, **body)
        return Response(self._get(pk))

    @contract(responses={204: None}, errors={403: ONLY_OWNER})
    def destroy(self, request: Request, pk: int) -> Response:
        """Delete a group that the caller owns, with its votes."""
        group_delete(group_id=pk, user_id=self.member_id)
        return Response(status=204)

    @contract(
        body=GroupJoinSerializer,
        responses={200: GroupSerializer},
        errors={
            404: "No group can be joined with the code: it is unknown or was replaced, the group has ten "
            "members, or one of them and the caller have blocked each other: `bad_join_code`.",
            409: QUOTA,
        },
    )
    def join(self, request: Request) -> Response:
        """Join a group by its code. Joining again changes nothing.

        Joining is consent: in the group all members see each other's match scores and votes, and that
        somebody has seen a movie. Who it was, ratings and what a member has hidden stay private, and
        so do ratings of profiles that a member may not see. Leaving ends it at once.
        """
        hit_or_raise(request, "group_join", f"member {self.member_id}")
        return Response(self._get(group_join(user_id=self.member_id, **self.body)))

    @contract(responses={204: None})
    def leave(self, request: Request, pk: int) -> Response:
        """Leave a group, and take the votes along.

        The member who joined next inherits it from its owner. The last one ends it.
        """
        group_leave(group_id=pk, user_id=self.member_id)
        return Response(status=204)

    @contract(responses={200: GroupSerializer}, errors={403: ONLY_OWNER})
    def renew_join_code(self, request: Request, pk: int) -> Response:
        """Replace the join code of a group that the caller owns. Nobody joins with the old one."""
        group_renew_join_code(group_id=pk, user_id=self.member_id)
        return Response(self._get(pk))

    @contract(
        responses={204: None}, errors={403: f"{ONLY_OWNER} Nobody removes themselves: `oneself`."}
    )
    def remove_member(self, request: Request, pk: int, username: str) -> Response:
        """Remove another member from a group that the caller owns.

        They may join again with the same code: replace it.
        """
        group_remove_member(group_id=pk, user_id=self.member_id, username=username)
        return Response(status=204)

    def _get(self, group_id: int) -> dict[str, Any]:
        group = get_group(group_id=group_id, viewer_id=self.member_id)
        return serialize_group(group, viewer_id=self.member_id)


class GroupVoteViewSet(LocalizedViewSet):
    permission_classes = [IsAuthenticated]

    @contract(query=PageQuery, responses={200: PageOf(MovieVotesSerializer)})
    def list(self, request: Request, pk: int) -> Response:
        """List the votes in a group by movie, the movie with the newest vote first."""
        votes = read_votes(get_group(group_id=pk, viewer_id=self.member_id))
        return paginate_list(request, self.query, votes, serialize_votes)

    @contract(
        body=VoteWriteSerializer,
        responses={200: MovieVotesSerializer},
        errors={409: "A quota is full: `too_many_group_votes`."},
    )
    def update(self, request: Request, pk: int, movie_id: int) -> Response:
        """Vote on a movie, new or instead of an earlier vote.

        The recommendations follow at once: movies with a `yes` come first, those with a `veto` are left
        out. A movie is decided when all members say yes.
        """
        vote_set(group_id=pk, user_id=self.member_id, movie_id=movie_id, **self.body)
        votes = read_votes(get_group(group_id=pk, viewer_id=self.member_id), movie_id)
        serialized = serialize_votes(votes)
        if not serialized:
            raise NotFound  # deleted since the vote
        return Response(serialized[0])

    @contract(responses={204: None})
    def destroy(self, request: Request, pk: int, movie_id: int) -> Response:
        """Take a vote back."""
        vote_delete(group_id=pk, user_id=self.member_id, movie_id=movie_id)
        return Response(status=204)
