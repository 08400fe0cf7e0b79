"""Implicit-feedback matrix factorization: a vector for each movie.

The preference of a member for movie j is p·v_j. The movies' vectors v are learned by alternating
least squares with the confidence alpha * x of each rating's interest x (Hu, Koren and Volinsky,
"Collaborative filtering for implicit feedback datasets", ICDM 2008; tuned as in Rendle et al.,
"Revisiting the performance of iALS", RecSys 2022). A member has no stored vector: theirs is computed
in the request (ranking.fold_in) as

    p = (V'V + ridge * I + sum_i (alpha * x_i - 1) v_i v_i')^-1  sum_i alpha * x_i * v_i

over the rated movies i, so that a rating counts at once.

Shapes: u members, m movies, k factors.
"""

from __future__ import annotations

import numpy as np
from implicit.als import AlternatingLeastSquares
from threadpoolctl import threadpool_limits

from recommendations.algorithms.encoding import Encoded, interest_values
from recommendations.algorithms.types import Array, Floats

ITERATIONS = 15
THREADS = 2


def fit_factors(encoded: Encoded, *, factors: int, alpha: float, ridge: float, seed: int) -> Floats:
    """(m, k) Return the movies' vectors; the same input and seed give the same vectors."""
    if not factors or not len(encoded.stars):
        return np.zeros((encoded.shape[1], factors), dtype=np.float32)
    model = AlternatingLeastSquares(
        factors=factors,
        alpha=alpha,
        regularization=ridge,
        iterations=ITERATIONS,
        num_threads=THREADS,
        random_state=seed,
        use_gpu=False,
    )
    with threadpool_limits(1, user_api="blas"):
        model.fit(encoded.matrix(interest_values(encoded)), show_progress=False)
    vectors: Floats = np.asarray(model.item_factors, dtype=np.float32)
    return vectors


def gram(vectors: Floats) -> Array:
    """(k, k) Return V'V."""
    wide = vectors.astype(np.float64)
    product: Array = wide.T @ wide
    return product
