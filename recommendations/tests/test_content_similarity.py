import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommendations.algorithms.content_similarity import (
    DIRECTOR,
    LEAD,
    MOST_BY_PEOPLE,
    likeness,
    shared_people,
)
from recommendations.algorithms.heuristic import Movies


def movies(*rows):
    genres = np.zeros((len(rows), 5))
    for index, (columns, _) in enumerate(rows):
        genres[index, list(columns)] = 1
    n = len(rows)
    return Movies(np.arange(n), genres, np.array([year for _, year in rows]), *(np.zeros(n),) * 3)


def test_the_same_kind_in_the_same_year_is_wholly_alike():
    a = movies(([0, 1], 1979))
    assert likeness(a, a, [{}], [{}]) == pytest.approx(np.ones((1, 1)))


def test_fifteen_years_apart_is_one_e_th_as_alike():
    a, b = movies(([0], 1980)), movies(([0], 1995))
    assert likeness(a, b, [{}], [{}])[0, 0] == pytest.approx(np.exp(-1))


def test_nothing_in_common_is_nothing():
    a, b = movies(([0], 1980)), movies(([1], 1980))
    assert likeness(a, b, [{1: DIRECTOR}], [{2: DIRECTOR}])[0, 0] == 0


def test_a_shared_director_says_more_than_a_shared_lead():
    shared = shared_people([{1: DIRECTOR, 2: LEAD}], [{1: DIRECTOR}, {2: LEAD}, {1: LEAD}])
    assert shared.tolist() == [[DIRECTOR, LEAD, LEAD]]


people = st.dictionaries(st.integers(1, 6), st.sampled_from([DIRECTOR, LEAD]), max_size=6)
movie = st.tuples(st.sets(st.integers(0, 4)), st.sampled_from([0, 1950, 1999, 2020]))


@given(movie, movie, people, people)
def test_likeness_is_symmetric_and_within_0_to_1(one, other, his, hers):
    a, b = movies(one), movies(other)
    there, back = likeness(a, b, [his], [hers]), likeness(b, a, [hers], [his])
    assert there == pytest.approx(back.T)
    assert 0 <= there[0, 0] <= 1 + 1e-12
    assert shared_people([his], [hers])[0, 0] <= MOST_BY_PEOPLE
