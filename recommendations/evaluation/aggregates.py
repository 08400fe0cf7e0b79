"""From what came of the questions to the figures of the report: plain numbers, ready for JSON."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommendations.evaluation import metrics
from recommendations.evaluation.protocol import Outcome

Array = NDArray[np.float64]

#: Histories by length, as the bars have them.
BUCKETS: dict[str, tuple[int, float]] = {
    "0": (0, 0),
    "1-5": (1, 5),
    "6-20": (6, 20),
    "21-100": (21, 100),
    "over 100": (101, math.inf),
}
TOP = 10
#: A figure and its standard error; None where there is none.
Figure = list[float | None]


def ranking(outcome: Outcome, *, popularity: Array) -> dict[str, dict[str, Any]]:
    """By length of the simulated history ("all" last), what the lists are worth.

    `popularity` (m,) is the part of the members in training who have rated each movie.
    """
    found = {}
    lengths = sorted(set(outcome.histories.tolist()) - {-1})
    for length in [*lengths, -1]:
        chosen = (outcome.histories == length) & (outcome.relevant > 0)
        if not chosen.any():
            continue
        hits, relevant = outcome.hits[chosen], outcome.relevant[chosen]
        first = outcome.lists[chosen][:, :TOP]
        found["all" if length < 0 else str(length)] = {
            "members": int(chosen.sum()),
            "ndcg_at_10": _mean(metrics.ndcg(hits, relevant, at=TOP)),
            "recall_at_20": _mean(metrics.recall(hits, relevant, at=20)),
            "recall_at_50": _mean(metrics.recall(hits, relevant, at=50)),
            "coverage_at_10": [metrics.coverage(first, movies=len(popularity)), None],
            "novelty_at_10": [_known(metrics.novelty(first, popularity)), None],
        }
    return found


def scoring(outcome: Outcome) -> dict[str, dict[str, Any]]:
    """By bucket of history length, and "all", what the chances are worth; empty without chances."""
    found: dict[str, dict[str, Any]] = {}
    if outcome.chances is None:
        return found
    for name, (least, most) in {**BUCKETS, "all": (0, math.inf)}.items():
        chosen = (outcome.asked_n >= least) & (outcome.asked_n <= most)
        if chosen.any():
            found[name] = _scored(
                outcome.asked_member[chosen],
                outcome.asked_n[chosen],
                outcome.liked[chosen],
                outcome.chances[chosen],
            )
    return found


def reliability(outcome: Outcome) -> list[list[float | None]]:
    """Of ECE_BINS bins: ratings, mean chance, part liked."""
    if outcome.chances is None or not len(outcome.liked):
        return []
    return [
        [_known(each) for each in row]
        for row in metrics.reliability(outcome.liked, outcome.chances).tolist()
    ]


def _scored(
    members: NDArray[np.int64], n: NDArray[np.int64], liked: NDArray[np.bool_], chances: Array
) -> dict[str, Any]:
    # A member met with two histories is two members to the mean: ranks are compared within one.
    _, met = np.unique(np.column_stack([members, n]), axis=0, return_inverse=True)
    of_member = metrics.auc_by_member(met.ravel(), liked, chances)
    _, groups = np.unique(members, return_inverse=True)

    def with_error(measure: Callable[[NDArray[np.bool_], Array], float]) -> Figure:
        error = metrics.standard_error(lambda keep: measure(liked[keep], chances[keep]), groups)
        return [_known(measure(liked, chances)), _known(error)]

    return {
        "ratings": len(liked),
        "auc": with_error(metrics.auc),
        "mean_auc": _mean(of_member),
        "log_loss": with_error(metrics.log_loss),
        "brier": with_error(metrics.brier),
        "ece": with_error(metrics.ece),
        "ece_by_luck": [metrics.ece_by_luck(chances), None],
    }


def _mean(values: Array) -> Figure:
    known = values[~np.isnan(values)]
    if not len(known):
        return [None, None]
    error = float(known.std(ddof=1) / math.sqrt(len(known))) if len(known) > 1 else math.nan
    return [float(known.mean()), _known(error)]


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
