from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommendations.algorithms.parameters import Parameters
from recommendations.algorithms.ranking import rank, sequence_feed
from recommendations.algorithms.types import History, Links, Movies

PLAIN = Parameters(als_weight=0.0, trend_power=0.0, recent_popularity=False, probability_floor=0.0)
#: Movies of a feed: rate, percent, series (0: none).
candidates = st.tuples(
    st.sampled_from([0.0, 1e-12, 0.1, 0.9]),
    st.sampled_from([5.0, 29.9, 30.0, 80.0]),
    st.sampled_from([0, 0, 7, 8]),
)

NO_LINKS = Links(np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0, np.float32))


def make_movies(m, **columns):
    values = {
        "ids": np.arange(1, m + 1),
        "genres": np.zeros((m, 2), np.float32),
        "years": np.full(m, 2000),
        "quality": np.zeros(m),
        "bias": np.zeros(m),
        "count": np.ones(m),
        "rate": np.full(m, 0.5),
        "recent_rate": np.full(m, 0.5),
        "trend": np.ones(m),
        "factors": np.zeros((m, 2), np.float32),
        "residual_factors": np.zeros((m, 2), np.float32),
    }
    return Movies(**{**values, **columns})


def make_history(n, **columns):
    recency = columns.pop("recency", None)
    return History.of(make_movies(n, **columns), np.full(n, 5.0), recency=recency)


def order_of(history, movies, parameters, *, feed=None, percent=50.0):
    percents = np.broadcast_to(np.asarray(percent, dtype=float), (len(movies),))
    gram = movies.factors.T.astype(float) @ movies.factors
    return rank(history, movies, feed or NO_LINKS, percents, gram, parameters)


def test_movies_under_the_floor_come_last_and_keep_their_order():
    parameters = replace(PLAIN, probability_floor=0.3)
    movies = make_movies(4, rate=np.array([0.9, 0.8, 0.1, 0.2]))

    order = order_of(make_history(3), movies, parameters, percent=[20, 29.9, 30, 31])

    assert np.argsort(-order).tolist() == [3, 2, 1, 0]
    assert order[:2].max() < 0 < order[2:].min()


def test_a_movie_that_nothing_speaks_for_still_comes_before_one_under_the_floor():
    parameters = replace(PLAIN, probability_floor=0.3)
    movies = make_movies(2, rate=np.array([0.9, 0.0]))

    order = order_of(make_history(3), movies, parameters, percent=[29, 31])

    assert order[0] < order[1]


@settings(deadline=None)
@given(st.lists(candidates, min_size=1, max_size=60), st.sampled_from([0.0, 0.25, 1.0]))
def test_no_movie_under_the_floor_stands_before_one_above_it(drawn, diversity):
    rates, percents, series = (np.array(column) for column in zip(*drawn, strict=True))
    movies = make_movies(len(drawn), rate=rates)
    is_eligible = percents >= 30

    sequence, _ = sequence_feed(
        order_of(make_history(3), movies, replace(PLAIN, probability_floor=0.3), percent=percents),
        movies,
        diversity=diversity,
        series=series,
        released=movies.ids,
        is_eligible=is_eligible,
    )

    # Parts of a series after one under the floor come last with it.
    is_held_back = [
        any(series[index] == each and not is_eligible[index] for index in range(place))
        for place, each in enumerate(series)
    ]
    likely = is_eligible & ~(np.array(is_held_back) & (series > 0))
    assert sorted(sequence[: likely.sum()]) == np.flatnonzero(likely).tolist()


def test_the_newest_ratings_count_most():
    feed = Links(np.array([0, 1]), np.array([0, 1]), np.array([1.0, 1.0], np.float32))
    history = make_history(2, recency=np.array([1.0, 0.4]))

    order = order_of(history, make_movies(2, rate=np.zeros(2)), PLAIN, feed=feed)

    assert order[1] / order[0] == pytest.approx(0.4)


def test_a_trend_raises_a_movie_for_members_with_ratings_only():
    parameters = replace(PLAIN, trend_power=0.5)
    movies = make_movies(2, trend=np.array([4.0, 1.0]))

    known = order_of(make_history(5), movies, parameters)
    new = order_of(make_history(0), movies, parameters)

    assert known[0] / known[1] == pytest.approx(2.0)
    assert new[0] == new[1]


def test_new_members_are_shown_what_is_popular_lately():
    movies = make_movies(2, rate=np.array([0.9, 0.1]), recent_rate=np.array([0.2, 0.6]))

    lately = order_of(make_history(0), movies, replace(PLAIN, recent_popularity=True))
    whole_time = order_of(make_history(0), movies, PLAIN)

    assert lately[1] / lately[0] == pytest.approx(3.0)
    assert whole_time[0] / whole_time[1] == pytest.approx(9.0)


def test_implicit_als_ranks_what_shares_the_factors_of_the_rated_movies():
    parameters = replace(PLAIN, als_weight=0.3, als_alpha=10.0, als_ridge=1.0)
    history = make_history(1, factors=np.array([[1.0, 0.0]], np.float32))
    movies = make_movies(
        2, factors=np.array([[0.9, 0.1], [0.0, 1.0]], np.float32), rate=np.zeros(2)
    )

    order = order_of(history, movies, parameters)

    assert order[0] > order[1]


def test_a_movie_that_the_training_does_not_know_is_ranked_too():
    parameters = Parameters()

    order = order_of(make_history(3), make_movies(2, rate=np.zeros(2)), parameters)

    assert np.isfinite(order).all()
