"""Matrix factorization of residuals: what a member gives a movie beyond both biases.

A residual e_ui is the stars above the mean, the movie's and the member's bias. It is modelled as
p_u·u_i, by alternating ridge regressions (Koren, Bell and Volinsky, "Matrix factorization
techniques for recommender systems", IEEE Computer 2009). Only the movies' vectors u are stored: a
member is folded in by one ridge regression (match_score.predict_residual), so p·u_j is a sum over
their ratings, and each one's share of it is known exactly.

Shapes: r ratings, m movies, k factors.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from recommendations.algorithms.encoding import Encoded
from recommendations.algorithms.types import Array, Floats

ITERATIONS = 8
START_SCALE = 0.1
# 23 MB of float32 at 24 factors.
ROWS_AT_ONCE = 10_000


def fit_factors(
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
    for _ in range(ITERATIONS):
        members = _solve_rows(by_member, vectors, ridge)
        vectors = _solve_rows(by_movie, members, ridge)
    return vectors


def _solve_rows(residuals: sparse.csr_matrix, vectors: Floats, ridge: float) -> Floats:
    """(rows, k) Solve the ridge regression of each row of residuals on the vectors of its columns."""
    k = vectors.shape[1]
    products = (vectors[:, :, None] * vectors[:, None, :]).reshape(len(vectors), k * k)
    is_rated = residuals.copy()
    is_rated.data = np.ones_like(is_rated.data)
    solved = np.empty((residuals.shape[0], k), dtype=np.float32)
    penalty = ridge * np.eye(k, dtype=np.float32)
    for start in range(0, residuals.shape[0], ROWS_AT_ONCE):
        chosen = slice(start, start + ROWS_AT_ONCE)
        systems = (is_rated[chosen] @ products).reshape(-1, k, k) + penalty
        right = residuals[chosen] @ vectors
        solved[chosen] = np.linalg.solve(systems, right[:, :, None])[:, :, 0]
    return solved
