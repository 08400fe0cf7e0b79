"""How the community's ratings lose weight with age: the trend of a movie, and recent popularity.

Shapes: r ratings, m movies.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recommendations.algorithms.types import Array

SECONDS_A_DAY = 86_400.0


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
