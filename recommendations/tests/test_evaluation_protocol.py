import numpy as np
import pytest

from recommendations.algorithms.types import MovieContent, Ratings
from recommendations.evaluation import aggregates as figures
from recommendations.evaluation.baselines import ItemNeighbours, Popularity
from recommendations.evaluation.protocol import (
    HISTORIES,
    Answer,
    Dataset,
    Known,
    best,
    measure,
    strong,
    weak,
)
from recommendations.evaluation.splits import draw, fold_of, held_out

MOVIES = np.arange(100, 140) * 7


def content(m=40):
    rng = np.random.default_rng(5)
    none = np.zeros(m, np.float32)
    genres = (rng.random((m, 19)) < 0.2).astype(np.float32)
    return MovieContent(MOVIES[:m], genres, np.full(m, 1990), none, none)


def made_up(members=60, seed=3):
    """Two tastes: even and odd movies are liked by members of their kind."""
    rng = np.random.default_rng(seed)
    rows = [
        (member + 1000, movie, 4.5 if (place + member) % 2 == 0 else 2.0)
        for member in range(members)
        for place, movie in enumerate(MOVIES)
        if rng.random() < (0.6 if (place + member) % 2 == 0 else 0.2)
    ]
    users, movies, stars = zip(*rows, strict=True)
    return Dataset(
        "made up",
        Ratings(np.array(users), np.array(movies), np.array(stars, dtype=np.float32)),
        content(),
    )


def quiet(what, part):
    """Nobody watches."""


# --- Splits --------------------------------------------------------------------------------------


def pairs(n=20_000):
    rng = np.random.default_rng(1)
    return rng.integers(1, 500, n), rng.integers(1, 9000, n)


def test_held_out_ratings_are_a_fifth_and_never_learned_from():
    learned, measured = held_out(*pairs(), seed=1)

    assert not (learned & measured).any()
    assert (learned | measured).all()
    assert measured.mean() == pytest.approx(0.2, abs=0.01)


def test_the_part_for_tuning_never_meets_the_part_for_testing():
    users, movies = pairs()
    _, test = held_out(users, movies, seed=1)

    learned, measured = held_out(users, movies, seed=1, validation=True)

    assert not (test & (learned | measured)).any()
    assert not (learned & measured).any()
    assert measured.mean() == pytest.approx(0.8 * 0.2, abs=0.01)


def test_a_rating_stays_on_its_side_whatever_the_order_and_the_others():
    users, movies = pairs()
    _, test = held_out(users, movies, seed=1)
    some = np.random.default_rng(2).permutation(len(users))[:500]

    _, again = held_out(users[some].astype(np.int32), movies[some].astype(np.int32), seed=1)

    assert (again == test[some]).all()


def test_the_hash_is_the_same_on_every_machine():
    # Worked out once; another value means that published figures are of another split than ours.
    drawn = draw(1, 1, np.array([1, 2]), np.array([31, 31]))
    assert drawn == pytest.approx([0.216386, 0.944861], abs=1e-6)


def test_other_seeds_and_salts_draw_other_numbers():
    users, movies = pairs(2000)

    numbers = np.stack([draw(seed, salt, users, movies) for seed in (1, 2) for salt in (1, 2)])

    assert np.abs(np.corrcoef(numbers) - np.eye(4)).max() < 0.08


def test_a_member_is_new_in_one_fold():
    users, _ = pairs()

    folds = fold_of(users, seed=1, folds=5)

    assert set(folds.tolist()) == {0, 1, 2, 3, 4}
    for user in users[:50]:
        assert len(set(folds[users == user].tolist())) == 1


# --- Protocols -----------------------------------------------------------------------------------


def rated(ratings):
    return set(zip(ratings.users.tolist(), ratings.movies.tolist(), strict=True))


def test_in_the_weak_protocol_the_held_out_are_asked_about_and_not_learned():
    data = made_up()

    (only,) = weak(data, seed=1)

    asked = {(case.member, int(MOVIES[place])) for case in only.cases for place in case.asked}
    known = {
        (case.member, int(MOVIES[place])) for case in only.cases for place in case.known.movies
    }
    assert asked | rated(only.training) == rated(data.ratings)
    assert not asked & rated(only.training)
    assert known <= rated(only.training)
    assert all(case.known.member == case.member for case in only.cases)


def test_in_the_strong_protocol_new_members_are_not_in_training():
    data = made_up()

    rounds = list(strong(data, seed=1, folds=3))

    met = [{case.member for case in each.cases} for each in rounds]
    for each, members in zip(rounds, met, strict=True):
        assert not members & set(each.training.users.tolist())
    # All but those of whom no rating is held out.
    assert len(set.union(*met)) > 0.9 * 60
    assert sum(len(members) for members in met) == len(set.union(*met))


def test_simulated_histories_grow_and_keep_the_same_questions():
    (first, *_) = strong(made_up(), seed=1, folds=3)
    member = first.cases[0].member

    cases = {case.history: case for case in first.cases if case.member == member}

    assert set(cases) <= set(HISTORIES)
    assert len(cases[0].known.movies) == 0
    assert len(cases[3].known.movies) == 3
    assert cases[5].known.movies[:3].tolist() == cases[3].known.movies.tolist()
    assert len({tuple(case.asked.tolist()) for case in cases.values()}) == 1
    assert cases[1].known.member is None


def test_members_at_most_bounds_who_is_measured_and_not_what_is_learned():
    data = made_up()

    (all_of_them,), (few,) = weak(data, seed=1), weak(data, seed=1, members=7)

    assert len(few.cases) == 7
    assert len(few.training) == len(all_of_them.training)
    assert {case.member for case in few.cases} < {case.member for case in all_of_them.cases}


def test_a_rating_of_a_movie_outside_the_catalogue_is_refused():
    with pytest.raises(ValueError, match="not in the catalogue"):
        Dataset("", Ratings(np.array([1]), np.array([5]), np.array([3.0])), content())


# --- Lists and figures ---------------------------------------------------------------------------


def test_the_best_are_greatest_first_equals_by_place_without_the_known():
    order = np.array([1.0, 3.0, 3.0, -np.inf, 5.0, 2.0])

    assert best(order, without=np.array([4]), length=3).tolist() == [1, 2, 5]
    assert best(order, without=np.array([], dtype=int)).tolist() == [4, 1, 2, 5, 0]


class Oracle:
    """Knows what is liked."""

    name = "oracle"

    def __init__(self, data):
        liked = data.ratings.stars >= 4
        self.liked = rated(data.ratings[liked])

    def fit(self, ratings, content, progress):
        """Nothing to learn."""

    def answer(self, known, asked):
        truth = np.array([(known.member, movie) in self.liked for movie in MOVIES.tolist()], float)
        return Answer(truth, truth[asked])


def test_an_oracle_gets_every_figure_right():
    data = made_up()
    (only,) = weak(data, seed=1)

    outcome = measure(Oracle(data), only.cases, quiet)

    ranked = figures.ranking(outcome, popularity=np.full(len(MOVIES), 0.5))["all"]
    scored = figures.scoring(outcome)["all"]
    assert ranked["ndcg_at_10"][0] > 0.5  # liked movies that nobody asked about stand among them
    assert ranked["recall_at_50"] == [1.0, 0.0]
    assert ranked["novelty_at_10"][0] == pytest.approx(1.0)
    assert scored["auc"] == [1.0, 0.0]
    assert scored["mean_auc"] == [1.0, 0.0]
    assert scored["ece"] == [0.0, 0.0]
    assert scored["brier"] == [0.0, 0.0]
    assert scored["log_loss"][0] < 1e-5


def test_figures_go_to_the_bucket_of_the_history_they_were_asked_with():
    data = made_up()
    rounds = list(strong(data, seed=1, folds=3))
    popularity = Popularity()
    popularity.fit(data.ratings, data.content, quiet)

    outcome = measure(popularity, rounds[0].cases, quiet)

    scored = figures.scoring(outcome)
    assert {"0", "1-5", "6-20", "all"} <= set(scored)
    assert scored["all"]["ratings"] == sum(scored[name]["ratings"] for name in ("0", "1-5", "6-20"))
    assert set(figures.ranking(outcome, popularity=np.ones(40))) >= {"0", "1", "3", "5", "all"}


# --- Baselines -----------------------------------------------------------------------------------


def test_item_knn_with_two_tastes_to_tell_apart_beats_popularity():
    recommender = ItemNeighbours()
    data = made_up()
    (only,) = weak(data, seed=1)
    found = {}
    for each in (Popularity(), recommender):
        each.fit(only.training, data.content, quiet)
        outcome = measure(each, only.cases, quiet)
        found[each.name] = figures.ranking(outcome, popularity=np.ones(40))["all"]["ndcg_at_10"][0]

    assert found[recommender.name] > found["popularity"] + 0.1


def test_popularity_is_the_count_and_its_chance_the_shrunk_share_of_likes():
    ratings = Ratings(
        np.array([1, 2, 3, 1]), MOVIES[[0, 0, 0, 1]], np.array([5, 4, 1, 2], dtype=np.float32)
    )
    popularity = Popularity()

    popularity.fit(ratings, content(3), quiet)
    answer = popularity.answer(Known(np.zeros(0, int), np.zeros(0), None, None), np.array([0, 2]))

    assert answer.order.tolist() == [3, 1, 0]
    # Half of all four are liked: (2 + 5/2) / (3 + 5), and (0 + 5/2) / 5 for a movie nobody rated.
    assert answer.chances == pytest.approx([4.5 / 8, 0.5])


def test_item_knn_of_a_hand_worked_case_is_the_sum_of_cosines():
    # Movies 0 and 1 share a fan; movie 2 is liked by another alone.
    ratings = Ratings(np.array([1, 1, 2, 3]), MOVIES[[0, 1, 1, 2]], np.full(4, 5, dtype=np.float32))
    neighbours = ItemNeighbours()

    neighbours.fit(ratings, content(3), quiet)
    answer = neighbours.answer(Known(np.array([0]), np.array([2.0]), None, None), np.array([1]))

    # Interest .3 in movie 0, whose cosine with movie 1 is 1 / sqrt(1 * 2).
    assert answer.order == pytest.approx([0.0, 0.3 / np.sqrt(2), 0.0])
    assert answer.chances is None


@pytest.mark.parametrize("recommender", [Popularity(), ItemNeighbours()])
def test_a_baseline_answers_a_member_with_no_rating(recommender):
    data = made_up()
    recommender.fit(data.ratings, data.content, quiet)

    answer = recommender.answer(Known(np.zeros(0, int), np.zeros(0), None, None), np.array([1, 2]))

    assert answer.order.shape == (len(MOVIES),)
    assert answer.chances is None or ((answer.chances > 0) & (answer.chances < 1)).all()
