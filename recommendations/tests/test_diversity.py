import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommendations.algorithms.ranking import diversify

ORDER = np.array([1.0, 0.98, 0.7])
# The first two are the same kind of movie.
SIMILARITY = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


def reorder(order=ORDER, similarity=SIMILARITY, *, diversity, depth=3, eligible=None):
    is_eligible = np.ones(len(order), dtype=bool) if eligible is None else np.array(eligible)
    return diversify(order, similarity, diversity=diversity, depth=depth, is_eligible=is_eligible)


def test_without_diversity_the_order_is_kept():
    is_eligible = np.ones(3, dtype=bool)

    indices = diversify(
        np.array([0.7, 1.0, 0.7 + 1e-13]), SIMILARITY, diversity=0, depth=3, is_eligible=is_eligible
    )

    assert indices == [1, 0, 2]


def test_diversity_puts_a_different_movie_before_a_similar_one():
    assert reorder(diversity=0.0) == [0, 1, 2]
    assert reorder(diversity=1.0) == [0, 2, 1]


def test_full_diversity_still_prefers_a_much_better_movie_of_the_same_kind():
    order = np.array([1.0, 0.9, 0.1])

    assert reorder(order, diversity=1.0) == [0, 1, 2]


def test_diversity_never_promotes_a_movie_under_the_floor():
    assert reorder(diversity=1.0, eligible=[True, True, False]) == [0, 1, 2]
    assert reorder(diversity=1.0, eligible=[False, False, False]) == [0, 1, 2]


def test_feed_of_no_movies_is_empty():
    assert reorder(np.array([]), SIMILARITY[:0, :0], diversity=1.0) == []


@given(
    st.lists(st.floats(0, 1), max_size=12),
    st.floats(0, 1),
    st.integers(0, 15),
    st.randoms(use_true_random=False),
)
def test_diversity_only_reorders(values, diversity, depth, random):
    order = np.array(values)
    similarity = np.array([[random.random() for _ in values] for _ in values]).reshape(
        len(values), len(values)
    )

    indices = reorder(order, similarity, diversity=diversity, depth=depth)

    assert sorted(indices) == list(range(len(values)))
    if values:
        assert order[indices[0]] == pytest.approx(order.max(), abs=1e-9)
