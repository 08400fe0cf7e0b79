"""Matrix factorization of residuals: what a member gives a movie beyond both biases.

A residual e_ui is the stars above the mean, the movie's and the member's bias. It is modelled as
p_u·u_i, by alternating ridge regressions (Koren, Bell and Volinsky, "Matrix factorization
techniques for recommender systems", IEEE Computer 2009). A member is folded in by one ridge
regression, p = (U'U + ridge * I)^-1 U'e over their n ratings, so p·u_j is a sum over the ratings:
each one's share of it is known exactly.

Shapes: r ratings, m movies, k factors, n ratings of one member.
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


def rating_shares(rated: Floats, residuals: Array, target: Floats, *, ridge: float) -> Array:
    """(m, n) Return what each rating adds to p·u_j, which is the sum of a row.

    `rated` (n, k) and `residuals` (n,) are the member's, `target` (m, k) the movies to score.
    """
    own, wanted = rated.astype(np.float64), target.astype(np.float64)
    system = own.T @ own + ridge * np.eye(own.shape[1])
    shares: Array = (wanted @ np.linalg.solve(system, own.T)) * residuals
    return shares


def predict(rated: Floats, residuals: Array, target: Floats, *, ridge: float) -> Array:
    """(m,) Return p·u_j for each movie to score."""
    own, wanted = rated.astype(np.float64), target.astype(np.float64)
    if not own.shape[1] or not len(own):
        return np.zeros(len(wanted))
    system = own.T @ own + ridge * np.eye(own.shape[1])
    predicted: Array = wanted @ np.linalg.solve(system, own.T @ residuals)
    return predicted
