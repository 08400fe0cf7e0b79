"""Admin for moderators. They hide and delete what members wrote, and never write in their name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib import admin
from django.db.models import Count, Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from accounts.admin import UserAdmin
from accounts.models import User
from nexus.core.admin import MemberContentAdmin, count_objects
from social.models import (
    HiddenReview,
    Import,
    MovieGroup,
    Playlist,
    PlaylistItem,
    Rating,
    ReviewReport,
)
from social.selectors.moderation import list_hidden_reviews
from social.services.members import member_deactivate
from social.services.moderation import (
    playlist_hide,
    playlist_restore,
    reports_dismiss,
    review_hide,
    review_restore,
)
from social.services.playlists import playlist_item_annotate, playlist_item_remove
from social.services.ratings import rating_delete
from social.tasks import recount_member_ratings

#: On the page of a playlist, which may have thousands of movies.
SHOWN_PLAYLIST_ITEMS = 200

#: The author and the movie of a review.
Subject = tuple[int, int]

admin.site.unregister(User)


@admin.register(User)
class MemberAdmin(UserAdmin):
    """Users of the accounts app. Public figures do not count deactivated members."""

    def save_model(self, request: HttpRequest, obj: User, form: ModelForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and "is_active" in form.changed_data:
            recount_member_ratings.defer(user_id=obj.pk)

    def deactivate_user(self, user: User) -> bool:
        return member_deactivate(user_id=user.pk)


class ReviewModerationAdmin(MemberContentAdmin):
    """The decisions about reviews, for every list of rows that are about one."""

    def _hide_reviews(self, request: HttpRequest, subjects: Iterable[Subject]) -> None:
        results = [
            review_hide(author_id=author_id, movie_id=movie_id)
            for author_id, movie_id in sorted(set(subjects))
        ]
        hidden = sum(result.is_changed for result in results)
        upheld = sum(result.report_count for result in results)
        text = (
            f"{count_objects(hidden, 'review')} hidden, {count_objects(upheld, 'report')} upheld."
        )
        if len(results) > hidden:
            text += f" {count_objects(len(results) - hidden, 'review')} had been hidden before."
        self.show_result(request, text, is_changed=hidden + upheld > 0)

    def _restore_reviews(self, request: HttpRequest, subjects: Iterable[Subject]) -> None:
        results = [
            review_restore(author_id=author_id, movie_id=movie_id)
            for author_id, movie_id in sorted(set(subjects))
        ]
        shown = sum(result.is_changed for result in results)
        dismissed = sum(result.report_count for result in results)
        text = f"{count_objects(shown, 'review')} shown again, "
        text += f"{count_objects(dismissed, 'report')} dismissed."
        if len(results) > shown:
            text += f" {count_objects(len(results) - shown, 'review')} had not been hidden."
        self.show_result(request, text, is_changed=shown + dismissed > 0)


@admin.register(Rating)
class RatingAdmin(ReviewModerationAdmin):
    list_display = ("user", "movie", "score", "contains_spoilers", "hidden_at", "created_at")
    list_filter = ("score", "contains_spoilers", ("hidden_at", admin.EmptyFieldListFilter))
    actions = ("hide", "restore")
    list_select_related = ("user", "movie")
    search_fields = ("=user__username", "movie__title")
    search_help_text = "A username, or part of a movie's title."
    fields = (
        *("user", "movie", "score", "review", "contains_spoilers"),
        *("hidden_at", "created_at", "updated_at"),
    )
    readonly_fields = ("hidden_at",)
    ordering = ("-id",)

    def view_on_site(self, obj: Rating) -> str:
        return reverse("review-list", args=[obj.movie_id])

    def is_action_useful(self, name: str, obj: Rating) -> bool:
        return (name == "restore") == (obj.hidden_at is not None)

    @admin.action(
        description="Hide the review from everybody but its author", permissions=["change"]
    )
    def hide(self, request: HttpRequest, queryset: QuerySet[Rating]) -> None:
        self._hide_reviews(request, queryset.values_list("user_id", "movie_id"))

    @admin.action(description="Show the hidden review again", permissions=["change"])
    def restore(self, request: HttpRequest, queryset: QuerySet[Rating]) -> None:
        self._restore_reviews(request, queryset.values_list("user_id", "movie_id"))

    def delete_model(self, request: HttpRequest, obj: Rating) -> None:
        # Otherwise the member could post the same review again.
        if obj.review:
            review_hide(author_id=obj.user_id, movie_id=obj.movie_id)
        rating_delete(rating_id=obj.pk)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Rating]) -> None:
        for rating in queryset.only("user_id", "movie_id", "review"):
            self.delete_model(request, rating)


@admin.register(HiddenReview)
class HiddenReviewAdmin(ReviewModerationAdmin):
    """The moderators' decisions, also about reviews that their authors have deleted."""

    list_display = ("user", "movie", "hidden_at")
    list_select_related = ("user", "movie")
    search_fields = ("=user__username", "movie__title")
    search_help_text = "A username, or part of a movie's title."
    ordering = ("-id",)
    actions = ("restore",)

    @admin.action(
        description="Show what the member writes about the movie again", permissions=["change"]
    )
    def restore(self, request: HttpRequest, queryset: QuerySet[HiddenReview]) -> None:
        self._restore_reviews(request, queryset.values_list("user_id", "movie_id"))


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
class ReviewReportAdmin(ReviewModerationAdmin):
    """The moderation queue: the oldest open report first. The actions uphold or dismiss it."""

    list_display = ("reason", "short_review", "author", "short_comment", "state", "created_at")
    list_filter = (ReportStateFilter, "reason")
    list_select_related = ("author", "movie", "rating")
    fields = (
        *("about", "reported_review", "present_review", "reason", "comment", "reporter"),
        *("created_at", "state", "resolved_at", "other_reports", "earlier_hidden_reviews"),
    )
    readonly_fields = (
        *("about", "reported_review", "present_review", "other_reports"),
        "earlier_hidden_reviews",
    )
    ordering = ("created_at", "id")
    actions = ("uphold", "dismiss", "restore")

    def is_action_useful(self, name: str, obj: ReviewReport) -> bool:
        is_hidden = _find_hidden(obj) is not None
        is_open = obj.state == ReviewReport.State.OPEN
        return {"uphold": is_open or not is_hidden, "dismiss": is_open, "restore": is_hidden}[name]

    @admin.display(description="review")
    def short_review(self, report: ReviewReport) -> str:
        return Truncator(report.review).chars(120)

    @admin.display(description="comment")
    def short_comment(self, report: ReviewReport) -> str:
        return Truncator(report.comment).chars(80)

    def view_on_site(self, obj: ReviewReport) -> str | None:
        return reverse("review-list", args=[obj.movie_id]) if obj.movie_id else None

    @admin.display(description="review of")
    def about(self, report: ReviewReport) -> SafeString | str:
        if report.movie is None or report.author is None:
            return "-"
        ratings_url = reverse("admin:social_rating_changelist")
        return format_html(
            '<a href="/movies/{}/">{}</a> ({}), by <a href="{}?q={}">{}</a>',
            report.movie.pk,
            report.movie.title,
            report.movie.release_year or "no year",
            ratings_url,
            report.author.username,
            report.author.username,
        )

    @admin.display(description="review when it was reported")
    def reported_review(self, report: ReviewReport) -> SafeString:
        mark = "marked as containing spoilers" if report.contains_spoilers else "no spoiler mark"
        return format_html("{}<br><em>({})</em>", _format_text(report.review), mark)

    @admin.display(description="review now")
    def present_review(self, report: ReviewReport) -> SafeString | str:
        author_id, movie_id = _get_subject(report)
        rating = Rating.objects.filter(user_id=author_id, movie_id=movie_id).first()
        hidden = _find_hidden(report)
        state = "visible" if hidden is None else f"hidden since {_format_date(hidden.hidden_at)}"
        if rating is None or not rating.review:
            return "Deleted by its author. A new one will be " + (
                "visible." if hidden is None else "hidden."
            )
        if rating.review == report.review:
            return f"Unchanged, {state}."
        return format_html("Changed, {}:<br>{}", state, _format_text(rating.review))

    @admin.display(description="other reports of it")
    def other_reports(self, report: ReviewReport) -> SafeString | str:
        author_id, movie_id = _get_subject(report)
        others = ReviewReport.objects.filter(author_id=author_id, movie_id=movie_id)
        return (
            format_html_join(
                "",
                "<div>{}, {}: {}</div>",
                (
                    (other.get_state_display(), other.get_reason_display(), other.comment or "-")
                    for other in others.exclude(pk=report.pk).order_by("id")[:20]
                ),
            )
            or "none"
        )

    @admin.display(description="earlier hidden reviews of the author")
    def earlier_hidden_reviews(self, report: ReviewReport) -> SafeString | str:
        author_id, movie_id = _get_subject(report)
        reviews = list_hidden_reviews(author_id=author_id, except_movie_id=movie_id)
        return (
            format_html_join(
                "",
                "<div><strong>{}</strong>, hidden {}: {}</div>",
                (
                    (review.title, _format_date(review.hidden_at), _format_text(review.review))
                    for review in reviews
                ),
            )
            or "none"
        )

    @admin.action(
        description="Hide the review and uphold all reports of it", permissions=["change"]
    )
    def uphold(self, request: HttpRequest, queryset: QuerySet[ReviewReport]) -> None:
        self._hide_reviews(request, _list_subjects(queryset))

    @admin.action(
        description="Leave the review and dismiss all reports of it", permissions=["change"]
    )
    def dismiss(self, request: HttpRequest, queryset: QuerySet[ReviewReport]) -> None:
        count = sum(
            reports_dismiss(author_id=author_id, movie_id=movie_id)
            for author_id, movie_id in sorted(set(_list_subjects(queryset)))
        )
        text = f"{count_objects(count, 'report')} dismissed. The reviews did not change."
        self.show_result(request, text, is_changed=count > 0)

    @admin.action(description="Show the hidden review again", permissions=["change"])
    def restore(self, request: HttpRequest, queryset: QuerySet[ReviewReport]) -> None:
        self._restore_reviews(request, _list_subjects(queryset))


def _list_subjects(reports: QuerySet[ReviewReport]) -> list[Subject]:
    rows = reports.filter(author__isnull=False, movie__isnull=False)
    return list(rows.values_list("author_id", "movie_id"))


def _get_subject(report: ReviewReport) -> Subject:
    """Return the author and the movie; zeros for a report that the previous release has written."""
    return report.author_id or 0, report.movie_id or 0


def _find_hidden(report: ReviewReport) -> HiddenReview | None:
    author_id, movie_id = _get_subject(report)
    return HiddenReview.objects.filter(user_id=author_id, movie_id=movie_id).first()


def _format_date(moment: Any) -> str:
    return f"{timezone.localtime(moment):%Y-%m-%d %H:%M}"


def _format_text(text: str) -> SafeString:
    """Return the text with its line breaks."""
    return format_html('<span style="white-space: pre-wrap">{}</span>', text)


@admin.register(Playlist)
class PlaylistAdmin(MemberContentAdmin):
    list_display = ("name", "owner", "visibility", "hidden_at", "movie_count", "created_at")
    list_filter = ("visibility", ("hidden_at", admin.EmptyFieldListFilter))
    list_select_related = ("owner",)
    search_fields = ("name", "=owner__username")
    fields = (
        *("name", "owner", "description", "visibility", "hidden_at", "movie_count", "movies"),
        *("id", "version", "published_at", "created_at", "updated_at"),
    )
    readonly_fields = (
        *("id", "hidden_at", "movie_count", "movies", "version", "published_at"),
        *("created_at", "updated_at"),
    )
    ordering = ("-created_at", "-id")
    actions = ("hide", "restore")

    @admin.display(description="movies")
    def movies(self, playlist: Playlist) -> SafeString | str:
        items = playlist.items.select_related("movie").order_by("position", "id")
        rows = [
            (
                reverse("admin:movies_movie_change", args=[item.movie_id]),
                item.movie.title,
                item.movie.release_year or "no year",
                format_html(": {}", item.note) if item.note else "",
            )
            for item in items[:SHOWN_PLAYLIST_ITEMS]
        ]
        more = playlist.movie_count - len(rows)
        return format_html(
            '<ol style="margin: 0; padding-left: 2em">{}</ol>{}',
            format_html_join(
                "", '<li style="list-style: decimal"><a href="{}">{}</a> ({}){}</li>', rows
            ),
            f"and {more} more" if more > 0 else "",
        )

    def view_on_site(self, obj: Playlist) -> str | None:
        # Only its owner can read a private playlist.
        is_private = obj.visibility == Playlist.Visibility.PRIVATE
        return None if is_private else reverse("playlist-detail", args=[obj.pk])

    def is_action_useful(self, name: str, obj: Playlist) -> bool:
        return (name == "restore") == (obj.hidden_at is not None)

    @admin.action(
        description="Make the playlist private and keep its owner from sharing it",
        permissions=["change"],
    )
    def hide(self, request: HttpRequest, queryset: QuerySet[Playlist]) -> None:
        ids = list(queryset.values_list("id", flat=True))
        count = sum(playlist_hide(playlist_id=playlist_id) for playlist_id in ids)
        text = f"{count_objects(count, 'playlist')} hidden."
        self.show_result(request, text, is_changed=count > 0)

    @admin.action(description="Let the owner share the playlist again", permissions=["change"])
    def restore(self, request: HttpRequest, queryset: QuerySet[Playlist]) -> None:
        ids = list(queryset.values_list("id", flat=True))
        count = sum(playlist_restore(playlist_id=playlist_id) for playlist_id in ids)
        text = f"The owners of {count_objects(count, 'playlist')} may share them again."
        self.show_result(request, text, is_changed=count > 0)


@admin.register(PlaylistItem)
class PlaylistItemAdmin(MemberContentAdmin):
    list_display = ("playlist_name", "position", "movie", "note", "added_at")
    list_select_related = ("playlist", "movie")
    search_fields = ("playlist__name", "movie__title")
    fields = ("playlist", "playlist_name", "movie", "position", "note", "added_at")
    readonly_fields = ("playlist_name", "added_at")
    ordering = ("-id",)
    actions = ("remove_note",)

    def is_action_useful(self, name: str, obj: PlaylistItem) -> bool:
        return bool(obj.note)

    @admin.display(description="name of the playlist")
    def playlist_name(self, item: PlaylistItem) -> str:
        return item.playlist.name

    @admin.action(description="Remove the note", permissions=["change"])
    def remove_note(self, request: HttpRequest, queryset: QuerySet[PlaylistItem]) -> None:
        items = list(queryset.exclude(note="").values_list("playlist_id", "movie_id"))
        for playlist_id, movie_id in items:
            playlist_item_annotate(playlist_id=playlist_id, movie_id=movie_id, note="")
        text = f"{count_objects(len(items), 'note')} removed."
        self.show_result(request, text, is_changed=bool(items))

    def delete_model(self, request: HttpRequest, obj: PlaylistItem) -> None:
        playlist_item_remove(playlist_id=obj.playlist_id, movie_id=obj.movie_id)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[PlaylistItem]) -> None:
        for playlist_id, movie_id in queryset.values_list("playlist_id", "movie_id"):
            playlist_item_remove(playlist_id=playlist_id, movie_id=movie_id)


@admin.register(MovieGroup)
class MovieGroupAdmin(MemberContentAdmin):
    """Shows groups without their join code, with which anybody could join."""

    list_display = ("name", "member_count", "created_at")
    search_fields = ("name",)
    fields = ("name", "members", "created_at", "id")
    readonly_fields = ("members", "created_at", "id")
    ordering = ("-created_at", "-id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[MovieGroup]:
        groups: QuerySet[MovieGroup] = super().get_queryset(request)
        return groups.annotate(member_count=Count("memberships"))

    @admin.display(description="members")
    def member_count(self, group: Any) -> int:
        count: int = group.member_count
        return count

    @admin.display(description="members, the owner first")
    def members(self, group: MovieGroup) -> str:
        memberships = group.memberships.order_by("joined_at", "id")
        return ", ".join(memberships.values_list("user__username", flat=True)) or "-"


@admin.register(Import)
class ImportAdmin(MemberContentAdmin):
    """Shows support the progress of an import and why it failed, but not its rows."""

    list_display = ("id", "user", "filename", "format", "state", "position", "total", "reason")
    list_filter = ("state", "format")
    list_select_related = ("user",)
    search_fields = ("=user__username",)
    search_help_text = "A username."
    ordering = ("-id",)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        # Only members apply and undo their imports.
        return False
