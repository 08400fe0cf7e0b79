"""The order of the feed: what a member would watch next, more where they will like it.

    order_j = (sum_i x'_i w_ij + 0.3 p·v_j + 0.2 b * rate_j) * P_j^((1 + b) / 2) * t_j^g
    b = 10 / (10 + n)

over the n rated movies i: x' is the interest times the recency of the rating, w EDLAE's weights, p·v
implicit ALS, P the probability of a like and t the movie's trend. A member without ratings is shown what
is popular lately: recent_rate_j * P_j. Movies whose P is under the floor come last.

Shapes: n movies of the history, m movies to rank, k factors.
"""

from __future__ import annotations

import numpy as np

from recommendations.algorithms import als, signals
from recommendations.algorithms.functions import shrink
from recommendations.algorithms.parameters import Parameters
from recommendations.algorithms.types import Array, History, Links, Movies

# The share of the rate in the order at first; half as much after POPULARITY_RATINGS ratings.
POPULARITY_WEIGHT, POPULARITY_RATINGS = 0.2, 10.0
# The power of the probability: 1 at first, 3/4 after so many ratings, 1/2 in the end.
PROBABILITY_RATINGS = 10.0
#: What puts a movie behind all others without changing their order.
FLOOR_FACTOR = 1e-9


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
    order = signals.interest_sum(interest, feed, len(movies))
    if n == 0 and parameters.recent_popularity:
        order = order + POPULARITY_WEIGHT * movies.recent_rate
    else:
        order = order + popularity_weight(n) * movies.rate
    if len(history) and parameters.als_weight and movies.factors.shape[1]:
        member = als.fold_in(
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
    ranked: Array = np.where(probability < parameters.probability_floor, FLOOR_FACTOR, 1.0) * order
    return ranked
