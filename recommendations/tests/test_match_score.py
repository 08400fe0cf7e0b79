import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from recommendations.algorithms import match_score, shapley
from recommendations.algorithms.item_stats import Totals
from recommendations.algorithms.match_score import (
    Coefficients,
    percents,
    percents_without,
    rating_contributions,
    score,
)
from recommendations.algorithms.parameters import Parameters
from recommendations.algorithms.ranking import popularity_weight, rank
from recommendations.algorithms.types import History, Links, Movies

TOTALS = Totals(members=9, ratings=50, mean_stars=3.0, quality=0.2, log_count=1.0)
WEIGHTS = {
    "quality": 0.7,
    "count": 0.1,
    "bias": 0.5,
    "genre": 0.8,
    "genre_trusted": 0.4,
    "period": 0.5,
    "generosity": 1.0,
    "leaning": 0.5,
    "taste": 0.9,
    "taste_trusted": 0.8,
    "factors": 0.6,
    "factors_settled": 0.3,
    "feed": 0.3,
    "feed_trusted": 0.2,
    "trusted": -0.1,
}
COEFFICIENTS = Coefficients(-0.2, WEIGHTS, TOTALS)

NO_LINKS = Links(np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0, np.float32))


def movies(m, *, seed=0, first=1):
    dice = np.random.default_rng(seed)
    return Movies(
        ids=np.arange(first, first + m),
        genres=(dice.random((m, 4)) < 0.4).astype(np.float32),
        years=dice.integers(1950, 2020, m) * (dice.random(m) < 0.9),
        quality=dice.normal(0, 1, m),
        bias=dice.normal(0, 0.5, m),
        count=dice.integers(0, 50, m).astype(float),
        rate=dice.random(m),
        recent_rate=dice.random(m),
        trend=np.exp(dice.normal(0, 0.3, m)),
        factors=dice.normal(0, 0.3, (m, 3)).astype(np.float32),
        residual_factors=dice.normal(0, 0.3, (m, 2)).astype(np.float32),
    )


def links(m, n, *, seed=0):
    dice = np.random.default_rng(seed)
    to, by = np.nonzero(dice.random((m, n)) < 0.5)
    return Links(to, by, dice.random(len(to)).astype(np.float32))


def member(n, *, seed=0, stars=None):
    given_stars = np.random.default_rng(seed).integers(1, 6, n) if stars is None else stars
    return History.of(movies(n, seed=seed + 1, first=500), given_stars)


def scene(n=8, m=5, *, seed=0, stars=None):
    """A history, movies to score, and who speaks for whom."""
    return (
        member(n, seed=seed, stars=stars),
        movies(m, seed=seed + 2),
        links(m, n, seed=seed + 3),
        links(m, n, seed=seed + 4),
    )


def test_signals_by_hand():
    # Two rated movies of one genre, 1990: 5 and 2 stars, where 3 and 4 were the movies' own.
    rated = Movies(
        ids=np.array([1, 2]),
        genres=np.array([[1, 0], [1, 0]], dtype=np.float32),
        years=np.array([1990, 1996]),
        quality=np.zeros(2),
        bias=np.array([0.0, 1.0]),
        count=np.ones(2),
        rate=np.ones(2),
        recent_rate=np.ones(2),
        trend=np.ones(2),
        factors=np.zeros((2, 0), np.float32),
        residual_factors=np.array([[1.0], [0.0]], np.float32),
    )
    asked = Movies(
        ids=np.array([3]),
        genres=np.array([[1, 1]], dtype=np.float32),
        years=np.array([1994]),
        quality=np.array([0.5]),
        bias=np.array([0.3]),
        count=np.array([math.e - 1]),
        rate=np.array([0.1]),
        recent_rate=np.array([0.1]),
        trend=np.ones(1),
        factors=np.zeros((1, 0), np.float32),
        residual_factors=np.array([[0.5]], np.float32),
    )
    one = Links(np.array([0, 0]), np.array([0, 1]), np.array([0.5, 0.25], dtype=np.float32))
    found = match_score.compute_signals(History.of(rated, [5, 2]), asked, one, one, TOTALS, 3.0)
    # Residuals against the movies: 2 and -2, of no leaning.
    assert found["leaning"] == pytest.approx([0])
    assert found["generosity"] == pytest.approx([(1 - 0.5 - 0.5) / 7])
    assert found["genre"] == pytest.approx([0])
    assert found["period"] == pytest.approx([(2 - 2) / (2 + 8)])
    assert found["taste"] == pytest.approx(
        [(0.5 * 2 - 0.25 * 2) / (0.75 + match_score.TASTE_SHRINKAGE)]
    )
    # The member's factor is 2 / (1 + 3).
    assert found["factors"] == pytest.approx([0.5 * 2 / 4])
    # 5 stars are an interest of 1, 2 stars of 0.3.
    assert found["interest_sum"] == pytest.approx([0.5 + 0.3 * 0.25])
    assert found["feed"] == pytest.approx([math.log(1 + 0.575 / match_score.FEED_FLOOR)])
    assert found["quality"] == pytest.approx([0.3])
    assert found["count"] == pytest.approx([0])
    assert found["taste_trusted"] == pytest.approx(2 / 12 * found["taste"])


def test_nobody_gets_the_quality_of_the_movie_alone():
    history, asked = member(0), movies(5)
    scores = score(history, asked, NO_LINKS, NO_LINKS, COEFFICIENTS)
    assert not scores.parts["rating_history"].any()
    assert not scores.parts["genre_affinity"].any()
    assert scores.baseline == pytest.approx(100 * float(expit(-0.2)))
    assert scores.percent == pytest.approx(scores.baseline + scores.parts["popularity"])


def test_a_favourite_genre_counts_before_the_first_rating():
    asked = movies(5)
    named = History.of(movies(0), [], np.array([1.0, 0, 0, 0]))
    scores = score(named, asked, NO_LINKS, NO_LINKS, COEFFICIENTS)
    raised = scores.parts["genre_affinity"]
    assert ((raised > 0) == (asked.genres[:, 0] > 0)).all()


@given(st.integers(0, 40), st.integers(1, 12), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_scores_are_chances_and_their_parts_add_up(n, m, seed):
    scores = score(*scene(n, m, seed=seed), COEFFICIENTS)
    assert ((scores.percent >= 0) & (scores.percent <= 100)).all()
    assert scores.baseline + sum(scores.parts.values()) == pytest.approx(scores.percent)
    assert percents(*scene(n, m, seed=seed), COEFFICIENTS) == pytest.approx(scores.percent)


@given(st.integers(1, 30), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_the_order_of_the_history_does_not_matter(n, seed):
    history, asked, feed, taste = scene(n, seed=seed)
    mixed = np.random.default_rng(seed).permutation(n)
    place = np.argsort(mixed)
    other = History.of(history.movies[mixed], history.stars[mixed])
    turned = [Links(each.movies, place[each.rated], each.weights) for each in (feed, taste)]
    assert percents(other, asked, *turned, COEFFICIENTS) == pytest.approx(
        percents(history, asked, feed, taste, COEFFICIENTS)
    )


@given(st.integers(0, 500))
@settings(max_examples=20, deadline=None)
def test_the_feed_is_the_sum_of_what_its_movies_say(seed):
    history, asked, feed, _ = scene(9, seed=seed)
    whole = match_score.interest_sum(history.wants, feed, len(asked))
    halves = []
    for part in (np.arange(9) < 4, np.arange(9) >= 4):
        halves.append(match_score.interest_sum(history.wants * part, feed, len(asked)))
    assert halves[0] + halves[1] == pytest.approx(whole)


@pytest.mark.parametrize("stars", [1, 3, 5])
@pytest.mark.parametrize("n", [1, 10_000])
def test_histories_all_of_one_mark_give_finite_scores(n, stars):
    history = member(n, stars=np.full(n, stars))
    asked = movies(3)
    every = links(3, n)
    scores = score(history, asked, every, every, COEFFICIENTS)
    assert np.isfinite(scores.percent).all()
    ranks = rank(history, asked, every, scores.percent, np.eye(3), Parameters())
    assert np.isfinite(ranks).all()


def test_feedback_counts_in_the_feed_and_is_no_rating():
    history, asked, feed, taste = scene(3)
    spoken_of = History(
        history.movies,
        np.array([5.0, 3.0, 0.0]),
        history.favorites,
        np.array([1.0, 0.6, -0.6]),
        np.array([True, True, False]),
        np.ones(3),
    )
    keep = feed.rated < 2
    two = Links(feed.movies[keep], feed.rated[keep], feed.weights[keep])
    keep = taste.rated < 2
    only = Links(taste.movies[keep], taste.rated[keep], taste.weights[keep])
    without = match_score.compute_signals(spoken_of.without(2), asked, two, only, TOTALS, 3.0)
    found = match_score.compute_signals(spoken_of, asked, feed, taste, TOTALS, 3.0)
    assert spoken_of.n == 2
    for name in ("genre", "period", "generosity", "leaning", "trusted"):
        assert found[name] == pytest.approx(without[name])
    assert (found["interest_sum"] <= without["interest_sum"]).all()


@given(st.integers(1, 20), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_a_counterfactual_is_the_score_of_the_member_without_that_rating(n, seed):
    history, asked, feed, taste = scene(n, m=1, seed=seed)
    place = seed % n
    [without] = percents_without(history, asked, [place], feed, taste, COEFFICIENTS)
    keep = [index for index in range(n) if index != place]
    turned = []
    for each in (feed, taste):
        chosen = np.isin(each.rated, keep)
        turned.append(
            Links(
                each.movies[chosen],
                np.searchsorted(keep, each.rated[chosen]),
                each.weights[chosen],
            )
        )
    other = History.of(history.movies[np.array(keep, dtype=int)], history.stars[keep])
    assert without == pytest.approx(percents(other, asked, *turned, COEFFICIENTS))


def test_contributions_share_out_what_feed_and_taste_added():
    history, asked, feed, taste = scene(6, m=1, seed=3)
    points = rating_contributions(history, asked, feed, taste, COEFFICIENTS)
    values = match_score.compute_signals(history, asked, feed, taste, TOTALS, 12.0)
    logits = sum(
        WEIGHTS[name] * values[name][0]
        for name in (
            "feed",
            "feed_trusted",
            "taste",
            "taste_trusted",
            "factors",
            "factors_settled",
        )
    )
    chance = score(history, asked, feed, taste, COEFFICIENTS).percent[0] / 100
    assert points.sum() == pytest.approx(100 * chance * (1 - chance) * logits)
    with pytest.raises(ValueError, match="one movie"):
        rating_contributions(history, movies(2), feed, taste, COEFFICIENTS)


def test_the_popularity_prior_fades_with_the_history():
    assert popularity_weight(0) == 0.2
    assert popularity_weight(10) == pytest.approx(0.1)
    assert popularity_weight(1) > popularity_weight(5) > popularity_weight(50)


def test_the_order_leans_on_the_chance_less_and_less():
    two = movies(2)
    percent = np.array([80.0, 20.0])
    alone = Parameters(als_weight=0, trend_power=0, recent_popularity=False, probability_floor=0)
    shares = []
    for n in (0, 10, 1000):
        history = History.of(movies(n), np.full(n, 4.0))
        bare = popularity_weight(n) * two.rate
        order = rank(history, two, NO_LINKS, percent, np.eye(3), alone) / bare
        shares.append(float(np.log(order[0] / order[1]) / np.log(4.0)))
    assert shares == pytest.approx([1.0, 0.75, 0.505], abs=0.001)


def test_points_and_baseline_add_up_to_a_tenth_in_ten_thousand_cases():
    dice = np.random.default_rng(7)
    logits = {name: dice.normal(0, 3, 10_000) for name in match_score.PARTS}
    baseline, parts, percent = shapley.split(-0.2, logits)
    for index in range(10_000):
        raw = [float(each[index]) for each in parts.values()]
        total = round(float(percent[index]), 1)
        base, points = shapley.rounded(baseline, raw, total)
        assert round(10 * base) + sum(round(10 * each) for each in points) == round(10 * total)
        assert all(abs(a - b) < 0.21 for a, b in zip(raw, points, strict=True))


def test_shapley_values_by_hand():
    # Of two parts: the mean of coming first and of coming last.
    one, two = np.array([math.log(3)]), np.array([-math.log(3)])
    baseline, parts, percent = shapley.split(0.0, {"one": one, "two": two})
    assert (baseline, percent.tolist()) == (50.0, [pytest.approx(50)])
    assert parts["one"] == pytest.approx([25])
    assert parts["two"] == pytest.approx([-25])


def test_calibration_recovers_known_chances():
    dice = np.random.default_rng(2)
    values = np.column_stack((np.ones(40_000), dice.normal(0, 1, (40_000, 2))))
    true = np.array([-0.4, 1.2, 0.0])
    liked = (dice.random(40_000) < expit(values @ true)).astype(float)
    found, _ = match_score.fit_coefficients(values, liked, np.ones(40_000), np.zeros(3), 100.0)
    assert found == pytest.approx(true, abs=0.05)
    chance = expit(values @ found)
    for low in np.arange(0.1, 0.9, 0.1):
        among = (chance >= low) & (chance < low + 0.1)
        assert liked[among].mean() == pytest.approx(chance[among].mean(), abs=0.03)


def test_little_data_leaves_the_defaults_nearly_as_they_are():
    values = np.array([[1.0, 1.0], [1.0, -1.0]])
    defaults = np.array([0.3, 0.8])
    args = values, np.array([0.0, 1.0]), np.ones(2), defaults
    found, _ = match_score.fit_coefficients(*args, 1000.0)
    assert found == pytest.approx(defaults, abs=0.01)
    nothing = np.zeros((0, 2)), np.zeros(0), np.zeros(0), defaults
    assert match_score.fit_coefficients(*nothing, 100.0)[0] == pytest.approx(defaults)


def test_a_signal_that_hardly_varies_gets_no_great_coefficient():
    dice = np.random.default_rng(3)
    values = np.column_stack((np.ones(5_000), dice.normal(0, 0.001, 5_000)))
    liked = (dice.random(5_000) < expit(300 * values[:, 1])).astype(float)

    fitted, _ = match_score.fit_coefficients(
        values, liked, np.ones(5_000), np.zeros(2), np.array([30.0, 2_800.0])
    )

    # In a larger community it varies by .1: it may not move the logit by more than .5.
    assert abs(fitted[1]) * 0.1 < 0.5


def test_separable_data_do_not_run_away():
    values = np.column_stack((np.ones(50), np.linspace(-9, 9, 50)))
    liked = (values[:, 1] > 0).astype(float)
    found, loss = match_score.fit_coefficients(values, liked, np.ones(50), np.zeros(2), 10.0)
    assert np.isfinite(found).all()
    assert loss < 0.3
