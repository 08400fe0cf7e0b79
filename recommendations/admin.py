"""Trainings with their figures, and feedback; both read only. train_recommender makes trainings."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from nexus.core.admin import format_number
from recommendations.evaluation.drawings import draw_reliability
from recommendations.evaluation.pages import render_evaluations
from recommendations.models import Feedback, Training

#: The figures of a training on members it has not seen.
HELD_OUT_LABELS = {
    "members": "members",
    "ratings": "ratings",
    "ndcg_at_10": "nDCG@10",
    "auc": "AUC",
    "log_loss": "log loss",
    "ece": "ECE",
}


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
        *("id", "state", "active", "algorithm", "data", "held_out", "duration", "created_at"),
    )
    list_filter = ("state",)
    fields = (
        *("state", "active", "how_to_roll_back", "algorithm", "created_at", "activated_at"),
        *("rating_count", "member_count", "movie_count", "ratings_since", "newest_rating_at"),
        *("duration", "figures", "parameter_lines"),
    )
    readonly_fields = ("how_to_roll_back", "duration", "figures", "parameter_lines")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Training]:
        # A megabyte of binary numbers for each training.
        return super().get_queryset(request).defer("movies")

    @admin.display(description="learned from")
    def data(self, training: Training) -> str:
        return (
            f"{training.rating_count:,} ratings of {training.member_count:,} members, "
            f"{training.movie_count:,} movies"
        )

    @admin.display(description="held-out members")
    def held_out(self, training: Training) -> str:
        figures = training.metrics.get("held_out", {})
        return ", ".join(
            f"{HELD_OUT_LABELS[name]} {_format_figure(figures[name], digits=3)}"
            for name in ("ndcg_at_10", "auc", "ece")
            if name in figures
        )

    @admin.display(description="took", ordering="duration_s")
    def duration(self, training: Training) -> str:
        return "-" if training.duration_s is None else f"{format_number(training.duration_s)} s"

    @admin.display(description="figures")
    def figures(self, training: Training) -> SafeString:
        held_out = training.metrics.get("held_out", {})
        diagram = {"held-out members": {"reliability": training.metrics.get("reliability", [])}}
        return format_html(
            "<table>{}</table>{}{}",
            format_html_join(
                "",
                "<tr><th>{}</th><td>{}</td></tr>",
                (
                    (label, _format_figure(held_out[name], digits=4))
                    for name, label in HELD_OUT_LABELS.items()
                    if name in held_out
                ),
            ),
            # The drawing escapes its own texts.
            mark_safe(draw_reliability({"recommenders": diagram})),  # noqa: S308
            render_evaluations(training.metrics),
        )

    @admin.display(description="parameters")
    def parameter_lines(self, training: Training) -> SafeString:
        return format_html("<pre>{}</pre>", json.dumps(training.parameters, indent=2))

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


def _format_figure(value: float, *, digits: int) -> str:
    return format_number(value, digits=0 if isinstance(value, int) else digits)
