"""The coefficients of the match score: a logistic regression drawn towards stated defaults.

`fit_coefficients` fits all of them on simulated members. `refit_level` corrects intercept, slope and
the coefficient of movies without ratings on the newest ratings: the share of liked movies drifts from
year to year, and a movie that is new in time is liked more often than one that nobody chose to rate.

Shapes: r observations, k coefficients.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from scipy.special import expit

from recommendations.algorithms.item_stats import Totals
from recommendations.algorithms.types import Array

MAX_STEPS = 50
#: A signal that varies less counts as varying so much in the pull towards the defaults. In a small
#: community the ridge nearly erases the factorization of residuals (a spread of .001 stars). Without
#: the floor it gets coefficients of hundreds, which are wrong once more ratings let it vary.
MIN_SPREAD = 0.02
# How many observations say that the level is right already. Measured with cuts at 60 and 70 % of the
# ratings of latest-small: the ECE after the cut is .012 and .037, without the refit .058 and .060.
LEVEL_PRIOR = 1000.0

#: The coefficients without data. They serve until the first training, and small trainings lean on
#: them. Fitted on simulated members of 43 small communities (1,000, 4,000 and 16,000 ratings, whole
#: members drawn from a training part of MovieLens latest-small), with a prior of 2,000 observations
#: at zero, and rounded. Those of the factorization are set: so few ratings do not teach it.
DEFAULTS = {
    "intercept": 0.0,
    "quality": 0.22,
    "quality_trusted": -0.04,
    "count": 0.17,
    "count_trusted": 0.0,
    "bias": 0.89,
    "bias_trusted": 0.47,
    "genre": 1.25,
    "genre_trusted": 1.04,
    "genre_settled": 1.48,
    "period": 1.07,
    "period_trusted": 0.94,
    "period_settled": 0.83,
    "generosity": 1.58,
    "generosity_trusted": 1.46,
    "generosity_settled": 3.51,
    "leaning": 0.11,
    "leaning_trusted": -0.1,
    "leaning_settled": 0.24,
    "taste": 1.28,
    "taste_trusted": 0.61,
    "taste_settled": 0.38,
    "factors": 0.0,
    "factors_trusted": 0.3,
    "factors_settled": 0.3,
    "feed": 0.08,
    "feed_trusted": 0.02,
    "feed_settled": -0.1,
    "trusted": 0.02,
    "settled": -0.02,
    "unrated": 0.0,
}


@dataclass(frozen=True)
class Coefficients:
    """An intercept, a weight for each signal, and what the signals are centered and shrunk by."""

    intercept: float
    weights: dict[str, float]
    totals: Totals = field(default_factory=Totals)
    residual_ridge: float = 12.0

    @classmethod
    def default(cls) -> Coefficients:
        """Return the coefficients that serve until the first training."""
        weights = {name: value for name, value in DEFAULTS.items() if name != "intercept"}
        return cls(DEFAULTS["intercept"], weights)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Coefficients:
        return cls(**{**values, "totals": Totals.from_dict(values["totals"])})

    def rescaled(self, shift: float, slope: float) -> Coefficients:
        """Return the coefficients whose logit is shift + slope * logit."""
        weights = {name: slope * weight for name, weight in self.weights.items()}
        return replace(self, intercept=shift + slope * self.intercept, weights=weights)


def fit_coefficients(
    values: Array, liked: Array, weight: Array, defaults: Array, prior: float | Array
) -> tuple[Array, float]:
    """Return the (k,) coefficients and the mean log loss of a weighted logistic regression.

    `values` are (r, k), the first column ones for the intercept; `liked` and `weight` (r,). Each
    coefficient is drawn to its default as if `prior` observations (for each, if (k,)) said so: a
    ridge on the distance in units of the signal's spread, or of MIN_SPREAD if that is greater.
    Newton's method; the loss is convex.
    """
    spread = np.maximum(np.sqrt((weight @ values**2) / max(weight.sum(), 1e-12)), MIN_SPREAD)
    pull = 0.25 * prior * spread**2 + 1e-6
    coefficients = defaults.astype(np.float64).copy()
    for _ in range(MAX_STEPS):
        probability = expit(values @ coefficients)
        slope = values.T @ (weight * (probability - liked)) + pull * (coefficients - defaults)
        curvature = weight * probability * (1 - probability)
        hessian = (values * curvature[:, None]).T @ values + np.diag(pull)
        step = np.linalg.solve(hessian, slope)
        # A step of more than a logit is cut: Newton overshoots where the loss is flat.
        coefficients -= step / max(1.0, float(np.abs(step * spread).max()))
        if np.abs(step * spread).max() < 1e-8:
            break
    probability = np.clip(expit(values @ coefficients), 1e-12, 1 - 1e-12)
    losses = -(liked * np.log(probability) + (1 - liked) * np.log(1 - probability))
    return coefficients, float(weight @ losses / max(weight.sum(), 1e-12))


@dataclass(frozen=True)
class NewestOutcomes:
    """The newest ratings beside what was predicted before they were made; r in parallel."""

    logits: Array  # (r,)
    is_unrated: Array  # (r,), 1 if nobody had rated the movie
    liked: Array  # (r,), 1 for 4 stars or more
    weight: Array  # (r,), how many ratings each stands for


def refit_level(coefficients: Coefficients, outcomes: NewestOutcomes) -> Coefficients:
    """Return the coefficients corrected on the newest ratings.

    The logit becomes shift + slope * logit + unrated * (1 if nobody has rated the movie).
    """
    values = np.stack([np.ones(len(outcomes.logits)), outcomes.logits, outcomes.is_unrated], axis=1)
    level, _ = fit_coefficients(
        values, outcomes.liked, outcomes.weight, np.array([0.0, 1.0, 0.0]), LEVEL_PRIOR
    )
    shift, slope, unrated = level.tolist()
    rescaled = coefficients.rescaled(shift, slope)
    weights = rescaled.weights | {"unrated": rescaled.weights.get("unrated", 0.0) + unrated}
    return replace(rescaled, weights=weights)
