"""The feed's ranking: in which order a member would watch movies next, and the sequence that is shown.

The order is

    order_j = (sum_i x'_i w_ij + a p·v_j + 0.2 b * rate_j) * P_j^((1 + b) / 2) * t_j^g
    b = 10 / (10 + n)

over the n rated movies i: x' is the interest times the recency of the rating, w EDLAE's weights, p·v
implicit ALS with its weight a, P the probability of a like and t the movie's trend. A member without
ratings is shown what is popular lately: recent_rate_j * P_j. Movies whose P is under the floor come last.

The sequence follows the order, except for `diversity` and for the parts of film series.

Shapes: n movies of the history, m movies to rank, k factors.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.match_score import interest_sum
from recommendations.algorithms.parameters import Parameters
from recommendations.algorithms.similarity import kinship
from recommendations.algorithms.types import (
    Array,
    Floats,
    History,
    Ids,
    Links,
    Movies,
    Places,
    shrink,
)

# The share of the rate in the order at first; half as much after POPULARITY_RATINGS ratings.
POPULARITY_WEIGHT, POPULARITY_RATINGS = 0.2, 10.0
# The power of the probability: 1 at first, 3/4 after so many ratings, 1/2 in the end.
PROBABILITY_RATINGS = 10.0
# Ratings made within the same minute share a rank: an import or a list rated at once has no order.
SECONDS_A_RANK = 60
#: t at the diversity 1. With more, the first page fills with movies that only differ.
MAX_TRADE_OFF = 0.25
#: At most MAX_PARTS of a series in any WINDOW consecutive places.
MAX_PARTS, WINDOW = 2, 10
#: So many movies of the feed are chosen for diversity: its first pages.
DIVERSIFIED_DEPTH = 100
#: The report describes the first page by default, whatever page is requested.
FIRST_PAGE = 20


# --- The order ------------------------------------------------------------------------------------


def recency_weights(times: NDArray[np.int64], *, floor: float, scale: float) -> Array:
    """(n,) Return f + (1 - f) * exp(-(k - 1) / scale), k being the rank of a rating from the newest.

    `times` are seconds. Ratings of one minute share the rank of the first of them. A time in the
    future is only the newest one.
    """
    minutes = np.asarray(times, dtype=np.int64) // SECONDS_A_RANK
    _, group, counts = np.unique(-minutes, return_inverse=True, return_counts=True)
    newer = np.concatenate(([0.0], np.cumsum(counts)[:-1]))[group]
    weights = floor + (1 - floor) * np.exp(-newer / scale)
    return np.asarray(weights, dtype=np.float64)


def fold_in(vectors: Floats, interest: Array, gram: Array, *, alpha: float, ridge: float) -> Array:
    """(k,) Return the member's vector p from the (n, k) vectors and (n,) interest of their movies."""
    wide = vectors.astype(np.float64)
    confidence = alpha * np.maximum(interest, 0.0)
    # A movie without a vector adds nothing: its row is zero.
    system = gram + ridge * np.eye(len(gram)) + (wide * (confidence - 1)[:, None]).T @ wide
    member = np.linalg.solve(system, confidence @ wide)
    return np.asarray(member, dtype=np.float64)


def popularity_weight(n: int) -> float:
    """Return how much the rate counts in the order after n ratings."""
    return POPULARITY_WEIGHT * shrink(POPULARITY_RATINGS, n)


def rank(
    history: History,
    movies: Movies,
    feed: Links,
    percent: Array,
    factor_gram: Array,
    parameters: Parameters,
) -> Array:
    """(m,) Return the order of the movies, greater is earlier. `percent` are their match scores."""
    n = history.n
    probability = percent / 100
    interest = history.wants * history.recency
    order = interest_sum(interest, feed, len(movies))
    if n == 0 and parameters.recent_popularity:
        order = order + POPULARITY_WEIGHT * movies.recent_rate
    else:
        order = order + popularity_weight(n) * movies.rate
    if len(history) and parameters.als_weight and movies.factors.shape[1]:
        member = fold_in(
            history.movies.factors,
            interest,
            factor_gram,
            alpha=parameters.als_alpha,
            ridge=parameters.als_ridge,
        )
        order = order + parameters.als_weight * (movies.factors @ member)
    power = (1 + shrink(PROBABILITY_RATINGS, n)) / 2
    order = np.maximum(order, 0.0) * probability**power
    if n and parameters.trend_power:
        order = order * movies.trend**parameters.trend_power
    # Negative: behind all others, also those that nothing speaks for, and in their own order.
    behind = order - (1.0 + order.max(initial=0.0))
    return np.where(probability < parameters.probability_floor, behind, order)


# --- The sequence ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class DiversityReport:
    """The effect of `diversity` on the first page of a feed; similarity is 0 to 1."""

    diversity: float
    #: Mean similarity of two movies of the first page as it is served.
    intra_list_similarity: float
    #: How many movies of the first page the plain order would have shown later.
    promoted_count: int


def sequence_feed(
    order: Array,
    movies: Movies,
    *,
    diversity: float,
    series: Ids,
    released: Ids,
    is_eligible: NDArray[np.bool_],
) -> tuple[list[int], DiversityReport]:
    """Return the indices of the movies, first to last, and how varied the first page is.

    Eligible are the movies whose probability is not under the floor; the others come last.
    """
    plain = order_series(sort_by_order(order), series, released, is_eligible=is_eligible)
    chosen = plain
    if diversity:
        diversified = diversify(
            order,
            kinship(movies, movies),
            diversity=diversity,
            depth=DIVERSIFIED_DEPTH,
            is_eligible=is_eligible,
        )
        chosen = order_series(diversified, series, released, is_eligible=is_eligible)
    first_page = chosen[:FIRST_PAGE]
    return chosen, DiversityReport(
        diversity=diversity,
        intra_list_similarity=_mean_similarity(movies, first_page),
        promoted_count=len(set(first_page) - set(plain[:FIRST_PAGE])),
    )


def _mean_similarity(movies: Movies, indices: list[int]) -> float:
    """Return the mean similarity of two different movies of these; 0 if there are no two."""
    n = len(indices)
    if n < 2:
        return 0.0
    chosen = movies[np.array(indices)]
    similarity = kinship(chosen, chosen)
    return round(float((similarity.sum() - np.trace(similarity)) / (n * (n - 1))), 3)


def take_first(order: Array, count: int) -> Places:
    """Return the indices of the `count` movies with the greatest order, greatest first.

    Differences in the last bits depend on the sequence of a sum, so they do not count: such movies
    stay in the sequence of the input.
    """
    rounded = np.round(order, 9)
    chosen = np.arange(len(order))
    if len(order) > count:
        least = np.partition(rounded, len(order) - count)[len(order) - count]
        chosen = np.flatnonzero(rounded >= least)
    first: Places = chosen[np.argsort(-rounded[chosen], kind="stable")[:count]]
    return first


def sort_by_order(order: Array) -> list[int]:
    """Return the indices of all movies, as `take_first` does."""
    indices: list[int] = take_first(order, len(order)).tolist()
    return indices


def diversify(
    order: Array,
    similarity: Array,
    *,
    diversity: float,
    depth: int,
    is_eligible: NDArray[np.bool_],
) -> list[int]:
    """Return the indices of the movies, the first `depth` chosen by maximal marginal relevance.

    Only movies that are eligible are chosen; the others keep their sequence behind them.
    `similarity` (m, m) is 0 to 1.
    """
    by_order = sort_by_order(order)
    if diversity == 0 or not is_eligible.any():
        return by_order
    trade_off = MAX_TRADE_OFF * diversity
    relevance = np.round(order, 9) / max(float(order.max()), 1e-12)
    nearest = np.zeros(len(order))
    is_left = is_eligible.copy()
    chosen: list[int] = []
    for _ in range(min(depth, int(is_eligible.sum()))):
        marginal = (1 - trade_off) * relevance - trade_off * nearest
        best = int(np.where(is_left, marginal, -np.inf).argmax())
        chosen.append(best)
        is_left[best] = False
        nearest = np.maximum(nearest, similarity[best])
    is_chosen = np.zeros(len(order), dtype=bool)
    is_chosen[chosen] = True
    return chosen + [index for index in by_order if not is_chosen[index]]


def order_series(
    ranked: Sequence[int], series: Ids, released: Ids, *, is_eligible: NDArray[np.bool_]
) -> list[int]:
    """Return the (m,) indices `ranked` so that no part of a series precedes an earlier part.

    The parts of a series share the places they have, in the sequence of their release. A part that is
    not eligible comes last, and so do all later parts of its series: nobody is offered the third
    part because the first is not for them. `series` has the id of each movie's series, 0 for none;
    `released` is greater for a later release.
    """
    parts: dict[int, list[int]] = defaultdict(list)
    for index in ranked:
        if series[index]:
            parts[int(series[index])].append(index)
    in_sequence = {}
    is_last = np.zeros(len(series), dtype=bool)
    for each, indices in parts.items():
        indices.sort(key=lambda index: (int(released[index]), index))
        first = list(takewhile(lambda index: is_eligible[index], indices))
        is_last[indices[len(first) :]] = True
        in_sequence[each] = iter(first)
    ordered = []
    for index in ranked:
        part = next(in_sequence[int(series[index])], None) if series[index] else index
        if part is not None:
            ordered.append(part)
    # The floor comes before the spread: no movie under it is moved up to part a series.
    likely = [index for index in ordered if is_eligible[index]]
    unlikely = [index for index in ordered if not is_eligible[index]]
    return [*_spread(likely, series), *unlikely, *(index for index in ranked if is_last[index])]


def _spread(ranked: Sequence[int], series: Ids) -> list[int]:
    """Return the movies with at most MAX_PARTS of a series in WINDOW places, if there are others."""
    waiting, placed = list(ranked), list[int]()
    series_of = series.tolist()
    recent: deque[int] = deque(maxlen=WINDOW - 1)
    while waiting:
        position = next(
            (
                at
                for at, index in enumerate(waiting)
                if not series_of[index] or recent.count(series_of[index]) < MAX_PARTS
            ),
            0,
        )
        placed.append(waiting.pop(position))
        recent.append(series_of[placed[-1]])
    return placed
