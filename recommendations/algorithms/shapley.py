"""A chance split into parts: exact Shapley values on the percent scale, and points that add up."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from scipy.special import expit

from recommendations.algorithms.types import Array


def split(intercept: float, logits: Mapping[str, Array]) -> tuple[float, dict[str, Array], Array]:
    """The baseline, the points of each part and the percent, which they add up to.

    A part's points are its exact Shapley value: its mean marginal effect on the percent scale over
    all orders in which the parts could come in. Source: Shapley, 1953; 2^parts evaluations.
    """
    names = tuple(logits)
    percent_with = {
        chosen: 100 * expit(intercept + sum((logits[name] for name in chosen), np.zeros(1)))
        for size in range(len(names) + 1)
        for chosen in combinations(names, size)
    }
    orders = math.factorial(len(names))
    parts = {}
    for name in names:
        others = [other for other in names if other != name]
        points = np.zeros(1)
        for size in range(len(names)):
            ways = math.factorial(size) * math.factorial(len(names) - size - 1)
            for before in combinations(others, size):
                after = tuple(each for each in names if each in before or each == name)
                points = points + ways / orders * (percent_with[after] - percent_with[before])
        parts[name] = points
    return float(percent_with[()][0]), parts, percent_with[names]


def rounded(baseline: float, parts: Sequence[float], percent: float) -> tuple[float, list[float]]:
    """Baseline and parts to one decimal so that they add up to the rounded percent exactly.

    Largest remainders: each part is rounded down, and the tenths that are missing go to those that
    lost most. The baseline, the same for everybody, is rounded as it is.
    """
    base = round(10 * baseline)
    down = [math.floor(10 * value) for value in parts]
    missing = round(10 * percent) - base - sum(down)
    by_loss = sorted(range(len(parts)), key=lambda index: down[index] - 10 * parts[index])
    for turn in range(abs(missing)):
        down[by_loss[turn % len(parts)]] += 1 if missing > 0 else -1
    return base / 10, [value / 10 for value in down]
