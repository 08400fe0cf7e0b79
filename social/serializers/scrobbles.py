"""The webhook bodies of media servers, for the schema: they are read as far as they are understood."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from nexus.core.api.query_params import QuerySerializer


class ScrobbleQuery(QuerySerializer):
    token = serializers.CharField(
        required=False,
        help_text="A personal access token whose only scope is `scrobble`, for servers that cannot"
        " send headers.",
    )


class WebhookSerializer(serializers.Serializer[Any]):
    """The webhook of a media server, as it sends it. Other fields are ignored."""

    event = serializers.CharField(required=False, help_text="Plex, Kodi: what has happened.")
    Metadata = serializers.DictField(required=False, help_text="Plex: what was played.")
    NotificationType = serializers.CharField(
        required=False, help_text="Jellyfin: what has happened."
    )
    ItemType = serializers.CharField(required=False, help_text="Jellyfin: `Movie`.")
    Name = serializers.CharField(required=False, help_text="Jellyfin: the title.")
    Year = serializers.IntegerField(required=False, help_text="Jellyfin: the year.")
    Provider_imdb = serializers.CharField(required=False, help_text="Jellyfin: the IMDb id.")
    Provider_tmdb = serializers.CharField(required=False, help_text="Jellyfin: the TMDb id.")
    PlayedToCompletion = serializers.BooleanField(
        required=False, help_text="Jellyfin: whether the movie was played to its end."
    )
    Event = serializers.CharField(required=False, help_text="Emby: what has happened.")
    Item = serializers.DictField(required=False, help_text="Emby: what was played.")
    PlaybackInfo = serializers.DictField(required=False, help_text="Emby: how far it was played.")
    title = serializers.CharField(required=False, help_text="Kodi: the title.")
    year = serializers.IntegerField(required=False, help_text="Kodi: the year.")
    uniqueid = serializers.DictField(required=False, help_text="Kodi: the ids by service.")
    progress = serializers.FloatField(required=False, help_text="Kodi: percent of the movie.")

    class Meta:
        swagger_schema_fields = {
            "example": {
                "NotificationType": "PlaybackStop",
                "ItemType": "Movie",
                "Name": "Alien",
                "Year": 1979,
                "Provider_tmdb": "348",
                "PlayedToCompletion": True,
            }
        }
