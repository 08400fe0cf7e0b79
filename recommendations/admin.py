"""Trainings with their figures, and feedback; both read only. train_recommender makes trainings."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from recommendations.evaluation.pages import render_evaluations
from recommendations.models import Feedback, Training


class ReadOnlyAdmin(admin.ModelAdmin):
    """Pages that show rows and change none."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Training)
class TrainingAdmin(ReadOnlyAdmin):
    list_display = (
        *("id", "state", "active", "algorithm", "rating_count", "member_count", "movie_count"),
        *("held_out", "duration_s", "created_at", "activated_at"),
    )
    list_filter = ("state",)
    fields = (
        *("state", "active", "how_to_roll_back", "algorithm", "created_at", "activated_at"),
        *("rating_count", "member_count", "movie_count", "ratings_since", "newest_rating_at"),
        *("duration_s", "figures", "parameters"),
    )
    readonly_fields = ("how_to_roll_back", "figures")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Training]:
        # A megabyte of binary numbers for each training.
        return super().get_queryset(request).defer("movies")

    @admin.display(description="held-out members")
    def held_out(self, training: Training) -> str:
        figures = training.metrics.get("held_out", {})
        return ", ".join(f"{name} {value}" for name, value in figures.items())

    @admin.display(description="figures")
    def figures(self, training: Training) -> SafeString:
        held_out = json.dumps(training.metrics.get("held_out", {}), indent=2)
        return format_html("<pre>{}</pre>{}", held_out, render_evaluations(training.metrics))

    @admin.display(description="rollback")
    def how_to_roll_back(self, training: Training) -> str:
        if training.active:
            return "manage.py train_recommender --rollback switches back to the training before this one."
        return "This training does not serve."


@admin.register(Feedback)
class FeedbackAdmin(ReadOnlyAdmin):
    list_display = ("user", "movie", "kind", "updated_at")
    list_filter = ("kind",)
    list_select_related = ("user", "movie")
    search_fields = ("=user__username",)
    ordering = ("-id",)
    show_full_result_count = False
