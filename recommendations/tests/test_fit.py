from dataclasses import asdict

import numpy as np
import pytest

from recommendations.algorithms.fit import NAMES, fit
from recommendations.algorithms.match_score import DEFAULTS, Coefficients, percents, score
from recommendations.algorithms.model import Model
from recommendations.algorithms.parameters import Parameters
from recommendations.algorithms.ranking import rank
from recommendations.algorithms.types import BadRatings, History, MovieContent, Ratings

NOW = 1_700_000_000.0


def quiet(stage, share):
    pass


def fit_model(ratings, parameters=None, progress=quiet):
    return fit(ratings, catalogue(), parameters or Parameters(), as_of=NOW, progress=progress)


def community(u=80, m=40, seed=1):
    """Two camps, each of which rates and likes its own half of the movies."""
    dice = np.random.default_rng(seed)
    camp = np.arange(u) % 2
    own = (np.arange(m) % 2)[None, :] == camp[:, None]
    users, movies = np.nonzero(dice.random((u, m)) < np.where(own, 0.6, 0.2))
    stars = np.where(
        own[users, movies], dice.integers(4, 6, len(users)), dice.integers(1, 4, len(users))
    )
    return Ratings(users + 1, movies + 1, stars.astype(np.float32))


def catalogue(m=45):
    genres = np.zeros((m, 3), dtype=np.float32)
    genres[np.arange(m), np.arange(m) % 3] = 1
    nothing = np.zeros(m, dtype=np.float32)
    return MovieContent(np.arange(1, m + 1), genres, np.full(m, 1990), nothing, nothing)


@pytest.fixture(scope="module")
def model():
    return fit_model(community(), Parameters.for_size(2000))


def asked(model, ids, stars, wanted=None):
    history = History.of(model.rows_of(np.array(ids, dtype=np.int64), catalogue()), stars)
    movies = model.movies if wanted is None else model.rows_of(np.array(wanted), catalogue())
    return history, movies, *model.links(history, movies)


def test_a_member_of_a_camp_is_shown_the_camps_movies(model):
    # Odd ids are the first camp's. The member was never in the training.
    history, movies, feed, taste = asked(model, [1, 3, 5, 2], [5, 5, 4, 1])
    scores = score(history, movies, feed, taste, model.coefficients)
    ranks = rank(history, movies, feed, scores.percent, model.factor_gram, model.parameters)
    order = movies.ids[np.argsort(-ranks)]
    unseen = [each for each in order.tolist() if each not in (1, 3, 5, 2)]
    assert all(each % 2 == 1 for each in unseen[:10])
    odd = movies.ids % 2 == 1
    assert scores.percent[odd].mean() > scores.percent[~odd].mean() + 15


def test_some_movies_score_as_they_do_among_all(model):
    history, movies, feed, taste = asked(model, [1, 3, 5, 2], [5, 5, 4, 1])
    whole = dict(
        zip(
            movies.ids.tolist(),
            percents(history, movies, feed, taste, model.coefficients),
            strict=True,
        )
    )
    wanted = [9, 4, 44, 7]
    some = percents(*asked(model, [1, 3, 5, 2], [5, 5, 4, 1], wanted), model.coefficients)
    assert some[[0, 1, 3]] == pytest.approx([whole[9], whole[4], whole[7]])
    # Movie 44 nobody has rated: it has a score by what it is.
    assert 0 < some[2] < 100


def test_movies_the_training_does_not_know_say_nothing_in_the_feed(model):
    history, movies, feed, taste = asked(model, [43, 999], [5, 5])
    assert (len(feed), len(taste)) == (0, 0)
    assert np.isfinite(percents(history, movies, feed, taste, model.coefficients)).all()


def test_the_same_ratings_in_another_order_make_the_same_model(model):
    ratings = community()
    mixed = ratings[np.random.default_rng(3).permutation(len(ratings))]
    again = fit_model(mixed, Parameters.for_size(2000))
    assert again.coefficients == model.coefficients
    assert again.movies.factors.tobytes() == model.movies.factors.tobytes()
    assert again.feed.data.tobytes() == model.feed.data.tobytes()
    assert again.taste.data.tobytes() == model.taste.data.tobytes()


def test_coefficients_and_parameters_survive_json(model):
    assert Coefficients.from_dict(asdict(model.coefficients)) == model.coefficients


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [(1, 1, 5)],
        [(1, 1, 5), (2, 1, 1)],
        [(1, f, 3) for f in range(1, 9)],
        [(u, 1, 1) for u in range(1, 30)],
    ],
    ids=["nothing", "one rating", "one movie", "one member", "all one star"],
)
def test_communities_of_next_to_nothing_make_a_model_that_answers(rows):
    users, movies, stars = (
        (np.array(each, dtype=np.int64) for each in zip(*rows, strict=True))
        if rows
        else (np.zeros(0, int),) * 3
    )
    small = fit_model(Ratings(users, movies, stars.astype(np.float32)))
    assert isinstance(small, Model)
    chance = percents(*asked(small, [1, 2], [5, 1], [1, 2, 3]), small.coefficients)
    assert ((chance > 0) & (chance < 100)).all()


def test_what_is_not_a_number_stops_the_training():
    ratings = community()
    stars = ratings.stars.copy()
    stars[17] = np.nan
    with pytest.raises(BadRatings, match="Row 17 "):
        fit_model(Ratings(ratings.users, ratings.movies, stars))


def test_progress_goes_forward_through_all_steps():
    reports = []
    fit_model(community(), progress=lambda stage, share: reports.append((stage, share)))
    steps = list(dict.fromkeys(name for name, _ in reports))
    assert [*steps[:1], steps[-1]] == ["calibrating, round 1 of 5", "learning"]
    for stage in steps:
        shares = [share for name, share in reports if name == stage]
        assert shares == sorted(shares)
        assert 0 <= shares[0] <= shares[-1] <= 1 + 1e-9


def test_the_ridge_grows_with_the_community():
    assert Parameters.for_size(100_000).ridge == 50
    assert Parameters.for_size(1_000_000).ridge == 300
    assert Parameters.for_size(20_000_000).ridge == 300


def test_the_default_coefficients_count_for_more_in_a_small_community():
    priors = [Parameters().weigh_defaults(members) for members in (0, 5, 150, 600, 10**6)]

    assert priors == [100_000, 100_000, 8_000, 1_000, 1_000]


def test_defaults_are_named_for_every_signal():
    assert set(DEFAULTS) == set(NAMES)


def test_links_are_the_same_read_from_either_side(model):
    few = asked(model, [1, 3, 5, 2, 8], [5, 5, 4, 1, 2], [9, 4, 99])
    every = asked(model, [1, 3, 5, 2, 8], [5, 5, 4, 1, 2])
    for narrow, wide in zip(few[2:], every[2:], strict=True):
        among = np.isin(every[1].ids[wide.movies], few[1].ids)
        expected = {
            (int(every[1].ids[to]), int(by), float(weight))
            for to, by, weight in zip(
                wide.movies[among], wide.rated[among], wide.weights[among], strict=True
            )
        }
        found = {
            (int(few[1].ids[to]), int(by), float(weight))
            for to, by, weight in zip(narrow.movies, narrow.rated, narrow.weights, strict=True)
        }
        assert found == expected
        assert found
