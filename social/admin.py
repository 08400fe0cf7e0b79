"""Ratings and playlists for moderators, who take away but do not write in a member's name."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from social import services
from social.models import Playlist, PlaylistItem, Rating


class _NoAddition:
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(Rating)
class RatingAdmin(_NoAddition, admin.ModelAdmin):
    list_display = ("user", "movie", "score", "contains_spoilers", "created_at")
    list_filter = ("score", "contains_spoilers")
    list_select_related = ("user", "movie")
    search_fields = ("=user__username", "movie__title")
    search_help_text = "A username, or part of a film's title."
    raw_id_fields = ("user", "movie")
    readonly_fields = ("user", "movie", "score", "created_at", "updated_at")
    ordering = ("-id",)
    show_full_result_count = False

    def save_model(self, request: HttpRequest, obj: Rating, form: ModelForm, change: bool) -> None:
        services.rating_update(
            rating_id=obj.pk, review=obj.review, contains_spoilers=obj.contains_spoilers
        )

    def delete_model(self, request: HttpRequest, obj: Rating) -> None:
        services.rating_delete(rating_id=obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Rating]) -> None:
        for rating_id in queryset.values_list("id", flat=True):
            services.rating_delete(rating_id=rating_id)


@admin.register(Playlist)
class PlaylistAdmin(_NoAddition, admin.ModelAdmin):
    list_display = ("name", "owner", "visibility", "movie_count", "created_at")
    list_filter = ("visibility",)
    list_select_related = ("owner",)
    search_fields = ("name", "=owner__username")
    raw_id_fields = ("owner",)
    readonly_fields = ("id", "owner", "movie_count", "version", "created_at", "updated_at")
    ordering = ("-created_at", "-id")
    show_full_result_count = False


@admin.register(PlaylistItem)
class PlaylistItemAdmin(_NoAddition, admin.ModelAdmin):
    list_display = ("playlist", "position", "movie", "added_at")
    list_select_related = ("playlist", "movie")
    search_fields = ("playlist__name", "movie__title")
    raw_id_fields = ("playlist", "movie")
    readonly_fields = ("playlist", "movie", "position", "added_at")
    ordering = ("-id",)
    show_full_result_count = False

    def save_model(
        self, request: HttpRequest, obj: PlaylistItem, form: ModelForm, change: bool
    ) -> None:
        services.playlist_item_annotate(
            playlist_id=obj.playlist_id, movie_id=obj.movie_id, note=obj.note
        )

    def delete_model(self, request: HttpRequest, obj: PlaylistItem) -> None:
        services.playlist_item_remove(playlist_id=obj.playlist_id, movie_id=obj.movie_id)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[PlaylistItem]) -> None:
        for playlist_id, movie_id in queryset.values_list("playlist_id", "movie_id"):
            services.playlist_item_remove(playlist_id=playlist_id, movie_id=movie_id)
