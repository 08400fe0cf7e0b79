"""Variety on the first pages of a feed: maximal marginal relevance.

The next movie is the one with the greatest

    (1 - t) * order_j / max order - t * max_i similarity_ij,  t = MAX_TRADE_OFF * diversity

over the movies i chosen before it (Carbonell and Goldstein, "The use of MMR, diversity-based
reranking for reordering documents and producing summaries", SIGIR 1998).

Shapes: m movies.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.types import Array

#: t at the diversity 1. With more, the first page fills with movies that only differ.
MAX_TRADE_OFF = 0.25


def sort_by_order(order: Array) -> list[int]:
    """Return the indices of the movies, greatest order first.

    Differences in the last bits depend on the sequence of a sum, so they do not count: such movies
    stay in the sequence of the input.
    """
    return [int(index) for index in np.argsort(-np.round(order, 9), kind="stable")]


def diversify(
    order: Array,
    similarity: Callable[[], Array],
    *,
    diversity: float,
    depth: int,
    is_eligible: NDArray[np.bool_],
) -> list[int]:
    """Return the indices of the movies, the first `depth` chosen by maximal marginal relevance.

    Only movies that are eligible are chosen; the others keep their sequence behind them.
    `similarity` returns the (m, m) similarities, 0 to 1; it is not called if `diversity` is 0.
    """
    by_order = sort_by_order(order)
    if diversity == 0 or not is_eligible.any():
        return by_order
    trade_off = MAX_TRADE_OFF * diversity
    relevance = np.round(order, 9) / max(float(order.max()), 1e-12)
    similarities = similarity()
    nearest = np.zeros(len(order))
    is_left = is_eligible.copy()
    chosen: list[int] = []
    for _ in range(min(depth, int(is_eligible.sum()))):
        marginal = (1 - trade_off) * relevance - trade_off * nearest
        best = int(np.where(is_left, marginal, -np.inf).argmax())
        chosen.append(best)
        is_left[best] = False
        nearest = np.maximum(nearest, similarities[best])
    is_chosen = np.zeros(len(order), dtype=bool)
    is_chosen[chosen] = True
    return chosen + [index for index in by_order if not is_chosen[index]]
