"""A list that is not ten times the same: maximal marginal relevance."""

from __future__ import annotations

import numpy as np

from recommendations.algorithms.types import Array


def diversified(order: Array, likeness: Array, *, diversity: float, depth: int) -> list[int]:
    """Indices of the movies, the first `depth` chosen by maximal marginal relevance.

    Each next movie has the greatest (1 - diversity) * rank - diversity * (likeness to the nearest
    movie already chosen), rank scaled to 0..1; `likeness` is (m, m). With diversity 0 it is the
    plain order. Source: Carbonell and Goldstein, SIGIR 1998.
    """
    # What differs in the last bits alone keeps the order of the movies, whoever summed it.
    order = np.round(order, 9)
    plain = np.argsort(-order, kind="stable")
    if diversity == 0 or not len(order):
        return [int(index) for index in plain]
    worth = order / max(float(order.max()), 1e-12)
    nearest = np.zeros(len(order))
    left = np.ones(len(order), dtype=bool)
    chosen: list[int] = []
    for _ in range(min(depth, len(order))):
        marginal = np.where(left, (1 - diversity) * worth - diversity * nearest, -np.inf)
        best = int(marginal.argmax())
        chosen.append(best)
        left[best] = False
        nearest = np.maximum(nearest, likeness[best])
    return chosen + [int(index) for index in plain if left[index]]
