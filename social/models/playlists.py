"""Lists of films, ordered and annotated."""

from __future__ import annotations

import uuid
from typing import Self

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db import models
from django.db.models import F, Q

from movies.models import Movie
from social.models.follows import member_visible_to
from social.models.ratings import MOVIE_COLUMNS

MAX_NAME_LENGTH = 200
MAX_DESCRIPTION_LENGTH = 2000
MAX_NOTE_LENGTH = 500


def _name_words() -> SearchVector:
    """The words of a playlist's name, as the index below holds them."""
    return SearchVector("name", config="simple")


class PlaylistQuerySet(models.QuerySet["Playlist"]):
    def readable_by(self, user_id: int | None) -> Self:
        """What may be opened by its link: all but private lists, and of members who may be seen."""
        return self.filter(
            ~Q(visibility=Playlist.Visibility.PRIVATE) | Q(owner_id=user_id),
            member_visible_to(user_id, "owner"),
        )

    def listed_for(self, user_id: int | None) -> Self:
        """What shows in lists: public ones of members who may be seen, and the member's own."""
        return self.filter(
            Q(visibility=Playlist.Visibility.PUBLIC) | Q(owner_id=user_id),
            member_visible_to(user_id, "owner"),
        )

    def named_like(self, text: str) -> Self:
        """Those whose name has all words of the text, in any case."""
        query = SearchQuery(text, config="simple")
        return self.alias(name_words=_name_words()).filter(name_words=query)

    def with_owner(self) -> Self:
        """With the owner's name, in the same query."""
        own = [field.name for field in Playlist._meta.concrete_fields if field.name != "owner"]
        return self.select_related("owner").only(*own, "owner__username")


class Playlist(models.Model):
    class Visibility(models.TextChoices):
        PUBLIC = "public"
        UNLISTED = "unlisted"
        PRIVATE = "private"

    #: Random, so that the link of an unlisted list cannot be guessed.
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="playlists")
    name = models.CharField(max_length=MAX_NAME_LENGTH)
    description = models.TextField(blank=True, max_length=MAX_DESCRIPTION_LENGTH)
    visibility = models.CharField(max_length=10, choices=Visibility, default=Visibility.PUBLIC)
    #: One more with each change of its items; the ETag that a reorder must match.
    version = models.PositiveIntegerField(default=1, editable=False)
    movie_count = models.PositiveIntegerField(default=0, editable=False)
    #: When it first became public; for the feed.
    published_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    objects = PlaylistQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="playlist_name_not_empty"),
        ]
        indexes = [
            # One an ordering; of all lists, because a member's view joins public ones and their own.
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
            GinIndex(_name_words(), name="playlist_name_words"),
        ]

    def __str__(self) -> str:
        return self.name


class PlaylistItemQuerySet(models.QuerySet["PlaylistItem"]):
    def with_movie(self) -> Self:
        """With what a MovieSummary shows of each film, in the same query."""
        own = [field.name for field in PlaylistItem._meta.concrete_fields if field.name != "movie"]
        return self.select_related("movie").only(*own, *MOVIE_COLUMNS)


class PlaylistItem(models.Model):
    playlist = models.ForeignKey(Playlist, models.CASCADE, related_name="items")
    movie = models.ForeignKey(Movie, models.CASCADE, related_name="playlist_items")
    #: From 1, without gaps.
    position = models.PositiveIntegerField()
    note = models.CharField(max_length=MAX_NOTE_LENGTH, blank=True)
    added_at = models.DateTimeField(auto_now_add=True)

    objects = PlaylistItemQuerySet.as_manager()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["playlist", "movie"], name="playlist_item_once"),
            models.UniqueConstraint(
                fields=["playlist", "position"],
                name="playlist_item_position",
                # A reorder passes through doubles on its way.
                deferrable=models.Deferrable.DEFERRED,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.position}. {self.movie}"
