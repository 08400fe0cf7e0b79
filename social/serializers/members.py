"""Responses about members: profiles, follows, blocks and feed events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rest_framework import serializers

from accounts.serializers import ProfileWriteSerializer
from movies.availability import MAX_PROVIDER_ID
from movies.fields import RegionField
from nexus.core.api.fields import StrictIntegerField, UTCDateTimeField
from social.selectors.feed import KINDS, PUBLISHED, RATED, REVIEWED, FeedEvent
from social.selectors.playlists import get_playlist_previews
from social.serializers.playlists import PlaylistSerializer
from social.serializers.ratings import PublicRatingSerializer

MAX_OWN_PROVIDERS = 50


class MemberProfileWriteSerializer(ProfileWriteSerializer):
    """The body of PUT and PATCH: omitted fields stay the same."""

    region = RegionField(
        required=False,
        allow_blank=True,
        help_text="ISO 3166-1 code of where the member watches; empty for none.",
    )
    providers = serializers.ListField(
        child=StrictIntegerField(min_value=1, max_value=MAX_PROVIDER_ID),
        max_length=MAX_OWN_PROVIDERS,
        required=False,
        help_text="TMDb's ids of the services the member subscribes to, as in /providers/.",
    )

    class Meta:
        swagger_schema_fields: dict[str, Any] = {
            "example": {
                **ProfileWriteSerializer.Meta.swagger_schema_fields["example"],
                "region": "DE",
                "providers": [8, 337],
            }
        }

    def validate_providers(self, value: list[int]) -> list[int]:
        # TMDb drops providers, so that an unknown id is no error: it offers nothing.
        return list(dict.fromkeys(value))


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
        source="counts.followers", help_text="Those whom the caller may see."
    )
    following = serializers.IntegerField(
        source="counts.following", help_text="Those whom the caller may see."
    )
    is_following = serializers.BooleanField(
        allow_null=True,
        help_text="Whether the caller follows the member; null without a caller and for oneself.",
    )


class FollowerSerializer(serializers.Serializer[Any]):
    """A member who follows the member of the list."""

    username = serializers.CharField(source="follower.username")
    display_name = serializers.CharField(source="follower.display_name")
    avatar_url = serializers.CharField(source="follower.avatar_url")
    since = UTCDateTimeField(source="created_at")


class FollowedSerializer(serializers.Serializer[Any]):
    """A member whom the member of the list follows."""

    username = serializers.CharField(source="followed.username")
    display_name = serializers.CharField(source="followed.display_name")
    avatar_url = serializers.CharField(source="followed.avatar_url")
    since = UTCDateTimeField(source="created_at")


class BlockSerializer(serializers.Serializer[Any]):
    """A member whom the caller has blocked."""

    username = serializers.CharField(source="blocked.username")
    since = UTCDateTimeField(source="created_at")


class FeedEventSerializer(serializers.Serializer[Any]):
    """A member rated or reviewed a movie, or published a playlist.

    The context needs `previews`, as for PlaylistSerializer.
    """

    id = serializers.SerializerMethodField(help_text="Unique in the feed.")
    kind = serializers.ChoiceField(choices=KINDS, source="shown_kind")
    at = UTCDateTimeField(source="position.at")
    user = serializers.CharField(source="username")
    rating = PublicRatingSerializer(allow_null=True)
    playlist = PlaylistSerializer(allow_null=True)

    discriminator = "kind"
    variants: Mapping[str, type[serializers.Serializer[Any]]] = {}

    def get_id(self, event: FeedEvent) -> str:
        return f"{event.position.kind}:{event.position.id}"


def _make_event_serializer(name: str, kind: str, summary: str, **fields: Any) -> Any:
    members = {"kind": serializers.ChoiceField(choices=[kind]), **fields, "variants": None}
    return type(name, (FeedEventSerializer,), {**members, "__doc__": summary})


# For the schema: the kind of an event says which of its two objects is not null. The other one stays
# nullable there, because generators have no good type for a field that is always null.
FeedEventSerializer.variants = {
    RATED: _make_event_serializer(
        "RatedEvent", RATED, "A member rated a movie.", rating=PublicRatingSerializer()
    ),
    REVIEWED: _make_event_serializer(
        "ReviewedEvent", REVIEWED, "A member reviewed a movie.", rating=PublicRatingSerializer()
    ),
    PUBLISHED: _make_event_serializer(
        "PublishedEvent",
        PUBLISHED,
        "A member published a playlist.",
        playlist=PlaylistSerializer(),
    ),
}


def serialize_feed_events(events: Sequence[FeedEvent], *, viewer_id: int) -> Any:
    """Serialize events as the viewer sees them; the previews of playlists take two queries."""
    playlists = [event.playlist for event in events if event.playlist is not None]
    previews = get_playlist_previews(playlists, viewer_id=viewer_id)
    return FeedEventSerializer(events, many=True, context={"previews": previews}).data
