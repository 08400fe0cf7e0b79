"""The watchlist, and the history of viewings."""

from __future__ import annotations

import hashlib
from datetime import UTC, date, datetime
from typing import Self

from django.conf import settings
from django.core.validators import MaxLengthValidator
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import MD5, Coalesce
from django.utils import timezone

from movies.dto import FIRST_YEAR
from movies.models import Movie
from nexus.core.validators import validate_text
from social.models.ratings import MAX_REVIEW_LENGTH, MOVIE_COLUMNS

EARLIEST_VIEWING = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)


class WatchlistItemQuerySet(models.QuerySet["WatchlistItem"]):
    def with_movie(self) -> Self:
        """Join the columns of each movie's summary."""
        return self.select_related("movie").only("user_id", "added_at", *MOVIE_COLUMNS)


class WatchlistItem(models.Model):
    """A movie that a member wants to watch."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="watchlist")
    movie = models.ForeignKey(Movie, models.CASCADE, related_name="watchlist_items")
    added_at = models.DateTimeField(default=timezone.now)

    objects = WatchlistItemQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "movie"], name="watchlist_item_once"),
        ]
        indexes = [
            models.Index(fields=["user", "-added_at", "-id"], name="watchlist_user_newest"),
        ]

    def __str__(self) -> str:
        return f"Watchlist item {self.pk}"


class CalendarFeed(models.Model):
    """The secret address of a member's calendar, as a hash; a member has one at most."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="calendar_feed"
    )
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"Calendar feed {self.pk}"

    @staticmethod
    def hash_secret(secret: str) -> str:
        """Return the digest of a secret. A fast hash is enough: nobody tries 2^256 secrets."""
        return hashlib.sha256(secret.encode()).hexdigest()


class ViewingQuerySet(models.QuerySet["Viewing"]):
    def with_movie(self) -> Self:
        """Join the columns of each movie's summary."""
        columns = ("user_id", "watched_on", "watched_at", "note")
        return self.select_related("movie").only(*columns, *MOVIE_COLUMNS)

    def with_moment(self) -> Self:
        """Annotate `moment`, the order of the viewings of a day: one without a time comes first."""
        return self.annotate(moment=_build_moment())

    def at(self, *, watched_on: date | None, watched_at: datetime | None, note: str) -> Self:
        """Keep the viewings that are the same as one of this time, of a movie.

        Those of the moment, or of the day if the time is not known. Of viewings on unknown days the
        note tells them apart.
        """
        if watched_at is not None:
            return self.filter(watched_at=watched_at)
        if watched_on is not None:
            return self.filter(watched_at=None, watched_on=watched_on)
        return self.filter(watched_at=None, watched_on=None, note=note)


def _build_moment() -> Coalesce:
    """Return the expression in the form that the index below stores."""
    return Coalesce("watched_at", Value(EARLIEST_VIEWING, output_field=models.DateTimeField()))


class Viewing(models.Model):
    """A member watched a movie: at a moment, on a day, or on an unknown day."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="viewings")
    movie = models.ForeignKey(Movie, models.CASCADE, related_name="viewings")
    #: The day where the member was, so that it may differ from the day of `watched_at` in UTC.
    watched_on = models.DateField(null=True)
    watched_at = models.DateTimeField(null=True)
    #: The member's own words, which nobody else sees. As long as a review, because a further review
    #: of a movie is imported as the note of its viewing.
    note = models.TextField(
        blank=True,
        db_default="",
        default="",
        validators=[MaxLengthValidator(MAX_REVIEW_LENGTH), validate_text],
    )

    #: The personal access token of a media server that recorded it, by which a repeated webhook is
    #: recognized. Not a foreign key: the viewing outlives the token, and ids are not used again.
    scrobble_token_id = models.BigIntegerField(null=True, editable=False)

    objects = ViewingQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "movie", "watched_at"], name="viewing_once_a_moment"
            ),
            models.UniqueConstraint(
                fields=["user", "movie", "watched_on"],
                condition=Q(watched_at__isnull=True, watched_on__isnull=False),
                name="viewing_once_a_day",
            ),
            models.UniqueConstraint(
                "user",
                "movie",
                MD5("note"),
                condition=Q(watched_at__isnull=True, watched_on__isnull=True),
                name="viewing_once_a_note",
            ),
            models.CheckConstraint(
                condition=Q(watched_at__isnull=True) | Q(watched_on__isnull=False),
                name="viewing_moment_has_day",
            ),
        ]
        indexes = [
            models.Index(
                F("user"),
                F("watched_on").desc(nulls_last=True),
                _build_moment().desc(),
                F("id").desc(),
                name="viewing_user_latest",
            ),
        ]

    def __str__(self) -> str:
        return f"Viewing {self.pk}"
