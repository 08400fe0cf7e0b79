import numpy as np
import pytest

from recommendations.algorithms.similarity import list_similarity


def test_similarity_is_the_formula_of_the_docs():
    similarity = list_similarity(
        weights=np.array([0.2, 0.1]),
        counts=np.array([15.0, 45.0]),
        cosines=np.array([0.9, 0.45]),
        genre_cosines=np.array([1.0, 0.5]),
    )

    assert similarity == pytest.approx([np.sqrt(0.5), np.sqrt(0.5 * 0.75 * 0.5) * 0.7])


def test_movie_with_one_rating_is_behind_a_known_one():
    rare, known = list_similarity(
        np.array([1.0, 0.4]), np.array([1.0, 200.0]), np.array([1.0, 0.8]), np.array([1.0, 1.0])
    )

    assert known > rare


def test_negative_weights_and_cosines_are_no_similarity():
    similarity = list_similarity(
        np.array([-0.2, 0.1, 0.2]), np.full(3, 50.0), np.array([0.5, -0.5, 0.5]), np.ones(3)
    )

    assert similarity[:2].tolist() == [0, 0]
    assert similarity[2] > 0


def test_lists_without_similarity_are_zero():
    nothing = np.zeros(2)

    assert list_similarity(nothing, nothing, nothing, nothing).tolist() == [0, 0]
    assert list_similarity(*(np.zeros(0) for _ in range(4))).tolist() == []
