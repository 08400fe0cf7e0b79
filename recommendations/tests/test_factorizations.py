import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommendations.algorithms import factorization
from recommendations.algorithms.match_score import predict_residual, residual_shares
from recommendations.algorithms.ranking import fold_in
from recommendations.algorithms.types import Ratings, encode, interest


def make_community(u=40, m=12, seed=1):
    """Return ratings by two camps of members, each of which likes its own half of the movies."""
    random = np.random.default_rng(seed)
    users, movies = np.nonzero(random.random((u, m)) < 0.5)
    stars = np.where(users % 2 == movies % 2, 5, 1).astype(np.float32)
    return Ratings(users + 1, movies + 1, stars)


def fit_als(encoded, seed=1):
    return factorization.fit_implicit(encoded, factors=4, alpha=10.0, ridge=5.0, seed=seed)


def test_the_fold_in_minimizes_the_weighted_squares():
    random = np.random.default_rng(3)
    vectors = random.normal(size=(6, 2)).astype(np.float32)
    rated, wants = np.array([1, 4]), np.array([1.0, 0.3])
    confidence, preference = np.ones(6), np.zeros(6)
    confidence[rated], preference[rated] = 10.0 * wants, 1.0
    wide = vectors.astype(float)
    expected = np.linalg.solve(
        wide.T @ (wide * confidence[:, None]) + 2.0 * np.eye(2),
        wide.T @ (confidence * preference),
    )

    member = fold_in(vectors[rated], wants, factorization.gram(vectors), alpha=10.0, ridge=2.0)

    assert member == pytest.approx(expected, rel=1e-5)


def test_a_member_is_drawn_to_the_movies_of_their_camp():
    encoded = encode(make_community())
    vectors = fit_als(encoded)

    member = fold_in(
        vectors[[0, 2, 4]],
        interest(np.array([5, 5, 5])),
        factorization.gram(vectors),
        alpha=10.0,
        ridge=5.0,
    )

    preference = vectors @ member
    assert preference[6::2].mean() > preference[1::2].mean() + 0.2


def test_the_same_seed_gives_the_same_vectors():
    encoded = encode(make_community())

    assert fit_als(encoded).tobytes() == fit_als(encoded).tobytes()


def test_no_factors_and_no_ratings_give_empty_and_zero_vectors():
    empty = encode(Ratings(np.zeros(0, int), np.zeros(0, int), np.zeros(0, np.float32)))
    encoded = encode(make_community())

    assert factorization.fit_implicit(encoded, factors=0, alpha=1.0, ridge=1.0, seed=1).shape == (
        12,
        0,
    )
    assert factorization.fit_implicit(empty, factors=3, alpha=1.0, ridge=1.0, seed=1).shape == (
        0,
        3,
    )


def test_residual_vectors_predict_what_the_biases_leave():
    encoded = encode(make_community())
    residuals = encoded.stars.astype(float) - 3.0

    vectors = factorization.fit_residual(encoded, residuals, factors=2, ridge=1.0, seed=1)

    predicted = predict_residual(vectors[[0, 1]], np.array([2.0, -2.0]), vectors[[2, 3]], ridge=1.0)
    assert predicted[0] > 0.5
    assert predicted[1] < -0.5


@given(st.integers(0, 12), st.integers(1, 5), st.integers(0, 500))
@settings(max_examples=30, deadline=None)
def test_the_shares_of_the_ratings_add_up_to_the_prediction(n, m, seed):
    random = np.random.default_rng(seed)
    rated = random.normal(size=(n, 3)).astype(np.float32)
    target = random.normal(size=(m, 3)).astype(np.float32)
    residuals = random.normal(size=n)

    shares = residual_shares(rated, residuals, target, ridge=12.0)

    predicted = predict_residual(rated, residuals, target, ridge=12.0)
    assert shares.shape == (m, n)
    assert shares.sum(axis=1) == pytest.approx(predicted, abs=1e-9)


# A row with fewer ratings than factors is solved by the smaller system.
@pytest.mark.parametrize("factors", [3, 9])
def test_one_alternation_solves_each_rows_ridge_regression(factors):
    encoded = encode(make_community(seed=5))
    random = np.random.default_rng(2)
    residuals = random.normal(size=len(encoded.stars)).astype(np.float32)
    vectors = random.normal(size=(encoded.shape[1], factors)).astype(np.float32)
    matrix = encoded.matrix(residuals)

    solved = factorization._solve_rows(matrix, vectors, 2.0)

    for user in range(encoded.shape[0]):
        own = vectors[encoded.movies[encoded.users == user]].astype(float)
        values = residuals[encoded.users == user]
        expected = np.linalg.solve(own.T @ own + 2.0 * np.eye(factors), own.T @ values)
        assert solved[user] == pytest.approx(expected, abs=1e-4)
