"""An evaluation's pictures as inline SVG, for pages that draw without matplotlib. Free of Django."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

_WIDTH, _HEIGHT, _MARGIN = 420, 320, 44
_COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b")
_TICKS = 5

Point = tuple[float, float]


def reliability_drawing(run: dict[str, Any]) -> str:
    """Chance said against part liked, a line for each recommender; empty with no chances."""
    lines = {
        name: [(row[1], row[2]) for row in each["reliability"] if row[0]]
        for name, each in run["recommenders"].items()
        if each["reliability"]
    }
    if not lines:
        return ""
    labels = [f"{each / _TICKS:.1f}" for each in range(_TICKS + 1)]
    diagonal = f'<polyline points="{_path([(0.0, 0.0), (1.0, 1.0)])}" fill="none" stroke="#999" stroke-dasharray="4"/>'
    return _chart(lines, "chance said", "part liked", labels, labels, before=diagonal)


def history_drawing(run: dict[str, Any]) -> str:
    """nDCG@10 by length of history, a line for each recommender; empty with only one length."""
    values = {
        name: [(length, each["ndcg_at_10"][0] or 0.0) for length, each in of_one["ranking"].items()]
        for name, of_one in run["recommenders"].items()
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
    return _chart(lines, "ratings in the history", "nDCG@10", lengths, scale)


def _chart(
    lines: dict[str, list[Point]],
    across: str,
    up: str,
    labels_across: Sequence[str],
    labels_up: Sequence[str],
    *,
    before: str = "",
) -> str:
    """Lines whose points lie between 0 and 1, with axes, evenly spaced labels and a key."""
    parts = [
        f'<rect x="{_x(0):.0f}" y="{_y(1):.0f}" width="{_x(1) - _x(0):.0f}" '
        f'height="{_y(0) - _y(1):.0f}" fill="none" stroke="currentColor" stroke-opacity="0.4"/>',
        before,
    ]
    for place, label in enumerate(labels_across):
        x = _x(place / max(len(labels_across) - 1, 1))
        parts.append(_text(x, _y(0) + 14, label, anchor="middle"))
    for place, label in enumerate(labels_up):
        y = _y(place / max(len(labels_up) - 1, 1))
        parts.append(_text(_x(0) - 5, y + 4, label, anchor="end"))
    parts.append(_text(_x(0.5), _HEIGHT - 4, across, anchor="middle"))
    parts.append(_text(_x(0), _y(1) - 8, up))
    for place, (name, points) in enumerate(lines.items()):
        colour = _COLOURS[place % len(_COLOURS)]
        parts.append(
            f'<polyline points="{_path(points)}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        parts += [
            f'<circle cx="{_x(x):.1f}" cy="{_y(y):.1f}" r="3" fill="{colour}"/>' for x, y in points
        ]
        parts.append(_text(_x(0.02), _y(1) + 16 + 14 * place, name, colour=colour))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-size="11" role="img" '
        f'aria-label="{escape(up)} by {escape(across)}">{"".join(parts)}</svg>'
    )


def _text(
    x: float, y: float, text: str, *, anchor: str = "start", colour: str = "currentColor"
) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def _path(points: Sequence[Point]) -> str:
    return " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)


def _x(part: float) -> float:
    return _MARGIN + part * (_WIDTH - 1.4 * _MARGIN)


def _y(part: float) -> float:
    return _HEIGHT - _MARGIN - part * (_HEIGHT - 1.7 * _MARGIN)
