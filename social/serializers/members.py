"""Members as others see them, and what those whom one follows did."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from nexus.core.api.fields import UTCDateTimeField
from social.selectors.feed import KINDS, FeedEvent
from social.serializers.playlists import PlaylistSerializer
from social.serializers.ratings import PublicRatingSerializer


class PublicProfileSerializer(serializers.Serializer[Any]):
    """A member as others see them."""

    username = serializers.CharField(source="member.username")
    display_name = serializers.CharField(source="member.display_name")
    bio = serializers.CharField(source="member.bio")
    avatar_url = serializers.CharField(source="member.avatar_url")
    favorite_genres = serializers.ListField(
        source="member.favorite_genres", child=serializers.CharField()
    )
    date_joined = UTCDateTimeField(source="member.date_joined")
    followers = serializers.IntegerField(
        source="counts.followers", help_text="As the list of them counts for the caller."
    )
    following = serializers.IntegerField(
        source="counts.following", help_text="As the list of them counts for the caller."
    )
    is_following = serializers.BooleanField(
        allow_null=True, help_text="Whether the caller follows them; null for nobody and oneself."
    )


class FollowerSerializer(serializers.Serializer[Any]):
    """A member who follows."""

    username = serializers.CharField(source="follower.username")
    display_name = serializers.CharField(source="follower.display_name")
    avatar_url = serializers.CharField(source="follower.avatar_url")
    since = UTCDateTimeField(source="created_at")


class FollowedSerializer(serializers.Serializer[Any]):
    """A member who is followed."""

    username = serializers.CharField(source="followed.username")
    display_name = serializers.CharField(source="followed.display_name")
    avatar_url = serializers.CharField(source="followed.avatar_url")
    since = UTCDateTimeField(source="created_at")


class BlockSerializer(serializers.Serializer[Any]):
    """A member whom the caller has blocked."""

    username = serializers.CharField(source="blocked.username")
    since = UTCDateTimeField(source="created_at")


class FeedEventSerializer(serializers.Serializer[Any]):
    """A thing that somebody did: rated or reviewed a film, or published a playlist.

    Wants the playlists' looks in the context, as PlaylistSerializer does.
    """

    id = serializers.SerializerMethodField(help_text="Unique in the feed.")
    kind = serializers.ChoiceField(choices=KINDS, source="shown_kind")
    at = UTCDateTimeField(source="position.at")
    user = serializers.CharField(source="username")
    rating = PublicRatingSerializer(allow_null=True)
    playlist = PlaylistSerializer(allow_null=True)

    def get_id(self, event: FeedEvent) -> str:
        return f"{event.position.kind}:{event.position.id}"
