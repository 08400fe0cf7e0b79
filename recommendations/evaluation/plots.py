"""The two charts of an evaluation as PNG. The only module that needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from recommendations.evaluation.protocol import STRONG

_SIZE_INCHES, _DOTS = (5.6, 4.2), 150


def plot_reliability(run: dict[str, Any], path: Path) -> bool:
    """Plot the share liked by predicted probability. Return False if nothing has probabilities."""
    lines = {
        name: [row for row in each["reliability"] if row[0]]
        for name, each in run["recommenders"].items()
        if each["reliability"]
    }
    if not lines:
        return False
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    curves, counts = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    curves.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--")
    for name, rows in lines.items():
        count, predicted, observed = zip(*rows, strict=True)
        curves.plot(predicted, observed, marker="o", markersize=3, linewidth=1.2, label=name)
        counts.step(predicted, [each / sum(count) for each in count], where="mid", linewidth=1.2)
    curves.set(ylabel="share liked", ylim=(0, 1), xlim=(0, 1))
    curves.set_title(f"{run['data']['name']}, {run['protocol']}", fontsize=10)
    curves.legend(fontsize=8)
    counts.set(xlabel="predicted probability", ylabel="ratings")
    _save(figure, path)
    return True


def plot_history(run: dict[str, Any], path: Path) -> bool:
    """Plot nDCG@10 by length of history. Return False if the protocol has only one length."""
    if run["protocol"] != STRONG:
        return False
    lines = {
        name: [(length, each["ndcg_at_10"]) for length, each in figures["ranking"].items()]
        for name, figures in run["recommenders"].items()
    }
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    axes = figure.subplots()
    for name, points in lines.items():
        axes.errorbar(
            [length for length, _ in points],
            [value for _, (value, _) in points],
            yerr=[error or 0.0 for _, (_, error) in points],
            marker="o",
            markersize=3,
            linewidth=1.2,
            label=name,
        )
    axes.set(xlabel="ratings in the history", ylabel="nDCG@10", ylim=(0, None))
    axes.set_title(f"{run['data']['name']}, new members", fontsize=10)
    axes.legend(fontsize=8)
    _save(figure, path)
    return True


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=_DOTS)
