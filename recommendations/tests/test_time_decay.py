import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommendations.algorithms.item_stats import decayed_counts, smooth_recent, trend
from recommendations.algorithms.ranking import recency_weights

MINUTE, DAY = 60, 86_400


def test_recency_falls_from_the_newest_rating_to_the_floor():
    times = np.array([3, 2, 1]) * DAY

    weights = recency_weights(times, floor=0.4, scale=15.0)

    assert weights == pytest.approx([1, 0.4 + 0.6 * np.exp(-1 / 15), 0.4 + 0.6 * np.exp(-2 / 15)])


def test_ratings_of_one_minute_share_a_rank():
    times = np.array([10 * MINUTE + 59, 10 * MINUTE, 9 * MINUTE])

    weights = recency_weights(times, floor=0.0, scale=1.0)

    assert weights[0] == weights[1] == 1
    assert weights[2] == pytest.approx(np.exp(-2))


def test_a_history_imported_at_once_has_no_recency():
    weights = recency_weights(np.full(50, 7 * DAY), floor=0.3, scale=15.0)

    assert weights.tolist() == [1.0] * 50


def test_a_rating_in_the_future_is_only_the_newest():
    now = 1_700_000_000
    times = np.array([now, now - DAY])

    ahead = recency_weights(times + np.array([400 * DAY, 0]), floor=0.4, scale=15.0)

    assert ahead.tolist() == recency_weights(times, floor=0.4, scale=15.0).tolist()


@given(st.lists(st.integers(0, 10**10), max_size=30), st.randoms())
def test_recency_does_not_depend_on_the_order_of_the_rows(times, random):
    order = list(range(len(times)))
    random.shuffle(order)
    straight = recency_weights(np.array(times, dtype=np.int64), floor=0.4, scale=15.0)

    shuffled = recency_weights(
        np.array([times[place] for place in order], dtype=np.int64), floor=0.4, scale=15.0
    )

    assert shuffled.tolist() == straight[order].tolist()


def test_a_rating_counts_half_after_a_half_life_and_once_in_the_future():
    ages = np.array([0.0, 120.0, 240.0, -5.0])

    counts = decayed_counts(np.array([0, 0, 1, 1]), ages, half_life_days=120.0, movie_count=3)

    assert counts == pytest.approx([1.5, 1.25, 0])


def test_without_recent_ratings_nothing_has_a_trend():
    counts = np.array([30.0, 10.0, 0.0])

    nothing_recent = trend(np.zeros(3), counts, smoothing=0.3, prior_ratings=100.0)

    assert nothing_recent == pytest.approx([1, 1, 1])


def test_a_movie_with_more_of_the_recent_than_of_all_interest_trends_up():
    counts, decayed = np.array([500.0, 500.0]), np.array([300.0, 100.0])
    recent = smooth_recent(decayed, counts, prior_ratings=100.0)

    trends = trend(decayed, counts, smoothing=0.3, prior_ratings=100.0)

    assert recent == pytest.approx([350 / 500, 150 / 500])
    assert trends == pytest.approx([(0.7 + 0.15) / 0.65, (0.3 + 0.15) / 0.65])


def test_a_community_without_ratings_has_no_trend():
    assert trend(np.zeros(2), np.zeros(2), smoothing=0.3, prior_ratings=100.0).tolist() == [1, 1]
