"""Requests and responses of groups and their votes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rest_framework import serializers

from movies.models import Movie
from movies.serializers import SUMMARY_COLUMNS, MovieSummarySerializer, movie_summary_payload
from nexus.core.api.fields import LineField, StrictCharField, UTCDateTimeField
from social.models import GroupVote
from social.models.groups import MAX_GROUP_NAME_LENGTH
from social.selectors.groups import GroupWithMembers, MovieVotes


class GroupWriteSerializer(serializers.Serializer[Any]):
    """The body of POST and PATCH of a group."""

    name = LineField(max_length=MAX_GROUP_NAME_LENGTH)

    class Meta:
        swagger_schema_fields = {"example": {"name": "Friday night"}}


class GroupJoinSerializer(serializers.Serializer[Any]):
    """The code that the owner of a group passes on."""

    join_code = StrictCharField(
        max_length=40, help_text="In upper or lower case; spaces and hyphens are ignored."
    )

    class Meta:
        swagger_schema_fields = {"example": {"join_code": "HX4KD-9WMTC"}}


class GroupMemberSerializer(serializers.Serializer[Any]):
    username = serializers.CharField()
    display_name = serializers.CharField()
    joined_at = UTCDateTimeField(help_text="When the member joined.")


class GroupSerializer(serializers.Serializer[Any]):
    """A group as one of its members sees it."""

    id = serializers.IntegerField()
    name = serializers.CharField()
    owner = serializers.CharField(
        help_text="The member who joined first of those who are in the group."
    )
    members = GroupMemberSerializer(many=True, help_text="In the order of joining.")
    join_code = serializers.CharField(
        allow_null=True, help_text="With it others join; null for everybody but the owner."
    )
    created_at = UTCDateTimeField()


class VoteWriteSerializer(serializers.Serializer[Any]):
    """A vote on a movie."""

    vote = serializers.ChoiceField(
        choices=GroupVote.Vote.choices,
        help_text="`yes`: let us see it. `veto`: not this one; it leaves the recommendations.",
    )

    class Meta:
        swagger_schema_fields = {"example": {"vote": "yes"}}


class MemberVoteSerializer(serializers.Serializer[Any]):
    username = serializers.CharField()
    vote = serializers.ChoiceField(choices=GroupVote.Vote.choices, help_text="The vote.")


class MovieVotesSerializer(serializers.Serializer[Any]):
    movie = MovieSummarySerializer()
    votes = MemberVoteSerializer(many=True, help_text="In the order of joining.")
    decided = serializers.BooleanField(help_text="Whether all members of the group say yes.")


def serialize_group(group: GroupWithMembers, *, viewer_id: int) -> dict[str, Any]:
    """Return a group in the shape of GroupSerializer."""
    is_owner = group.owner.pk == viewer_id
    payload = {
        "id": group.group.pk,
        "name": group.group.name,
        "owner": group.owner.username,
        "members": [
            {
                "username": member.user.username,
                "display_name": member.user.display_name,
                "joined_at": member.joined_at,
            }
            for member in group.members
        ],
        "join_code": group.group.join_code if is_owner else None,
        "created_at": group.group.created_at,
    }
    return dict(GroupSerializer(payload).data)


def serialize_votes(votes: Sequence[MovieVotes]) -> list[dict[str, Any]]:
    """Return votes in the shape of MovieVotesSerializer; one query for the movies of all."""
    movies = Movie.objects.filter(id__in=[each.movie_id for each in votes])
    rows = {row["id"]: row for row in movies.values(*SUMMARY_COLUMNS)}
    return [
        {
            "movie": movie_summary_payload(rows[each.movie_id]),
            "votes": [
                {"username": username, "vote": vote} for username, vote in each.votes.items()
            ],
            "decided": each.is_decided,
        }
        for each in votes
        if each.movie_id in rows
    ]
