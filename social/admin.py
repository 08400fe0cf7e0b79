"""Admin for moderators. They hide and delete members' content but do not add any."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.text import Truncator

from social.models import Import, Playlist, PlaylistItem, Rating, ReviewReport
from social.services.moderation import reports_dismiss, review_hide, review_restore
from social.services.playlists import playlist_item_annotate, playlist_item_remove, playlist_update
from social.services.ratings import rating_delete, rating_update


class NoAddMixin:
    """Members create these rows through the API; staff add none."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(Rating)
class RatingAdmin(NoAddMixin, admin.ModelAdmin):
    list_display = ("user", "movie", "score", "contains_spoilers", "hidden_at", "created_at")
    list_filter = ("score", "contains_spoilers", ("hidden_at", admin.EmptyFieldListFilter))
    actions = ("hide", "restore")
    list_select_related = ("user", "movie")
    search_fields = ("=user__username", "movie__title")
    search_help_text = "A username, or part of a movie's title."
    raw_id_fields = ("user", "movie")
    readonly_fields = ("user", "movie", "score", "hidden_at", "created_at", "updated_at")
    ordering = ("-id",)
    show_full_result_count = False

    @admin.action(
        description="Hide the review from everybody but its author", permissions=["change"]
    )
    def hide(self, request: HttpRequest, queryset: QuerySet[Rating]) -> None:
        for rating_id in queryset.values_list("id", flat=True):
            review_hide(rating_id=rating_id)

    @admin.action(description="Show the hidden review again", permissions=["change"])
    def restore(self, request: HttpRequest, queryset: QuerySet[Rating]) -> None:
        for rating_id in queryset.values_list("id", flat=True):
            review_restore(rating_id=rating_id)

    def save_model(self, request: HttpRequest, obj: Rating, form: ModelForm, change: bool) -> None:
        rating_update(rating_id=obj.pk, review=obj.review, contains_spoilers=obj.contains_spoilers)

    def delete_model(self, request: HttpRequest, obj: Rating) -> None:
        rating_delete(rating_id=obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Rating]) -> None:
        for rating_id in queryset.values_list("id", flat=True):
            rating_delete(rating_id=rating_id)


class ReportStateFilter(admin.SimpleListFilter):
    """Shows open reports by default, because the page is the moderation queue."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        resolved = [choice for choice in ReviewReport.State.choices if choice[0] != "open"]
        return [*resolved, ("all", "all")]

    def choices(self, changelist: Any) -> Iterator[Any]:
        for choice in super().choices(changelist):
            # Django labels the choice without a value "All". Here it selects the open reports.
            yield {**choice, "display": "open" if choice["display"] == "All" else choice["display"]}

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[ReviewReport]
    ) -> QuerySet[ReviewReport]:
        if self.value() == "all":
            return queryset
        return queryset.filter(state=self.value() or ReviewReport.State.OPEN)


@admin.register(ReviewReport)
class ReviewReportAdmin(NoAddMixin, admin.ModelAdmin):
    """The moderation queue: the oldest open report first. The actions uphold or dismiss it."""

    list_display = ("id", "reason", "comment", "author", "review", "state", "created_at")
    list_filter = (ReportStateFilter, "reason")
    list_select_related = ("rating__user",)
    raw_id_fields = ("rating", "reporter")
    readonly_fields = ("author", "full_review")
    ordering = ("created_at", "id")
    actions = ("uphold", "dismiss")
    show_full_result_count = False

    def has_change_permission(self, request: HttpRequest, obj: ReviewReport | None = None) -> bool:
        # The actions decide a report; its fields are read-only.
        return obj is None and super().has_change_permission(request)

    @admin.display(description="review by")
    def author(self, report: ReviewReport) -> str:
        return report.rating.user.username

    @admin.display(description="review")
    def review(self, report: ReviewReport) -> str:
        return Truncator(report.rating.review).chars(200)

    @admin.display(description="review")
    def full_review(self, report: ReviewReport) -> str:
        return report.rating.review

    @admin.action(
        description="Hide the review and uphold all reports of it", permissions=["change"]
    )
    def uphold(self, request: HttpRequest, queryset: QuerySet[ReviewReport]) -> None:
        for rating_id in set(queryset.values_list("rating_id", flat=True)):
            review_hide(rating_id=rating_id)

    @admin.action(
        description="Leave the review and dismiss all reports of it", permissions=["change"]
    )
    def dismiss(self, request: HttpRequest, queryset: QuerySet[ReviewReport]) -> None:
        for rating_id in set(queryset.values_list("rating_id", flat=True)):
            reports_dismiss(rating_id=rating_id)


@admin.register(Playlist)
class PlaylistAdmin(NoAddMixin, admin.ModelAdmin):
    list_display = ("name", "owner", "visibility", "movie_count", "created_at")
    list_filter = ("visibility",)
    list_select_related = ("owner",)
    search_fields = ("name", "=owner__username")
    raw_id_fields = ("owner",)
    readonly_fields = (
        "id",
        "owner",
        "movie_count",
        "version",
        "published_at",
        "created_at",
        "updated_at",
    )
    ordering = ("-created_at", "-id")
    show_full_result_count = False

    def save_model(
        self, request: HttpRequest, obj: Playlist, form: ModelForm, change: bool
    ) -> None:
        playlist_update(
            playlist_id=obj.pk,
            name=obj.name,
            description=obj.description,
            visibility=obj.visibility,
        )


@admin.register(PlaylistItem)
class PlaylistItemAdmin(NoAddMixin, admin.ModelAdmin):
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
        playlist_item_annotate(playlist_id=obj.playlist_id, movie_id=obj.movie_id, note=obj.note)

    def delete_model(self, request: HttpRequest, obj: PlaylistItem) -> None:
        playlist_item_remove(playlist_id=obj.playlist_id, movie_id=obj.movie_id)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[PlaylistItem]) -> None:
        for playlist_id, movie_id in queryset.values_list("playlist_id", "movie_id"):
            playlist_item_remove(playlist_id=playlist_id, movie_id=movie_id)


@admin.register(Import)
class ImportAdmin(NoAddMixin, admin.ModelAdmin):
    """Shows support the progress of an import and why it failed, but not its rows."""

    list_display = ("id", "user", "filename", "format", "state", "position", "total", "reason")
    list_filter = ("state", "format")
    list_select_related = ("user",)
    search_fields = ("=user__username",)
    search_help_text = "A username."
    ordering = ("-id",)
    show_full_result_count = False

    def has_change_permission(self, request: HttpRequest, obj: Import | None = None) -> bool:
        # Only members apply and undo their imports.
        return False
