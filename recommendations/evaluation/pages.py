"""The evaluations stored with a training, as HTML for the admin."""

from __future__ import annotations

from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from recommendations.evaluation.drawings import draw_history, draw_reliability
from recommendations.evaluation.report import check_bars, list_ranking, list_scoring


def render_evaluations(metrics: dict[str, Any]) -> SafeString:
    """Return the tables and charts that `evaluate_recommender` stored in a training's metrics."""
    runs = metrics.get("evaluation", {})
    return format_html_join("", "{}", ((_render_run(run),) for run in runs.values()))


def _render_run(run: dict[str, Any]) -> SafeString:
    targets = format_html_join(
        "",
        "<li>{}: {} ({})</li>",
        (
            (bar.name, f"{bar.value:.3f}", "met" if bar.is_met else "missed")
            for bar in check_bars(run)
        ),
    )
    header, *rows = list_ranking(run)
    scoring_header, *scoring = list_scoring(run)
    # The drawings escape their own texts.
    drawings = mark_safe(draw_reliability(run) + draw_history(run))  # noqa: S308
    return format_html(
        "<h3>{}, protocol {}, seed {}</h3><ul>{}</ul>{}{}{}",
        run["data"]["name"],
        run["protocol"],
        run["seed"],
        targets,
        _render_table(header, rows),
        _render_table(scoring_header, scoring),
        drawings,
    )


def _render_table(header: list[str], rows: list[list[str]]) -> SafeString:
    return format_html(
        "<table><tr>{}</tr>{}</table>",
        format_html_join("", "<th>{}</th>", ((each,) for each in header)),
        format_html_join(
            "",
            "<tr>{}</tr>",
            ((format_html_join("", "<td>{}</td>", ((each,) for each in row)),) for row in rows),
        ),
    )
