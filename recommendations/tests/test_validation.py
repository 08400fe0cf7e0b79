"""Which members a training is measured on, and with which figures."""

import numpy as np

from recommendations.algorithms.fit import fit
from recommendations.algorithms.parameters import Parameters
from recommendations.algorithms.types import MovieContent, Ratings
from recommendations.tests.community import quiet
from recommendations.training.validation import (
    HELD_OUT_AT_MOST,
    draw_held_out,
    measure_on_strangers,
)


def test_members_held_out_of_a_large_community_are_held_out_of_a_small_one_too():
    users = np.arange(1, 200_001)
    among_few, among_many = (draw_held_out(users, members=members) for members in (5_000, 200_000))
    assert abs(among_few.mean() - 0.05) < 0.005
    assert abs(among_many.sum() - HELD_OUT_AT_MOST) < 100
    assert not (among_many & ~among_few).any()


def test_a_model_of_two_tastes_is_right_about_strangers():
    dice = np.random.default_rng(2)
    users, movies = np.divmod(np.flatnonzero(dice.random(120 * 40) < 0.5), 40)
    stars = np.where(users % 2 == movies % 2, 5, 2).astype(np.float32)
    ratings = Ratings(users + 1, movies + 1, stars)
    nothing = np.zeros(40, np.float32)
    years = np.zeros(40, np.int64)
    content = MovieContent(
        np.arange(1, 41), np.zeros((40, 19), np.float32), years, nothing, nothing
    )
    seen = users < 100
    model = fit(ratings[seen], content, Parameters(neighbors=20), as_of=0.0, progress=quiet)
    figures = measure_on_strangers(model, ratings[~seen], content)
    assert figures["members"] == 20
    assert figures["auc"] > 0.9
    assert figures["log_loss"] < 0.4
    assert figures["ndcg_at_10"] > 0.3
    assert measure_on_strangers(model, ratings[np.zeros(len(ratings), dtype=bool)], content) == {
        "members": 0,
        "ratings": 0,
    }
