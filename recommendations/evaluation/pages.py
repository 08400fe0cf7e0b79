"""The evaluations stored with a training, as they are shown in admin."""

from __future__ import annotations

from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from recommendations.evaluation.drawings import history_drawing, reliability_drawing
from recommendations.evaluation.report import bars, ranking_rows, scoring_rows


def reports_html(metrics: dict[str, Any]) -> SafeString:
    """Tables and pictures of what `evaluate_recommender` kept in a training's metrics."""
    runs = metrics.get("evaluation", {})
    return format_html_join("", "{}", ((_report(run),) for run in runs.values()))


def _report(run: dict[str, Any]) -> SafeString:
    promised = format_html_join(
        "",
        "<li>{}: {} ({})</li>",
        ((bar.what, f"{bar.value:.3f}", "kept" if bar.kept else "missed") for bar in bars(run)),
    )
    head, *rows = ranking_rows(run)
    scoring_head, *scored = scoring_rows(run)
    # Our own drawings, whose texts are escaped where they are made.
    drawings = mark_safe(reliability_drawing(run) + history_drawing(run))  # noqa: S308
    return format_html(
        "<h3>{}, {} generalisation, seed {}</h3><ul>{}</ul>{}{}{}",
        run["data"]["name"],
        run["protocol"],
        run["seed"],
        promised,
        _table(head, rows),
        _table(scoring_head, scored),
        drawings,
    )


def _table(head: list[str], rows: list[list[str]]) -> SafeString:
    return format_html(
        "<table><tr>{}</tr>{}</table>",
        format_html_join("", "<th>{}</th>", ((each,) for each in head)),
        format_html_join(
            "",
            "<tr>{}</tr>",
            ((format_html_join("", "<td>{}</td>", ((each,) for each in row)),) for row in rows),
        ),
    )
