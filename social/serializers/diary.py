"""Requests and responses of the watchlist and of viewings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.utils import timezone
from rest_framework import serializers

from movies.dto import FIRST_YEAR
from movies.serializers import MovieSummarySerializer
from nexus.core.api.fields import IdField, UTCDateTimeField

EARLIEST = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)


class WatchlistWriteSerializer(serializers.Serializer[Any]):
    movie = IdField(help_text="A movie's id.")

    class Meta:
        swagger_schema_fields = {"example": {"movie": 1}}


class WatchlistItemSerializer(serializers.Serializer[Any]):
    movie = MovieSummarySerializer()
    added_at = UTCDateTimeField()


class ViewingWriteSerializer(serializers.Serializer[Any]):
    movie = IdField(help_text="A movie's id.")
    watched_at = UTCDateTimeField(required=False, help_text="Default: now. Not in the future.")

    class Meta:
        swagger_schema_fields = {"example": {"movie": 1, "watched_at": "2026-01-31T20:15:00Z"}}

    def validate_watched_at(self, value: datetime) -> datetime:
        if value > timezone.now():
            raise serializers.ValidationError(
                "This time is in the future. Send the present or a past time.", code="future"
            )
        if value < EARLIEST:
            raise serializers.ValidationError(
                f"There were no movies before {FIRST_YEAR}.", code="too_early"
            )
        return value


class ViewingSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    movie = MovieSummarySerializer()
    watched_at = UTCDateTimeField()
