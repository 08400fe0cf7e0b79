"""The coefficients of the chance: a logistic regression drawn towards stated defaults."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from recommendations.algorithms.functions import sigmoid
from recommendations.algorithms.item_stats import Totals
from recommendations.algorithms.types import Array

MOST_STEPS = 50


@dataclass(frozen=True)
class Coefficients:
    """Of the calibrated logistic: an intercept, a weight for each signal, and their centres."""

    intercept: float
    weights: dict[str, float]
    totals: Totals = field(default_factory=Totals)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Coefficients:
        return cls(values["intercept"], values["weights"], Totals.from_dict(values["totals"]))


def fitted(
    values: Array, liked: Array, weight: Array, defaults: Array, prior: float
) -> tuple[Array, float]:
    """(k,) coefficients and the mean log loss of the weighted logistic regression of (r, k) values.

    Each is drawn to its default as if `prior` observations said so: a ridge on the distance, in
    units of the signal's own spread, so that little data learns little. The first column is the
    intercept's ones. Newton's method; the loss is convex, so there is one answer.
    """
    spread = np.sqrt((weight @ values**2) / max(weight.sum(), 1e-12))
    pull = 0.25 * prior * spread**2 + 1e-6
    coefficients = defaults.astype(np.float64).copy()
    for _ in range(MOST_STEPS):
        chance = sigmoid(values @ coefficients)
        slope = values.T @ (weight * (chance - liked)) + pull * (coefficients - defaults)
        curve = (values * (weight * chance * (1 - chance))[:, None]).T @ values + np.diag(pull)
        step = np.linalg.solve(curve, slope)
        # A step of a whole logit or more is cut: Newton may leap where the loss is flat.
        coefficients -= step / max(1.0, float(np.abs(step * spread).max()))
        if np.abs(step * spread).max() < 1e-8:
            break
    chance = np.clip(sigmoid(values @ coefficients), 1e-12, 1 - 1e-12)
    losses = -(liked * np.log(chance) + (1 - liked) * np.log(1 - chance))
    return coefficients, float(weight @ losses / max(weight.sum(), 1e-12))
