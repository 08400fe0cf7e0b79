import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommendations.algorithms.similarity import (
    DIRECTOR,
    LEAD,
    MAX_BY_PEOPLE,
    content_similarity,
    raise_listed,
    shared_people,
)
from recommendations.algorithms.types import MovieContent


def movies(*rows):
    genres = np.zeros((len(rows), 5), dtype=np.float32)
    for index, (columns, _) in enumerate(rows):
        genres[index, list(columns)] = 1
    votes = np.zeros(len(rows), dtype=np.float32)
    years = np.array([year for _, year in rows])
    return MovieContent(np.arange(len(rows)), genres, years, votes, votes)


def test_movies_of_the_same_genres_and_year_have_similarity_1():
    movie = movies(([0, 1], 1979))

    similarity = content_similarity(movie, movie, [{}], [{}])

    assert similarity == pytest.approx(np.ones((1, 1)))


def test_movies_fifteen_years_apart_have_similarity_1_over_e():
    a, b = movies(([0], 1980)), movies(([0], 1995))

    similarity = content_similarity(a, b, [{}], [{}])

    assert similarity[0, 0] == pytest.approx(np.exp(-1))


def test_movies_with_nothing_in_common_have_similarity_0():
    a, b = movies(([0], 1980)), movies(([1], 1980))

    similarity = content_similarity(a, b, [{1: DIRECTOR}], [{2: DIRECTOR}])

    assert similarity[0, 0] == 0


def test_shared_director_counts_more_than_shared_lead():
    shared = shared_people([{1: DIRECTOR, 2: LEAD}], [{1: DIRECTOR}, {2: LEAD}, {1: LEAD}])

    assert shared.tolist() == [[DIRECTOR, LEAD, LEAD]]


def test_movie_on_a_list_of_related_movies_is_raised_more_by_a_better_rank():
    raised = raise_listed(np.array([0.2, 0.2, 0.2]), np.array([0.0, 10.0, np.nan]))

    assert raised == pytest.approx([0.6, 0.4, 0.2])


people = st.dictionaries(st.integers(1, 6), st.sampled_from([DIRECTOR, LEAD]), max_size=6)
movie = st.tuples(st.sets(st.integers(0, 4)), st.sampled_from([0, 1950, 1999, 2020]))


@given(movie, movie, people, people)
def test_similarity_is_symmetric_and_from_0_to_1(one, other, people_a, people_b):
    a, b = movies(one), movies(other)

    forward = content_similarity(a, b, [people_a], [people_b])
    backward = content_similarity(b, a, [people_b], [people_a])

    assert forward == pytest.approx(backward.T)
    assert 0 <= forward[0, 0] <= 1 + 1e-6
    assert shared_people([people_a], [people_b])[0, 0] <= MAX_BY_PEOPLE
