"""Small functions that the algorithms share."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from recommendations.algorithms.types import Array


def sigmoid(x: ArrayLike) -> Array:
    """Return 1 / (1 + exp(-x)), without overflow."""
    values: Array = 0.5 * (1.0 + np.tanh(0.5 * np.asarray(x, dtype=np.float64)))
    return values


def logit(probability: ArrayLike) -> Array:
    """Return log(p / (1 - p)), the inverse of the sigmoid."""
    share = np.asarray(probability, dtype=np.float64)
    values: Array = np.log(share / (1.0 - share))
    return values


def shrink(n: float, shrinkage: float) -> float:
    """Return n / (n + shrinkage): how much n observations count, 0 to 1."""
    return n / (n + shrinkage)
