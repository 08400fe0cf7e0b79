"""The maths alone: by hand, by property, and where it must not move."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from recommendations.algorithms import heuristic as scoring
from recommendations.algorithms.heuristic import (
    BASELINE,
    PARTS,
    WEIGHTS,
    History,
    Movies,
    PeerVotes,
)

GENRES = 19


def movies(n, *, quality=7.0, genres=(), years=2000, reach=0.0, start=1):
    table = np.zeros((n, GENRES))
    table[:, list(genres)] = 1.0
    return Movies(
        ids=np.arange(start, start + n),
        genres=table,
        years=np.full(n, years),
        quality=np.full(n, float(quality)),
        votes=np.full(n, 10.0),
        reach=np.full(n, float(reach)),
    )


def history(stars=(), *, favorites=(), **fields):
    named = np.zeros(GENRES)
    named[list(favorites)] = 1.0
    return History(movies(len(stars), **fields), np.array(stars, dtype=float), named)


def scored(member, target, *, alike=0.0, peers=None):
    likeness = np.full((len(target), len(member)), float(alike))
    votes = peers or PeerVotes.none(len(target))
    return scoring.score(scoring.signals(member, target, likeness, votes))


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_nobody_for_an_average_movie_gets_the_baseline():
    scores = scored(history(), movies(1, quality=scoring.QUALITY_CENTRE))
    assert scores.percent[0] == pytest.approx(100 * sigmoid(BASELINE))
    assert scores.baseline == pytest.approx(scores.percent[0])
    assert all(points[0] == pytest.approx(0) for points in scores.parts.values())


def test_a_worked_example_agrees_with_its_hand_count():
    # Two ratings, 5 and 3 stars, of movies of quality 7 (3.5 stars expected), genre 0; the movie to
    # score has quality 8, the same genre and year, and is nothing like them by content.
    member = history([5, 3], genres=[0])
    above = [1.5, -0.5]
    bias = sum(above) / (2 + 5)
    rest = [value - bias for value in above]
    expected_likes = 2 * sigmoid(2.2 * (3.5 - 3.55))
    trust = 2 / 12
    logit = (
        BASELINE
        + WEIGHTS["quality"] * (8 - 7)
        + WEIGHTS["generosity"] * (1 - expected_likes) / (2 + 5)
        + WEIGHTS["genre"] * trust * sum(rest) / (2 + 5)
        + WEIGHTS["period"] * trust * sum(rest) / (2 + 8)
    )
    scores = scored(member, movies(1, quality=8, genres=[0]))
    assert scores.percent[0] == pytest.approx(100 * sigmoid(logit))


def test_the_points_of_a_single_moved_part_are_its_whole_effect():
    scores = scored(history(), movies(1, quality=9))
    assert scores.parts["popularity"][0] == pytest.approx(scores.percent[0] - scores.baseline)


values_of_signals = npst.arrays(np.float64, 4, elements=st.floats(-8, 8))


@given(st.fixed_dictionaries(dict.fromkeys(WEIGHTS, values_of_signals)))
def test_baseline_and_points_add_up_and_stay_within_0_to_100(values):
    scores = scoring.score(values)
    total = scores.baseline + sum(scores.parts.values())
    assert total == pytest.approx(scores.percent, abs=1e-9)
    assert np.all((scores.percent >= 0) & (scores.percent <= 100))


def test_the_rounded_points_add_up_to_the_tenth_on_10000_random_cases():
    random = np.random.default_rng(7)
    values = {name: random.normal(0, 1.5, 10_000) for name in WEIGHTS}
    scores = scoring.score(values)
    for index in range(10_000):
        percent = round(float(scores.percent[index]), 1)
        points = [float(scores.parts[part][index]) for part in PARTS]
        baseline, tenths = scoring.rounded(scores.baseline, points, percent)
        assert round(baseline + sum(tenths), 1) == percent
        assert all(abs(a - b) < 0.15 for a, b in zip(tenths, points, strict=True))


@given(values=values_of_signals, name=st.sampled_from(sorted(WEIGHTS)), more=st.floats(0.01, 5))
def test_more_of_any_signal_never_lowers_the_score(values, name, more):
    base = {each: np.zeros(4) for each in WEIGHTS} | {name: values}
    raised = base | {name: values + more}
    assert np.all(scoring.score(raised).percent >= scoring.score(base).percent - 1e-12)


def test_one_rating_is_no_taste_and_many_are():
    drama, other = movies(1, genres=[6]), movies(1, genres=[10])

    def gap(n):
        member = History(movies(2 * n, genres=[6]), np.full(2 * n, 5.0), np.zeros(GENRES))
        member.movies.genres[n:] = 0
        member.movies.genres[n:, 10] = 1
        member.stars[n:] = 2.0
        return float(scored(member, drama).percent[0] - scored(member, other).percent[0])

    assert 0 < gap(1) < 5 < 20 < gap(30)


def test_a_favourite_genre_lifts_its_movies_before_any_rating():
    member = history(favorites=[6])
    assert scored(member, movies(1, genres=[6])).percent > scored(member, movies(1)).percent


def test_what_a_like_movie_got_moves_the_score_its_way():
    target = movies(1, start=100, years=1960)
    loved = scored(history([5, 3, 3]), target, alike=0.9).percent
    mixed = History(movies(3), np.array([5.0, 3.0, 3.0]), np.zeros(GENRES))
    likeness = np.array([[0.9, 0.0, 0.0]])
    near_the_loved = scoring.score(
        scoring.signals(mixed, target, likeness, PeerVotes.none(1))
    ).percent
    likeness = np.array([[0.0, 0.9, 0.0]])
    near_the_other = scoring.score(
        scoring.signals(mixed, target, likeness, PeerVotes.none(1))
    ).percent
    assert near_the_other < loved < near_the_loved


def test_peers_who_liked_it_raise_and_who_did_not_lower_the_score():
    member = history([4, 4, 4, 4])
    target = movies(1, start=50)

    def with_peers(stars):
        votes = PeerVotes(np.array([0.5]), np.array([0.5 * stars]), np.array([0.4]))
        return float(scored(member, target, peers=votes).percent[0])

    assert with_peers(2) < with_peers(3.5) < with_peers(5)


@settings(max_examples=60)
@given(
    stars=st.lists(st.sampled_from([1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5]), max_size=40),
    quality=st.floats(0, 10),
    alike=st.floats(0, 1),
)
def test_any_history_gives_a_finite_score(stars, quality, alike):
    scores = scored(history(stars), movies(2, quality=quality, start=900), alike=alike)
    assert np.all(np.isfinite(scores.percent))


def test_ten_thousand_equal_ratings_are_taken():
    assert np.isfinite(scored(history([1.0] * 10_000), movies(1, start=20_000)).percent).all()


def test_confidence_grows_with_the_history_and_with_the_votes():
    grid = [[scoring.confidence(n, votes) for votes in (0, 10, 1000)] for n in (0, 1, 10, 1000)]
    assert all(row == sorted(row) for row in grid)
    assert [row[0] for row in grid] == sorted(row[0] for row in grid)
    assert grid[0][0] == 0
    assert grid[-1][-1] <= 1


def test_with_no_peers_the_feed_is_led_by_reach_and_with_them_by_interest():
    two = movies(2)
    known = Movies(two.ids, two.genres, two.years, two.quality, two.votes, np.array([0.5, 0.1]))
    percent = np.array([60.0, 60.0])
    quiet = scoring.rank(percent, PeerVotes.none(2), known, 0)
    assert quiet[0] > quiet[1]
    votes = PeerVotes(np.ones(2), np.ones(2) * 4, np.array([0.1, 0.8]))
    assert np.argmax(scoring.rank(percent, votes, known, 100)) == 1
