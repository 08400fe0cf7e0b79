"""The two pictures of an evaluation, as PNG. The one module that needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_SIZE_INCHES, _DOTS = (5.6, 4.2), 150


def reliability_diagram(run: dict[str, Any], path: Path) -> bool:
    """Chance said against part liked, the ratings of each bin below; False with no chances to show."""
    shown = {
        name: [row for row in each["reliability"] if row[0]]
        for name, each in run["recommenders"].items()
        if each["reliability"]
    }
    if not shown:
        return False
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    above.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle="--")
    for name, rows in shown.items():
        count, said, true = zip(*rows, strict=True)
        above.plot(said, true, marker="o", markersize=3, linewidth=1.2, label=name)
        below.step(said, [each / sum(count) for each in count], where="mid", linewidth=1.2)
    above.set(ylabel="part liked", ylim=(0, 1), xlim=(0, 1))
    above.set_title(f"{run['data']['name']}, {run['protocol']}", fontsize=10)
    above.legend(fontsize=8)
    below.set(xlabel="chance said", ylabel="ratings")
    _save(figure, path)
    return True


def history_curve(run: dict[str, Any], path: Path) -> bool:
    """nDCG@10 by length of history; False where only one length was measured."""
    engine = {
        name: [(length, each["ndcg_at_10"]) for length, each in of_one["ranking"].items()]
        for name, of_one in run["recommenders"].items()
    }
    if max((len(points) for points in engine.values()), default=0) < 2:
        return False
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    axes = figure.subplots()
    for name, points in engine.items():
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
