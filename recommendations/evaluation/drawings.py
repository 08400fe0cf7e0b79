"""The charts of an evaluation as inline SVG, for pages without matplotlib. Free of Django."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from recommendations.evaluation.protocol import STRONG

_WIDTH, _HEIGHT, _MARGIN = 420, 320, 44
_COLORS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b")
_TICKS = 5

Point = tuple[float, float]


def draw_reliability(run: dict[str, Any]) -> str:
    """Draw the share liked by predicted probability. Return "" if nothing has probabilities."""
    lines = {
        name: [(row[1], row[2]) for row in each["reliability"] if row[0]]
        for name, each in run["recommenders"].items()
        if each["reliability"]
    }
    if not lines:
        return ""
    labels = [f"{each / _TICKS:.1f}" for each in range(_TICKS + 1)]
    diagonal = f'<polyline points="{_format_path([(0.0, 0.0), (1.0, 1.0)])}" fill="none" stroke="#999" stroke-dasharray="4"/>'
    return _draw_chart(
        lines, "predicted probability", "share liked", labels, labels, background=diagonal
    )


def draw_history(run: dict[str, Any]) -> str:
    """Draw nDCG@10 by length of history. Return "" if the protocol has only one length."""
    if run["protocol"] != STRONG:
        return ""
    values = {
        name: [
            (length, each["ndcg_at_10"][0] or 0.0) for length, each in figures["ranking"].items()
        ]
        for name, figures in run["recommenders"].items()
    }
    lengths = list(dict.fromkeys(length for line in values.values() for length, _ in line))
    if len(lengths) < 2:
        return ""
    highest = max(value for line in values.values() for _, value in line) * 1.1 or 1.0
    lines = {
        name: [
            (lengths.index(length) / (len(lengths) - 1), value / highest) for length, value in line
        ]
        for name, line in values.items()
    }
    scale = [f"{highest * each / _TICKS:.2f}" for each in range(_TICKS + 1)]
    return _draw_chart(lines, "ratings in the history", "nDCG@10", lengths, scale)


def _draw_chart(
    lines: dict[str, list[Point]],
    x_title: str,
    y_title: str,
    x_labels: Sequence[str],
    y_labels: Sequence[str],
    *,
    background: str = "",
) -> str:
    """Draw lines of points between 0 and 1 with axes, evenly spaced labels and a legend."""
    parts = [
        f'<rect x="{_x(0):.0f}" y="{_y(1):.0f}" width="{_x(1) - _x(0):.0f}" '
        f'height="{_y(0) - _y(1):.0f}" fill="none" stroke="currentColor" stroke-opacity="0.4"/>',
        background,
    ]
    for place, label in enumerate(x_labels):
        x = _x(place / max(len(x_labels) - 1, 1))
        parts.append(_draw_text(x, _y(0) + 14, label, anchor="middle"))
    for place, label in enumerate(y_labels):
        y = _y(place / max(len(y_labels) - 1, 1))
        parts.append(_draw_text(_x(0) - 5, y + 4, label, anchor="end"))
    parts.append(_draw_text(_x(0.5), _HEIGHT - 4, x_title, anchor="middle"))
    parts.append(_draw_text(_x(0), _y(1) - 8, y_title))
    for place, (name, points) in enumerate(lines.items()):
        color = _COLORS[place % len(_COLORS)]
        parts.append(
            f'<polyline points="{_format_path(points)}" fill="none" stroke="{color}" stroke-width="2"/>'
        )
        parts += [
            f'<circle cx="{_x(x):.1f}" cy="{_y(y):.1f}" r="3" fill="{color}"/>' for x, y in points
        ]
        parts.append(_draw_text(_x(0.02), _y(1) + 16 + 14 * place, name, color=color))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-size="11" role="img" '
        f'aria-label="{escape(y_title)} by {escape(x_title)}">{"".join(parts)}</svg>'
    )


def _draw_text(
    x: float, y: float, text: str, *, anchor: str = "start", color: str = "currentColor"
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}">{escape(text)}</text>'
    )


def _format_path(points: Sequence[Point]) -> str:
    return " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)


def _x(share: float) -> float:
    return _MARGIN + share * (_WIDTH - 1.4 * _MARGIN)


def _y(share: float) -> float:
    return _HEIGHT - _MARGIN - share * (_HEIGHT - 1.7 * _MARGIN)
