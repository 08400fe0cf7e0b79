"""Small functions that everything here is made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from recommendations.algorithms.types import Array


def sigmoid(x: ArrayLike) -> Array:
    """1 / (1 + exp(-x)), without overflow."""
    values: Array = 0.5 * (1.0 + np.tanh(0.5 * np.asarray(x, dtype=np.float64)))
    return values


def logit(chance: ArrayLike) -> Array:
    share = np.asarray(chance, dtype=np.float64)
    values: Array = np.log(share / (1.0 - share))
    return values


def trust(n: float, shrinkage: float) -> float:
    """How much n observations count, 0 to 1."""
    return n / (n + shrinkage)
