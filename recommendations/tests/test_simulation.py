from dataclasses import replace

import numpy as np
import pytest

from recommendations.algorithms import fit as simulation
from recommendations.algorithms.fit import REGULAR, Community, count_rounds, fit, simulate
from recommendations.algorithms.match_score import Coefficients, NewestOutcomes, refit_level
from recommendations.algorithms.neighbors import ThreadExecutor
from recommendations.algorithms.parameters import Parameters
from recommendations.algorithms.types import MovieContent, Ratings, encode


def community(u=60, m=40):
    dice = np.random.default_rng(2)
    users, movies = np.nonzero(dice.random((u, m)) < 0.5)
    stars = dice.integers(1, 6, len(users)).astype(np.float32)
    return encode(Ratings(users + 1, movies + 1, stars))


def catalogue(m=40):
    nothing = np.zeros(m, dtype=np.float32)
    years = np.full(m, 1990)
    return MovieContent(np.arange(1, m + 1), np.ones((m, 1), np.float32), years, nothing, nothing)


class RecordingCommunity(Community):
    """Records what the movies of each round are fitted on."""

    def fit_part(self, chosen, *args):
        fitted_on.append(self.encoded.only(chosen))
        return super().fit_part(chosen, *args)


fitted_on = []


def played(given):
    """Return the observations, and the ratings that the movies of each round were fitted on."""
    fitted_on.clear()
    whole = RecordingCommunity(given, catalogue(), Parameters(), 0.0, ThreadExecutor())
    return simulate(whole, lambda step, share: None), [*fitted_on]


def test_every_round_has_other_strangers_and_the_fit_is_without_them():
    given = community()
    _, met = played(given)
    assert len(met) == simulation.MAX_ROUNDS
    strangers = [set(given.user_ids.tolist()) - set(rest.user_ids.tolist()) for rest in met]
    assert all(len(each) == round(simulation.STRANGER_SHARE * 60) for each in strangers)
    assert len(set().union(*strangers)) == sum(len(each) for each in strangers)


def test_what_regulars_are_asked_is_hidden_from_the_movies_side():
    given = community()
    answers, met = played(given)
    kept = sum(len(rest.stars) for rest in met)
    of_strangers = sum(
        int((~np.isin(given.user_ids[given.users], rest.user_ids)).sum()) for rest in met
    )
    hidden = len(met) * len(given.stars) - of_strangers - kept
    assert answers.weight[answers.stage == REGULAR].sum() == pytest.approx(hidden)


def test_all_stages_of_a_membership_are_asked_about():
    answers, _ = played(community(m=40))
    # Nobody has 21 ratings besides those asked about.
    assert set(answers.stage.tolist()) >= {0, 1, 2, REGULAR}
    assert np.isfinite(answers.values).all()
    assert set(answers.liked.tolist()) == {0.0, 1.0}
    at_first = answers.values[answers.stage == 0]
    assert not at_first[:, simulation.NAMES.index("taste")].any()


def test_the_same_seed_plays_the_same():
    given = community()
    (one, _), (other, _) = played(given), played(given)
    assert one.values.tobytes() == other.values.tobytes()


@pytest.mark.parametrize(("members", "rounds"), [(0, 5), (610, 5), (3000, 2), (6040, 1)])
def test_small_communities_are_played_in_more_rounds(members, rounds):
    assert count_rounds(members) == rounds


def test_nobody_is_asked_where_nothing_is_left_to_learn_from():
    alone = encode(Ratings(np.array([1]), np.array([1]), np.array([5.0], dtype=np.float32)))
    answers, _ = played(alone)
    assert answers.values.shape == (0, len(simulation.NAMES))


# --- The newest outcomes -------------------------------------------------------------------------

DAY = 86_400


def drifting_community(liked_share_later, seed=4, u=120, m=60):
    """Members come by turns, one a day; the last fifth likes another share of the movies."""
    random = np.random.default_rng(seed)
    users, movies = np.nonzero(random.random((u, m)) < 0.6)
    liked = random.random(len(users)) < np.where(users < 0.8 * u, 0.5, liked_share_later)
    stars = np.where(liked, 5, 2).astype(np.float32)
    return Ratings(users + 1, movies + 1, stars, users.astype(np.int64) * DAY)


def fit_level(ratings, *, as_of_day=120, refit=True):
    return fit(
        ratings,
        catalogue(60),
        replace(Parameters.for_size(len(ratings)), refit_level=refit),
        as_of=float(as_of_day * DAY),
        progress=lambda stage, share: None,
    ).coefficients


def test_the_level_rises_if_the_newest_members_like_more():
    ratings = drifting_community(liked_share_later=0.8)

    plain, refitted = fit_level(ratings, refit=False), fit_level(ratings)

    assert refitted.intercept > plain.intercept + 0.2


def test_the_level_stays_if_nothing_drifts():
    ratings = drifting_community(liked_share_later=0.5)

    plain, refitted = fit_level(ratings, refit=False), fit_level(ratings)

    assert refitted.intercept == pytest.approx(plain.intercept, abs=0.15)


def test_the_level_is_not_refitted_on_old_ratings():
    ratings = drifting_community(liked_share_later=0.8)

    assert fit_level(ratings, as_of_day=1000) == fit_level(ratings, as_of_day=1000, refit=False)


def test_movies_without_ratings_get_a_level_of_their_own():
    logits = np.zeros(4000)
    is_unrated = (np.arange(4000) % 2).astype(float)
    liked = (np.arange(4000) // 2 % 10 < np.where(is_unrated, 8, 5)).astype(float)

    refitted = refit_level(
        Coefficients(0.0, {"bias": 1.0}), NewestOutcomes(logits, is_unrated, liked, np.ones(4000))
    )

    assert refitted.weights["unrated"] > 0.5
    assert refitted.intercept == pytest.approx(0.0, abs=0.3)
