"""From outcomes to the figures of the report: plain numbers, ready for JSON."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommendations.evaluation import metrics
from recommendations.evaluation.protocol import ALL, NEW, WITH_HISTORY, Outcome

Array = NDArray[np.float64]

#: Lengths of history by which calibration is reported.
BUCKETS: dict[str, tuple[int, float]] = {
    "0": (0, 0),
    "1-5": (1, 5),
    "6-20": (6, 20),
    "21-100": (21, 100),
    "over 100": (101, math.inf),
}
TOP = 10
#: A figure and its standard error; None if unknown.
Figure = list[float | None]


def aggregate_ranking(outcome: Outcome, *, popularity: Array) -> dict[str, dict[str, Any]]:
    """Return the figures of the lists by group of cases.

    `popularity` (m,) is the share of the members who have rated each movie.
    """
    figures = {}
    for group in _sort_groups(outcome.groups):
        in_group = outcome.groups == group
        chosen = in_group & (outcome.relevant > 0)
        if not chosen.any():
            continue
        hits, relevant = outcome.hits[chosen], outcome.relevant[chosen]
        first = outcome.lists[chosen][:, :TOP]
        figures[group] = {
            "members": int(chosen.sum()),
            "ndcg_at_10": _mean(metrics.ndcg(hits, relevant, at=TOP)),
            "recall_at_20": _mean(metrics.recall(hits, relevant, at=20)),
            "recall_at_50": _mean(metrics.recall(hits, relevant, at=50)),
            "coverage_at_10": [metrics.coverage(first, movies=len(popularity)), None],
            "novelty_at_10": [_number(metrics.novelty(first, popularity)), None],
            "has_unlikely": [
                None
                if outcome.probabilities is None
                else float(outcome.has_unlikely[in_group].mean()),
                None,
            ],
        }
    return figures


def aggregate_scoring(outcome: Outcome) -> dict[str, dict[str, Any]]:
    """Return the figures of the probabilities; empty if there are none.

    By length of history, by whether members are new if the protocol tells them apart, and ALL.
    """
    if outcome.probabilities is None:
        return {}
    lengths = outcome.history_lengths
    chosen_by_name = {
        name: (lengths >= least) & (lengths <= most) for name, (least, most) in BUCKETS.items()
    }
    for group in (WITH_HISTORY, NEW):
        chosen_by_name[group] = outcome.rating_groups == group
    chosen_by_name[ALL] = np.ones(len(lengths), dtype=bool)
    return {
        name: _score(
            outcome.rating_members[chosen],
            lengths[chosen],
            outcome.liked[chosen],
            outcome.probabilities[chosen],
        )
        for name, chosen in chosen_by_name.items()
        if chosen.any()
    }


def aggregate_reliability(outcome: Outcome) -> list[list[float | None]]:
    """Return for each of ECE_BINS bins: ratings, mean probability, share liked."""
    if outcome.probabilities is None or not len(outcome.liked):
        return []
    return [
        [_number(each) for each in row]
        for row in metrics.reliability(outcome.liked, outcome.probabilities).tolist()
    ]


def _sort_groups(groups: NDArray[np.str_]) -> list[str]:
    """Return the groups: lengths of history in order, then the others."""
    present = set(groups.tolist())
    lengths = sorted((group for group in present if group.isdigit()), key=int)
    return [*lengths, *(group for group in (WITH_HISTORY, NEW, ALL) if group in present)]


def _score(
    members: NDArray[np.int64],
    lengths: NDArray[np.int64],
    liked: NDArray[np.bool_],
    probabilities: Array,
) -> dict[str, Any]:
    # Two histories of one member are two cases: AUC compares ratings within one case.
    _, cases = np.unique(np.column_stack([members, lengths]), axis=0, return_inverse=True)
    by_case = metrics.auc_by_member(cases.ravel(), liked, probabilities)
    _, member_numbers = np.unique(members, return_inverse=True)

    def with_error(measure: Callable[[NDArray[np.bool_], Array], float]) -> Figure:
        error = metrics.standard_error(
            lambda chosen: measure(liked[chosen], probabilities[chosen]), member_numbers
        )
        return [_number(measure(liked, probabilities)), _number(error)]

    return {
        "ratings": len(liked),
        "auc": with_error(metrics.auc),
        "mean_auc": _mean(by_case),
        "log_loss": with_error(metrics.log_loss),
        "brier": with_error(metrics.brier),
        "ece": with_error(metrics.ece),
        "ece_by_chance": [metrics.ece_by_chance(probabilities), None],
    }


def _mean(values: Array) -> Figure:
    known = values[~np.isnan(values)]
    if not len(known):
        return [None, None]
    error = float(known.std(ddof=1) / math.sqrt(len(known))) if len(known) > 1 else math.nan
    return [float(known.mean()), _number(error)]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
