"""How ratings lose weight with age: a member's recency, a movie's trend, and recent popularity.

Shapes: n ratings of one member, r ratings of the community, m movies.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.types import Array

SECONDS_A_DAY = 86_400.0
# Ratings made within the same minute share a rank: an import or a list rated at once has no order.
SECONDS_A_RANK = 60


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


def decayed_counts(
    movies: NDArray[np.integer], ages_days: Array, *, half_life_days: float, movie_count: int
) -> Array:
    """(m,) Return the ratings of each movie, each counted 2^(-age / half-life).

    `movies` (r,) are places. Ratings of the future count as new.
    """
    weights = np.exp2(-np.maximum(ages_days, 0.0) / half_life_days)
    counts = np.bincount(movies, weights, minlength=movie_count)
    return np.asarray(counts, dtype=np.float64)


def smooth_recent(decayed: Array, counts: Array, *, prior_ratings: float) -> Array:
    """(m,) Return the recent interest in each movie as shares that add up to 1.

    The shares of all interest count for `prior_ratings` ratings, so that a community in which nothing
    was rated lately keeps its whole-time shares.
    """
    total = max(float(counts.sum()), 1e-12)
    recent: Array = (decayed + prior_ratings * counts / total) / (decayed.sum() + prior_ratings)
    return recent


def trend(decayed: Array, counts: Array, *, smoothing: float, prior_ratings: float) -> Array:
    """(m,) Return how much more of the recent than of all interest a movie has; 1 is no change.

        t_j = (d_j + smoothing / m) / (a_j + smoothing / m)

    d are the shares of the recent interest (`smooth_recent`), a those of all interest and m the
    number of movies with ratings.
    """
    rated = int((counts > 0).sum())
    if not rated:
        return np.ones(len(counts))
    recent = smooth_recent(decayed, counts, prior_ratings=prior_ratings)
    overall = counts / float(counts.sum())
    ratio: Array = (recent + smoothing / rated) / (overall + smoothing / rated)
    return ratio
