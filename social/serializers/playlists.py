"""Requests and responses of playlists and their items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drf_yasg.utils import swagger_serializer_method
from rest_framework import serializers

from movies.serializers import POSTER_SIZE, MovieSummarySerializer, build_image_url
from nexus.core.api.fields import IdField, LineField, TextField, UTCDateTimeField
from social.models import MAX_DESCRIPTION_LENGTH, MAX_NAME_LENGTH, MAX_NOTE_LENGTH, Playlist
from social.selectors.playlists import PlaylistPreview, get_playlist_previews

MAX_IDS = 100
# Playlists from before the quota have up to 10,000 movies.
MAX_ORDERED_IDS = 10_000


def make_movie_ids_field(*, max_length: int = MAX_IDS, **kwargs: Any) -> serializers.ListField:
    return serializers.ListField(child=IdField(), max_length=max_length, **kwargs)


class PlaylistWriteSerializer(serializers.Serializer[Any]):
    """The body of POST, PUT and PATCH of a playlist."""

    name = LineField(max_length=MAX_NAME_LENGTH)
    description = TextField(required=False, allow_blank=True, max_length=MAX_DESCRIPTION_LENGTH)
    visibility = serializers.ChoiceField(choices=Playlist.Visibility.values, required=False)
    movie_ids = make_movie_ids_field(
        required=False,
        help_text="The whole content, in order. If an update does not send it, it does not change.",
    )

    class Meta:
        swagger_schema_fields = {
            "example": {
                "name": "Rainy evenings",
                "description": "With the lights off.",
                "visibility": "public",
                "movie_ids": [3, 1, 2],
            }
        }


class PlaylistCopySerializer(serializers.Serializer[Any]):
    """The fields in which a copy differs from its source."""

    name = LineField(required=False, max_length=MAX_NAME_LENGTH)
    visibility = serializers.ChoiceField(
        choices=Playlist.Visibility.values, required=False, help_text="Default: private."
    )

    class Meta:
        swagger_schema_fields = {
            "example": {"name": "Rainy evenings, mine", "visibility": "private"}
        }


class PlaylistSerializer(serializers.Serializer[Any]):
    """A playlist.

    The context needs `previews`: the PlaylistPreview of each playlist by id.
    """

    id = serializers.UUIDField()
    owner = serializers.CharField(source="owner.username")
    name = serializers.CharField()
    description = serializers.CharField()
    visibility = serializers.ChoiceField(choices=Playlist.Visibility.values)
    movie_count = serializers.IntegerField()
    cover_urls = serializers.SerializerMethodField(
        help_text="Posters of the first movies, at most 4."
    )
    seen_count = serializers.SerializerMethodField(
        help_text="The number of its movies that the caller has rated or watched. Null without a "
        "caller, and in lists of playlists for one with more than 1,000 movies."
    )
    created_at = UTCDateTimeField()
    updated_at = UTCDateTimeField()

    @swagger_serializer_method(serializers.ListField(child=serializers.URLField()))
    def get_cover_urls(self, playlist: Playlist) -> list[str]:
        paths = self._get_preview(playlist).poster_paths
        return [url for path in paths if (url := build_image_url(path, POSTER_SIZE))]

    @swagger_serializer_method(serializers.IntegerField(allow_null=True))
    def get_seen_count(self, playlist: Playlist) -> int | None:
        return self._get_preview(playlist).seen_count

    def _get_preview(self, playlist: Playlist) -> PlaylistPreview:
        preview: PlaylistPreview = self.context["previews"][playlist.id]
        return preview


def serialize_playlists(playlists: Sequence[Playlist], *, viewer_id: int | None) -> Any:
    """Serialize playlists as the viewer sees them; their previews take two queries in all."""
    previews = get_playlist_previews(playlists, viewer_id=viewer_id)
    return PlaylistSerializer(playlists, many=True, context={"previews": previews}).data


class PlaylistItemSerializer(serializers.Serializer[Any]):
    position = serializers.IntegerField(help_text="From 1, without gaps.")
    note = serializers.CharField()
    added_at = UTCDateTimeField()
    movie = MovieSummarySerializer()


class PlaylistItemsAddSerializer(serializers.Serializer[Any]):
    movie_ids = make_movie_ids_field(allow_empty=False)

    class Meta:
        swagger_schema_fields = {"example": {"movie_ids": [4, 5]}}


class PlaylistItemsAddedSerializer(serializers.Serializer[Any]):
    """The result for each movie id that was sent."""

    added = serializers.ListField(child=serializers.IntegerField())
    existing = serializers.ListField(child=serializers.IntegerField())
    not_found = serializers.ListField(child=serializers.IntegerField())


class PlaylistItemNoteSerializer(serializers.Serializer[Any]):
    note = TextField(required=False, allow_blank=True, max_length=MAX_NOTE_LENGTH)

    class Meta:
        swagger_schema_fields = {"example": {"note": "For the last scene."}}


class PlaylistOrderSerializer(serializers.Serializer[Any]):
    movie_ids = make_movie_ids_field(
        max_length=MAX_ORDERED_IDS, help_text="Every movie of the playlist, in the new order."
    )

    class Meta:
        swagger_schema_fields = {"example": {"movie_ids": [1, 2, 3]}}
