import numpy as np
import pytest
from scipy import sparse

from recommendations.algorithms.neighbors import (
    Gram,
    ThreadExecutor,
    choose_sources,
    fit_ranking_lists,
    fit_taste_lists,
    member_scale,
    movie_scale,
    solve_weights,
)
from recommendations.algorithms.parameters import Parameters
from recommendations.algorithms.types import Ratings, encode


def community(u=60, m=25, seed=1, share=0.4):
    dice = np.random.default_rng(seed)
    users, movies = np.nonzero(dice.random((u, m)) < share)
    stars = dice.integers(1, 6, len(users)).astype(np.float32)
    return Ratings(users + 100, movies * 10 + 3, stars)


def learned(given, *, k=6, sources=None, alone=0.0, progress=lambda share: None):
    m = given.shape[1]
    parameters = Parameters(
        neighbors=k,
        ridge=4.0,
        dropout=1 / 3,
        similarity_shrinkage=2.0,
        pair_weight=alone,
        pair_neighbors=4,
        pair_shrinkage=3.0,
        member_power=0.5,
        movie_power=0.1,
    )
    return fit_ranking_lists(
        given,
        np.arange(m) if sources is None else sources,
        np.arange(m),
        parameters,
        executor=ThreadExecutor(),
        progress=progress,
    )


def dense(lists):
    return lists.T.toarray()


def test_a_target_with_one_neighbour_by_hand():
    # Two movies with the products g11 = 2, g12 = 1: w = 1 / (2 + 3 + 0.5 / 0.5 * 2).
    among = np.array([[2, 1], [1, 4]], dtype=np.float32)
    weights = solve_weights(among, among[1:], np.array([[0]]), ridge=3.0, dropout=0.5)
    assert weights.tolist() == [[pytest.approx(1 / 7)]]


@pytest.mark.parametrize(("k", "alone"), [(6, 0.0), (24, 0.0), (100, 0.0), (6, 0.3)])
def test_ranking_weights_agree_with_a_dense_reference(k, alone):
    given = encode(community())
    m = given.shape[1]
    x = given.interest().astype(float)
    scale = movie_scale(given, 0.1).astype(float)
    users = member_scale(given, 0.5).astype(float)
    matrix = given.matrix(x).toarray() * users[:, None] * scale[None, :]
    g = matrix.T @ matrix
    expected = np.zeros((m, m))
    for j in range(m):
        alike = g[:, j] / (np.sqrt(np.diag(g) * g[j, j]) + 2.0)
        alike[j] = -1
        chosen = np.sort(np.argsort(-alike)[: min(k, m - 1)])
        system = g[np.ix_(chosen, chosen)] + np.diag(4.0 + 0.5 * np.diag(g)[chosen])
        expected[chosen, j] = np.linalg.solve(system, g[chosen, j]) * scale[chosen]
        share = g[:, j] / (np.diag(g) + 3.0)
        share[j] = -1
        most = np.argsort(-share)[:4]
        expected[most, j] += alone * share[most]
    assert dense(learned(given, k=k, alone=alone)) == pytest.approx(expected, abs=1e-6)


def test_taste_weights_agree_with_a_dense_reference():
    given = encode(community(seed=2))
    m = given.shape[1]
    residuals = np.random.default_rng(5).normal(size=len(given.stars))
    lists = fit_taste_lists(
        given,
        np.arange(m),
        np.arange(m),
        residuals,
        Parameters(taste_neighbors=5, taste_shrinkage=3.0, taste_power=1.5),
        executor=ThreadExecutor(),
        progress=lambda share: None,
    )
    r = given.matrix(residuals.astype(np.float32)).toarray().astype(float)
    g = r.T @ r
    cosine = g / (np.sqrt(np.outer(np.diag(g), np.diag(g))) + 3.0)
    np.fill_diagonal(cosine, -1)
    expected = np.zeros((m, m))
    for j in range(m):
        chosen = np.argsort(-cosine[:, j])[:5]
        expected[chosen, j] = np.maximum(cosine[chosen, j], 0) ** 1.5
    assert dense(lists) == pytest.approx(expected, abs=1e-6)


def test_the_order_of_the_ratings_does_not_matter_to_the_last_bit():
    ratings = community()
    mixed = ratings[np.random.default_rng(1).permutation(len(ratings))]
    one, other = (learned(encode(each)) for each in (ratings, mixed))
    assert one.data.tobytes() == other.data.tobytes()
    assert one.indices.tolist() == other.indices.tolist()


def test_movies_keep_their_weights_under_other_ids():
    ratings = community()
    # Members' and movies' ids of another order and size.
    renamed = Ratings(9000 - ratings.users, 5000 - ratings.movies, ratings.stars)
    given, turned = encode(ratings), encode(renamed)
    one = dense(learned(given))
    other = dense(learned(turned))[::-1, ::-1]
    assert other == pytest.approx(one, abs=1e-6)


def test_a_movie_never_speaks_for_itself():
    given = encode(community())
    assert not np.diag(dense(learned(given, k=100))).any()


def test_movies_that_are_no_sources_have_lists_of_sources_only():
    given = encode(community())
    sources = choose_sources(np.bincount(given.movies), most=10)
    lists = learned(given, sources=sources)
    assert set(lists.indices.tolist()) <= set(sources.tolist())
    assert (np.diff(lists.indptr) > 0).all()
    whole = dense(learned(given))
    assert not np.allclose(dense(lists), whole)


@pytest.mark.parametrize("dense_cells", [0, 1000])
def test_blocks_of_the_gram_are_the_dense_products(monkeypatch, dense_cells):
    monkeypatch.setattr("recommendations.algorithms.neighbors.BLOCK_ROWS", 3)
    monkeypatch.setattr("recommendations.algorithms.neighbors.MAX_DENSE_CELLS", dense_cells)
    dice = np.random.default_rng(4)
    matrix = sparse.csr_matrix(dice.random((30, 11)) * (dice.random((30, 11)) < 0.5))
    gram = Gram(matrix, np.array([1, 4, 5, 9]))
    full = (matrix.T @ matrix).toarray()
    assert gram.among_sources(ThreadExecutor()) == pytest.approx(
        full[np.ix_(gram.sources, gram.sources)]
    )
    assert gram.rows(np.array([0, 10])) == pytest.approx(full[np.ix_([0, 10], gram.sources)])
    assert gram.diagonal == pytest.approx(np.diag(full))


def test_narrow_blocks_learn_the_same_and_tell_how_far_they_are(monkeypatch):
    given = encode(community())
    whole = learned(given)
    monkeypatch.setattr("recommendations.algorithms.neighbors.BLOCK_ROWS", 4)
    reports = []
    narrow = learned(given, progress=reports.append)
    assert dense(narrow) == pytest.approx(dense(whole), abs=1e-6)
    assert reports == sorted(reports)
    assert reports[-1] == pytest.approx(1)
