import pytest
from hypothesis import given
from hypothesis import strategies as st

from movies.weighted_rating import PRIOR_MEAN, compute_weighted_rating


@pytest.mark.parametrize(
    ("mean", "votes", "expected"),
    # By hand, with a prior of 6.5 worth 25 votes: (votes * mean + 162.5) / (votes + 25).
    [(9.0, 0, 6.5), (9.0, 25, 7.75), (4.0, 25, 5.25), (8.0, 975, 7.9625)],
)
def test_weighted_rating_equals_the_value_computed_by_hand(mean, votes, expected):
    assert compute_weighted_rating(mean, votes) == pytest.approx(expected)


@given(mean=st.floats(0, 10), votes=st.integers(0, 10**9))
def test_weighted_rating_lies_between_prior_and_mean(mean, votes):
    low, high = sorted((mean, PRIOR_MEAN))

    assert low - 1e-9 <= compute_weighted_rating(mean, votes) <= high + 1e-9


@given(mean=st.floats(PRIOR_MEAN, 10), votes=st.integers(0, 10**6))
def test_weighted_rating_approaches_the_mean_with_more_votes(mean, votes):
    assert compute_weighted_rating(mean, votes + 1) >= compute_weighted_rating(mean, votes) - 1e-12


def test_negative_count_raises_value_error():
    with pytest.raises(ValueError, match="votes=-1"):
        compute_weighted_rating(5.0, -1)


@pytest.mark.django_db
def test_generated_column_equals_the_function(make_movie):
    movie = make_movie("Alien", vote_average=8.2, vote_count=40)

    movie.refresh_from_db()

    assert movie.weighted_rating == pytest.approx(compute_weighted_rating(8.2, 40))
