"""Two factorizations of the ratings: a vector for each movie from each.

*Implicit.* The preference of a member for movie j is p·v_j. The movies' vectors v are learned by
alternating least squares with the confidence alpha * x of each rating's interest x (Hu, Koren and
Volinsky, "Collaborative filtering for implicit feedback datasets", ICDM 2008; tuned as in Rendle et
al., "Revisiting the performance of iALS", RecSys 2022). A member has no stored vector: theirs is
computed in the request (ranking.fold_in) as

    p = (V'V + ridge * I + sum_i (alpha * x_i - 1) v_i v_i')^-1  sum_i alpha * x_i * v_i

over the rated movies i, so that a rating counts at once.

*Residual.* A residual e_ui is the stars above the mean, the movie's and the member's bias. It is
modelled as p_u·u_i, by alternating ridge regressions (Koren, Bell and Volinsky, "Matrix factorization
techniques for recommender systems", IEEE Computer 2009). Only the movies' vectors u are stored: a
member is folded in by one ridge regression (match_score.predict_residual), so p·u_j is a sum over
their ratings, and each one's share of it is known exactly.

Shapes: r ratings, m movies, k factors.
"""

from __future__ import annotations

import numpy as np
from implicit.als import AlternatingLeastSquares
from scipy import sparse
from threadpoolctl import threadpool_limits

from recommendations.algorithms.types import Array, Encoded, Floats

IMPLICIT_ITERATIONS, RESIDUAL_ITERATIONS = 15, 8
THREADS = 2
START_SCALE = 0.1
# 23 MB of float32 at 24 factors.
ROWS_AT_ONCE = 10_000


def fit_implicit(
    encoded: Encoded, *, factors: int, alpha: float, ridge: float, seed: int
) -> Floats:
    """(m, k) Return the movies' vectors; the same input and seed give the same vectors."""
    if not factors or not len(encoded.stars):
        return np.zeros((encoded.shape[1], factors), dtype=np.float32)
    model = AlternatingLeastSquares(
        factors=factors,
        alpha=alpha,
        regularization=ridge,
        iterations=IMPLICIT_ITERATIONS,
        num_threads=THREADS,
        random_state=seed,
        use_gpu=False,
    )
    with threadpool_limits(1, user_api="blas"):
        model.fit(encoded.matrix(encoded.interest()), show_progress=False)
    vectors: Floats = np.asarray(model.item_factors, dtype=np.float32)
    return vectors


def gram(vectors: Floats) -> Array:
    """(k, k) Return V'V."""
    wide = vectors.astype(np.float64)
    product: Array = wide.T @ wide
    return product


def fit_residual(
    encoded: Encoded, residuals: Array, *, factors: int, ridge: float, seed: int
) -> Floats:
    """(m, k) Return the movies' vectors from (r,) residuals."""
    _, m = encoded.shape
    if not factors or not len(residuals):
        return np.zeros((m, factors), dtype=np.float32)
    by_member = encoded.matrix(residuals.astype(np.float32))
    by_movie = by_member.T.tocsr()
    random = np.random.default_rng(seed)
    vectors = random.normal(scale=START_SCALE, size=(m, factors)).astype(np.float32)
    for _ in range(RESIDUAL_ITERATIONS):
        members = _solve_rows(by_member, vectors, ridge)
        vectors = _solve_rows(by_movie, members, ridge)
    return vectors


def _solve_rows(residuals: sparse.csr_matrix, vectors: Floats, ridge: float) -> Floats:
    """(rows, k) Solve the ridge regression of each row of residuals e on the vectors V of its columns.

    (V'V + ridge * I)^-1 V'e is V'(VV' + ridge * I)^-1 e, which is the smaller system for the many
    rows with fewer than k entries.
    """
    k = vectors.shape[1]
    counts = np.diff(residuals.indptr)
    solved = np.zeros((residuals.shape[0], k), dtype=np.float32)
    for n in np.unique(counts[(counts > 0) & (counts < k)]).tolist():
        rows = np.flatnonzero(counts == n)
        entries = residuals.indptr[rows][:, None] + np.arange(n)
        own = vectors[residuals.indices[entries]]
        systems = own @ own.transpose(0, 2, 1) + ridge * np.eye(n, dtype=np.float32)
        shares = np.linalg.solve(systems, residuals.data[entries][:, :, None])
        solved[rows] = (own * shares).sum(axis=1)
    penalty = ridge * np.eye(k, dtype=np.float32)
    products = (vectors[:, :, None] * vectors[:, None, :]).reshape(len(vectors), k * k)
    long_rows = np.flatnonzero(counts >= k)
    for start in range(0, len(long_rows), ROWS_AT_ONCE):
        rows = long_rows[start : start + ROWS_AT_ONCE]
        chosen = residuals[rows]
        right = chosen @ vectors
        chosen.data = np.ones_like(chosen.data)
        systems = (chosen @ products).reshape(-1, k, k) + penalty
        solved[rows] = np.linalg.solve(systems, right[:, :, None])[:, :, 0]
    return solved
