"""Playlists: ordered lists of movies with notes."""

from __future__ import annotations

import uuid
from typing import Self

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db import models
from django.db.models import F, Q

from movies.models import Movie
from nexus.core.validators import validate_line, validate_text
from social.models.follows import build_visibility_filter
from social.models.ratings import MOVIE_COLUMNS

MAX_NAME_LENGTH = 200
MAX_DESCRIPTION_LENGTH = 2000
MAX_NOTE_LENGTH = 500


def _build_name_vector() -> SearchVector:
    """Return the search vector of the name, in the form that the index below stores."""
    return SearchVector("name", config="simple")


class PlaylistQuerySet(models.QuerySet["Playlist"]):
    def readable_by(self, user_id: int | None) -> Self:
        """Keep the playlists that a member may read if they know the URL."""
        return self.filter(
            ~Q(visibility=Playlist.Visibility.PRIVATE) | Q(owner_id=user_id),
            build_visibility_filter(user_id, "owner"),
        )

    def listed_for(self, user_id: int | None) -> Self:
        """Keep the playlists that are listed for a member: public ones and their own."""
        return self.filter(
            Q(visibility=Playlist.Visibility.PUBLIC) | Q(owner_id=user_id),
            build_visibility_filter(user_id, "owner"),
        )

    def named_like(self, text: str) -> Self:
        """Keep the playlists whose name contains all words of the text, in any case."""
        query = SearchQuery(text, config="simple")
        return self.alias(name_vector=_build_name_vector()).filter(name_vector=query)

    def with_owner(self) -> Self:
        """Join the owner's username."""
        columns = [field.name for field in Playlist._meta.concrete_fields if field.name != "owner"]
        return self.select_related("owner").only(*columns, "owner__username")


class Playlist(models.Model):
    class Visibility(models.TextChoices):
        PUBLIC = "public"
        UNLISTED = "unlisted"
        PRIVATE = "private"

    #: Random, so that the URL of an unlisted playlist cannot be guessed.
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="playlists")
    name = models.CharField(max_length=MAX_NAME_LENGTH, validators=[validate_line])
    description = models.TextField(
        blank=True, max_length=MAX_DESCRIPTION_LENGTH, validators=[validate_text]
    )
    visibility = models.CharField(max_length=10, choices=Visibility, default=Visibility.PUBLIC)
    #: Incremented by each change of the items. A reorder must send it as If-Match.
    version = models.PositiveIntegerField(default=1, editable=False)
    movie_count = models.PositiveIntegerField(default=0, editable=False)
    #: When it first became public. The feed shows it at this time.
    published_at = models.DateTimeField(null=True, blank=True, editable=False)
    #: When a moderator made it private. Its owner cannot share it again until a moderator allows it.
    hidden_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = PlaylistQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="playlist_name_not_empty"),
        ]
        indexes = [
            # One for each ordering. Not only of public playlists: a list also has the viewer's own.
            *(
                models.Index(F(column).desc(), F("id").desc(), name=f"playlist_by_{column}")
                for column in ("created_at", "updated_at", "name", "movie_count")
            ),
            models.Index("owner", F("created_at").desc(), F("id").desc(), name="playlist_owner"),
            models.Index(
                "owner",
                F("published_at").desc(),
                F("id").desc(),
                condition=Q(visibility="public"),
                name="playlist_owner_published",
            ),
            GinIndex(_build_name_vector(), name="playlist_name_words"),
        ]

    def __str__(self) -> str:
        # Not the name: the admin's log stores this text, and outlives the playlist.
        return f"Playlist {self.pk}"


class PlaylistItemQuerySet(models.QuerySet["PlaylistItem"]):
    def with_movie(self) -> Self:
        """Join the columns of each movie's summary."""
        columns = [
            field.name for field in PlaylistItem._meta.concrete_fields if field.name != "movie"
        ]
        return self.select_related("movie").only(*columns, *MOVIE_COLUMNS)


class PlaylistItem(models.Model):
    playlist = models.ForeignKey(Playlist, models.CASCADE, related_name="items")
    movie = models.ForeignKey(Movie, models.CASCADE, related_name="playlist_items")
    #: From 1, without gaps.
    position = models.PositiveIntegerField()
    note = models.CharField(max_length=MAX_NOTE_LENGTH, blank=True, validators=[validate_text])
    added_at = models.DateTimeField(auto_now_add=True)

    objects = PlaylistItemQuerySet.as_manager()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["playlist", "movie"], name="playlist_item_once"),
            models.UniqueConstraint(
                fields=["playlist", "position"],
                name="playlist_item_position",
                # While a reorder runs, two items may have the same position.
                deferrable=models.Deferrable.DEFERRED,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.position}. {self.movie}"
