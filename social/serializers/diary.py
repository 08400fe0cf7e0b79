"""Requests and responses of the watchlist and of viewings."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from movies.dto import FIRST_YEAR
from movies.serializers import MovieSummarySerializer
from nexus.core.api.fields import IdField, TextField, UTCDateTimeField
from social.models import EARLIEST_VIEWING, MAX_REVIEW_LENGTH

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_FUTURE = "This time is in the future. Send the present or a past time."


class WatchlistWriteSerializer(serializers.Serializer[Any]):
    movie = IdField(help_text="A movie's id.")

    class Meta:
        swagger_schema_fields = {"example": {"movie": 1}}


class WatchlistItemSerializer(serializers.Serializer[Any]):
    movie = MovieSummarySerializer()
    added_at = UTCDateTimeField()


class MomentField(UTCDateTimeField):
    """A moment with the offset it was sent with, or a date if only a day was sent."""

    def to_internal_value(self, value: Any) -> date:  # type: ignore[override]
        if isinstance(value, str) and _DAY.fullmatch(value):
            return serializers.DateField().run_validation(value)  # type: ignore[no-any-return]
        return super().to_internal_value(value)

    def enforce_timezone(self, value: datetime) -> datetime:
        # Refuses moments that do not exist in UTC.
        in_utc = super().enforce_timezone(value)
        return value if timezone.is_aware(value) else in_utc


class ViewingWriteSerializer(serializers.Serializer[Any]):
    """A viewing. Without `watched_on` and `watched_at` it is now; if they are null it is unknown."""

    movie = IdField(help_text="A movie's id.")
    watched_on = serializers.DateField(
        required=False,
        allow_null=True,
        help_text="The day, if only that is known. Default: that of watched_at, in its offset.",
    )
    watched_at = MomentField(
        required=False, allow_null=True, help_text="The moment. Not in the future."
    )
    note = TextField(
        required=False,
        allow_blank=True,
        max_length=MAX_REVIEW_LENGTH,
        help_text="The caller's own words, which nobody else sees.",
    )
    keep_in_watchlist = serializers.BooleanField(
        default=False,
        help_text="A watched movie leaves the caller's watchlist, unless this is true.",
    )

    class Meta:
        swagger_schema_fields = {
            "example": {
                "movie": 1,
                "watched_at": "2026-01-31T20:15:00+01:00",
                "note": "With Ben, at the Rex.",
            }
        }

    def validate_watched_on(self, value: date | None) -> date | None:
        # The day that begins first anywhere on Earth.
        if value is not None:
            _check_day(value, last=(timezone.now() + timedelta(hours=14)).date())
        return value

    def validate_watched_at(self, value: date | None) -> date | None:
        if isinstance(value, datetime):
            if value > timezone.now():
                raise serializers.ValidationError(_FUTURE, code="future")
            _check_day(value.astimezone(UTC).date(), last=date.max)
        elif value is not None:
            self.validate_watched_on(value)
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "watched_on" not in attrs and "watched_at" not in attrs:
            return {**attrs, "watched_at": timezone.now()}
        day, moment = attrs.get("watched_on"), attrs.get("watched_at")
        if moment is None:
            return attrs
        moment_day = moment.astimezone(UTC).date() if isinstance(moment, datetime) else moment
        if day is not None and abs(day - moment_day) > timedelta(days=1):
            message = (
                f"watched_at is {moment_day} in UTC, more than a day from it. Send one of the two."
            )
            raise serializers.ValidationError({"watched_on": [ErrorDetail(message, "mismatch")]})
        if not isinstance(moment, datetime):
            return {**attrs, "watched_on": day or moment, "watched_at": None}
        return attrs


def _check_day(day: date, *, last: date) -> None:
    if day > last:
        raise serializers.ValidationError(_FUTURE, code="future")
    if day < EARLIEST_VIEWING.date():
        raise serializers.ValidationError(
            f"There were no movies before {FIRST_YEAR}.", code="too_early"
        )


class ViewingSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    movie = MovieSummarySerializer()
    watched_on = serializers.DateField(
        allow_null=True, help_text="The day; null if it is unknown. Statistics count by it."
    )
    watched_at = UTCDateTimeField(allow_null=True, help_text="Null if only the day is known.")
    note = serializers.CharField()
