import numpy as np
import pytest

from recommendations.algorithms.types import MovieContent, Ratings
from recommendations.evaluation.aggregates import aggregate_ranking, aggregate_scoring
from recommendations.evaluation.baselines import (
    EASE,
    DecayedPopularity,
    ImplicitALS,
    ItemKNN,
    Popularity,
)
from recommendations.evaluation.engine import Engine, RankingVariant
from recommendations.evaluation.protocol import (
    DAYS_AHEAD,
    HISTORY_LENGTHS,
    NEW,
    WITH_HISTORY,
    Dataset,
    KnownRatings,
    Prediction,
    measure,
    select_best,
    split_frozen,
    split_last_tenth,
    split_rolling_days,
    split_strong,
    split_weak,
)
from recommendations.evaluation.splits import assign_folds, draw, hold_out, hold_out_newest

MOVIES = np.arange(100, 140) * 7
DAY = 86_400
NOBODY = KnownRatings(np.zeros(0, dtype=np.intp), np.zeros(0))


def make_content(m=40):
    random = np.random.default_rng(5)
    zeros = np.zeros(m, np.float32)
    genres = (random.random((m, 19)) < 0.2).astype(np.float32)
    return MovieContent(MOVIES[:m], genres, np.full(m, 1990), zeros, zeros)


def make_dataset(members=60, seed=3):
    """Two tastes: even and odd movies are liked by members of their kind. Members come by turns."""
    random = np.random.default_rng(seed)
    rows = [
        (member + 1000, movie, 4.5 if (place + member) % 2 == 0 else 2.0)
        for member in range(members)
        for place, movie in enumerate(MOVIES)
        if random.random() < (0.6 if (place + member) % 2 == 0 else 0.2)
    ]
    users, movies, stars = (np.array(column) for column in zip(*rows, strict=True))
    times = 1_000_000_000 + (users - 1000) * 3 * DAY + random.integers(0, 40, len(rows)) * DAY
    return Dataset(
        "made up", Ratings(users, movies, stars.astype(np.float32), times), make_content()
    )


def ignore_progress(step, share):
    pass


def fit(recommender, ratings, content, as_of=2_000_000_000.0):
    recommender.fit(ratings, content, as_of=as_of, progress=ignore_progress)
    return recommender


def measure_ndcg(recommender, round_, content):
    fit(recommender, round_.training, content)
    outcome = measure(recommender, round_.sessions[0], ignore_progress)
    return aggregate_ranking(outcome, popularity=np.ones(len(content)))["all"]["ndcg_at_10"][0]


# --- Splits --------------------------------------------------------------------------------------


def make_pairs(n=20_000):
    random = np.random.default_rng(1)
    return random.integers(1, 500, n), random.integers(1, 9000, n)


def test_a_fifth_of_the_ratings_is_held_out_and_not_fitted():
    train, test = hold_out(*make_pairs(), seed=1)

    assert not (train & test).any()
    assert (train | test).all()
    assert test.mean() == pytest.approx(0.2, abs=0.01)


def test_the_part_for_validation_never_contains_the_part_for_testing():
    users, movies = make_pairs()
    _, test = hold_out(users, movies, seed=1)

    train, validation = hold_out(users, movies, seed=1, validation=True)

    assert not (test & (train | validation)).any()
    assert not (train & validation).any()
    assert validation.mean() == pytest.approx(0.8 * 0.2, abs=0.01)


def test_a_rating_stays_on_its_side_in_any_order_and_subset():
    users, movies = make_pairs()
    _, test = hold_out(users, movies, seed=1)
    some = np.random.default_rng(2).permutation(len(users))[:500]

    _, again = hold_out(users[some].astype(np.int32), movies[some].astype(np.int32), seed=1)

    assert (again == test[some]).all()


def test_the_hash_is_the_same_on_every_machine():
    # Another value would mean that the published figures are of another split.
    drawn = draw(1, 1, np.array([1, 2]), np.array([31, 31]))

    assert drawn == pytest.approx([0.216386, 0.944861], abs=1e-6)


def test_other_seeds_and_salts_draw_independent_numbers():
    users, movies = make_pairs(2000)

    numbers = np.stack([draw(seed, salt, users, movies) for seed in (1, 2) for salt in (1, 2)])

    assert np.abs(np.corrcoef(numbers) - np.eye(4)).max() < 0.08


def test_a_member_is_new_in_exactly_one_fold():
    users, _ = make_pairs()

    folds = assign_folds(users, seed=1, folds=5)

    assert set(folds.tolist()) == {0, 1, 2, 3, 4}
    for user in users[:50]:
        assert len(set(folds[users == user].tolist())) == 1


def test_the_newest_tenth_of_each_member_is_held_out():
    users = np.repeat([7, 8, 9], [20, 2, 1])
    movies = np.arange(23)
    times = np.concatenate([np.arange(20)[::-1], [5, 4], [1]])

    train, test = hold_out_newest(users, movies, times, seed=1)
    older, validation = hold_out_newest(users, movies, times, seed=1, validation=True)

    # Member 9 has one rating, which stays a history.
    assert movies[test].tolist() == [0, 1, 20]
    assert (train == ~test).all()
    assert movies[validation].tolist() == [2, 3]
    assert not (older & (test | validation)).any()


# --- Protocols -----------------------------------------------------------------------------------


def list_pairs(ratings):
    return set(zip(ratings.users.tolist(), ratings.movies.tolist(), strict=True))


def list_case_pairs(cases, part):
    return {
        (case.member, int(MOVIES[place]))
        for case in cases
        for place in (case.movies if part == "test" else case.known.movies)
    }


@pytest.mark.parametrize("split", [split_weak, split_last_tenth])
def test_held_out_ratings_are_predicted_and_not_fitted(split):
    data = make_dataset()

    (only,) = split(data, seed=1)

    (session,) = only.sessions
    test = list_case_pairs(session.cases, "test")
    assert test | list_pairs(only.training) == list_pairs(data.ratings)
    assert not test & list_pairs(only.training)
    assert list_case_pairs(session.cases, "known") <= list_pairs(only.training)


def test_the_last_tenth_is_newer_than_the_history():
    data = make_dataset()
    time_of = dict(
        zip(
            zip(data.ratings.users.tolist(), data.ratings.movies.tolist(), strict=True),
            data.ratings.times.tolist(),
            strict=True,
        )
    )

    (only,) = split_last_tenth(data, seed=1)

    for case in only.sessions[0].cases:
        first = min(time_of[case.member, int(MOVIES[place])] for place in case.movies)
        assert case.known.times.max() <= first


def test_new_members_are_not_fitted_in_the_strong_protocol():
    data = make_dataset()

    rounds = list(split_strong(data, seed=1, folds=3))

    new = [{case.member for case in each.sessions[0].cases} for each in rounds]
    for each, members in zip(rounds, new, strict=True):
        assert not members & set(each.training.users.tolist())
    # All but those without a held-out rating.
    assert len(set.union(*new)) > 0.9 * 60
    assert sum(len(members) for members in new) == len(set.union(*new))


def test_histories_grow_and_the_ratings_to_predict_stay_the_same():
    (first, *_) = split_strong(make_dataset(), seed=1, folds=3)
    member = first.sessions[0].cases[0].member

    cases = {case.group: case for case in first.sessions[0].cases if case.member == member}

    assert set(cases) <= {"all", *map(str, HISTORY_LENGTHS)}
    assert len(cases["0"].known.movies) == 0
    assert len(cases["3"].known.movies) == 3
    assert cases["5"].known.movies[:3].tolist() == cases["3"].known.movies.tolist()
    assert len({tuple(case.movies.tolist()) for case in cases.values()}) == 1


def test_on_rolling_days_everything_known_is_older_than_the_day():
    data = make_dataset()

    rounds = list(split_rolling_days(data, seed=1, cut_offs=3))

    assert len(rounds) == 3
    groups = set()
    for each in rounds:
        assert each.training.times.max() < each.as_of
        for session in each.sessions:
            assert session.as_of >= each.as_of
            assert session.ratings.times.max() < session.as_of
            for case in session.cases:
                groups.add(case.group)
                assert (len(case.known.movies) == 0) == (case.group == NEW)
                assert (case.known.times < session.as_of).all()
                assert not set(case.movies.tolist()) & set(case.known.movies.tolist())
    assert groups == {NEW, WITH_HISTORY}


def test_rolling_days_measure_a_member_once_for_each_cut_off_on_the_year_from_their_first_day():
    data = make_dataset()
    ratings = data.ratings

    rounds = list(split_rolling_days(data, seed=1, cut_offs=3))

    ends = [*(each.as_of for each in rounds[1:]), np.inf]
    for each, end in zip(rounds, ends, strict=True):
        is_in_round = (ratings.times >= each.as_of) & (ratings.times < end)
        cases = [(session.as_of, case) for session in each.sessions for case in session.cases]
        assert sorted(case.member for _, case in cases) == sorted(
            set(ratings.users[is_in_round].tolist())
        )
        for day, case in cases:
            own = ratings[ratings.users == case.member]
            is_after = (own.times >= each.as_of) & (own.times < end)
            assert day == own.times[is_after].min() // DAY * DAY
            is_ahead = (own.times >= day) & (own.times < day + DAYS_AHEAD * DAY)
            assert list_case_pairs([case], "test") == list_pairs(own[is_ahead])
            assert list_case_pairs([case], "known") == list_pairs(own[own.times < day])


def test_frozen_histories_end_at_the_moment_of_the_fit():
    data = make_dataset()

    (only,) = split_frozen(data, seed=1)

    cases = only.sessions[0].cases
    assert only.training.times.max() < only.as_of
    assert list_case_pairs(cases, "test") == list_pairs(
        data.ratings[data.ratings.times >= only.as_of]
    )
    assert all((case.known.times < only.as_of).all() for case in cases)
    assert {case.group for case in cases} == {NEW, WITH_HISTORY}


@pytest.mark.parametrize("split", [split_rolling_days, split_frozen])
def test_a_temporal_validation_does_not_use_the_newest_fifth(split):
    data = make_dataset()
    border = np.quantile(data.ratings.times, 0.8)

    rounds = list(split(data, seed=1, validation=True))

    older = list_pairs(data.ratings[data.ratings.times < border])
    for each in rounds:
        assert list_pairs(each.training) <= older
        for session in each.sessions:
            assert list_case_pairs(session.cases, "test") <= older


def test_temporal_protocols_need_times():
    data = make_dataset()
    ratings = Ratings(data.ratings.users, data.ratings.movies, data.ratings.stars)

    with pytest.raises(ValueError, match="need the times"):
        list(split_frozen(Dataset("", ratings, data.content), seed=1))


def test_a_limit_of_members_limits_who_is_measured_and_not_who_is_fitted():
    data = make_dataset()

    (full,), (few,) = split_weak(data, seed=1), split_weak(data, seed=1, members=7)

    assert few.case_count == 7
    assert len(few.training) == len(full.training)
    members = {case.member for case in few.sessions[0].cases}
    assert members < {case.member for case in full.sessions[0].cases}


def test_a_rating_of_a_movie_outside_the_catalogue_is_rejected():
    with pytest.raises(ValueError, match="not in the catalogue"):
        Dataset("", Ratings(np.array([1]), np.array([5]), np.array([3.0])), make_content())


# --- Measuring -----------------------------------------------------------------------------------


def test_the_best_are_greatest_first_and_equal_ones_by_place_without_the_excluded():
    order = np.array([1.0, 3.0, 3.0, -np.inf, 5.0, 2.0])

    assert select_best(order, exclude=np.array([4]), length=3).tolist() == [1, 2, 5]
    assert select_best(order, exclude=np.array([], dtype=int)).tolist() == [4, 1, 2, 5, 0]


class Oracle:
    """Knows what the members of one kind like."""

    name = "oracle"

    def fit(self, ratings, content, *, as_of, progress):
        """Nothing to learn."""

    def refresh(self, ratings, *, as_of):
        """Nothing to refresh."""

    def predict(self, known):
        # A member's ratings show which half of the movies they like.
        liked = known.movies[known.stars >= 4][0] % 2
        truth = (np.arange(len(MOVIES)) % 2 == liked).astype(float)
        return Prediction(truth, truth)


def test_an_oracle_has_perfect_figures():
    data = make_dataset()
    (only,) = split_weak(data, seed=1)

    outcome = measure(Oracle(), only.sessions[0], ignore_progress)

    ranking = aggregate_ranking(outcome, popularity=np.full(len(MOVIES), 0.5))["all"]
    scoring = aggregate_scoring(outcome)["all"]
    assert ranking["recall_at_50"] == [1.0, 0.0]
    assert ranking["novelty_at_10"][0] == pytest.approx(1.0)
    assert scoring["auc"] == [1.0, 0.0]
    assert scoring["mean_auc"] == [1.0, 0.0]
    assert scoring["ece"] == [0.0, 0.0]
    assert scoring["brier"] == [0.0, 0.0]
    assert scoring["log_loss"][0] < 1e-5


def test_a_movie_under_30_percent_in_the_first_20_is_counted():
    class Unlikely(Oracle):
        def predict(self, known):
            return Prediction(np.arange(40.0), np.where(np.arange(40) < 39, 0.5, 0.29))

    data = make_dataset()
    (only,) = split_weak(data, seed=1)

    outcome = measure(Unlikely(), only.sessions[0], ignore_progress)

    is_shown = [39 not in case.known.movies for case in only.sessions[0].cases]
    assert outcome.has_unlikely.tolist() == is_shown
    assert 0 < np.mean(is_shown) < 1


def test_figures_are_grouped_by_the_length_of_the_history():
    data = make_dataset()
    (first, *_) = split_strong(data, seed=1, folds=3)
    popularity = fit(Popularity(), data.ratings, data.content)

    outcome = measure(popularity, first.sessions[0], ignore_progress)

    scoring = aggregate_scoring(outcome)
    lengths = ("0", "1-5", "6-20")
    assert {*lengths, "all"} <= set(scoring)
    assert scoring["all"]["ratings"] == sum(scoring[name]["ratings"] for name in lengths)
    assert {"0", "1", "3", "5", "all"} <= set(aggregate_ranking(outcome, popularity=np.ones(40)))


# --- Baselines -----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [ItemKNN, EASE, ImplicitALS])
def test_a_baseline_beats_popularity_if_there_are_two_tastes(make):
    data = make_dataset()
    (only,) = split_weak(data, seed=1)

    ndcg = measure_ndcg(make(), only, data.content)

    assert ndcg > measure_ndcg(Popularity(), only, data.content) + 0.1


def test_popularity_is_the_count_and_its_probability_the_shrunk_share_of_likes():
    ratings = Ratings(
        np.array([1, 2, 3, 1]), MOVIES[[0, 0, 0, 1]], np.array([5, 4, 1, 2], dtype=np.float32)
    )

    prediction = fit(Popularity(), ratings, make_content(3)).predict(NOBODY)

    assert prediction.order.tolist() == [3, 1, 0]
    # Half of all four are liked: (2 + 5/2) / (3 + 5), and (0 + 5/2) / 5 for an unrated movie.
    assert prediction.probabilities[[0, 2]] == pytest.approx([4.5 / 8, 0.5])


def test_decayed_popularity_prefers_what_is_rated_lately_and_follows_the_day():
    times = np.array([0, 0, 0, 1000 * DAY, 1000 * DAY])
    ratings = Ratings(np.arange(5), MOVIES[[0, 0, 0, 1, 1]], np.full(5, 4, dtype=np.float32), times)
    popularity = fit(DecayedPopularity(100), ratings[times == 0], make_content(3), as_of=DAY)
    before = popularity.predict(NOBODY).order.argmax()

    popularity.refresh(ratings, as_of=1001.0 * DAY)

    assert (before, popularity.predict(NOBODY).order.argmax()) == (0, 1)


def test_item_knn_of_a_hand_worked_case_is_the_sum_of_cosines():
    # Movies 0 and 1 share a fan; only another member likes movie 2.
    ratings = Ratings(np.array([1, 1, 2, 3]), MOVIES[[0, 1, 1, 2]], np.full(4, 5, dtype=np.float32))
    known = KnownRatings(np.array([0]), np.array([2.0]))

    prediction = fit(ItemKNN(), ratings, make_content(3)).predict(known)

    # The interest in movie 0 is .3, and its cosine with movie 1 is 1 / sqrt(1 * 2).
    assert prediction.order == pytest.approx([0.0, 0.3 / np.sqrt(2), 0.0])
    assert prediction.probabilities is None


def test_ease_of_a_hand_worked_case_is_the_regression_on_the_other_movie():
    # X'X is [[1, 1], [1, 2]]; with ridge 1 the regression of movie 1 on movie 0 is 1 / (1 + 1).
    ratings = Ratings(np.array([1, 1, 2]), MOVIES[[0, 1, 1]], np.full(3, 5, dtype=np.float32))
    known = KnownRatings(np.array([0]), np.array([5.0]))

    prediction = fit(EASE(ridge=1.0), ratings, make_content(3)).predict(known)

    assert prediction.order[:2] == pytest.approx([0.0, 0.5], abs=1e-6)
    assert prediction.order[2] == -np.inf


@pytest.mark.parametrize("make", [Popularity, DecayedPopularity, ItemKNN, EASE, ImplicitALS])
def test_a_baseline_shows_a_member_without_ratings_what_is_popular(make):
    data = make_dataset()
    recommender = fit(make(), data.ratings, data.content)

    prediction = recommender.predict(NOBODY)

    assert prediction.order.shape == (len(MOVIES),)
    assert np.ptp(prediction.order) > 0


# --- The engine ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine():
    data = make_dataset()
    newest = float(data.ratings.times.max())
    return fit(Engine(), data.ratings, data.content, as_of=newest)


def test_a_ranking_variant_shares_the_model_and_changes_only_the_order(engine):
    variant = RankingVariant("without implicit ALS", {"als_weight": 0.0}, engine)
    known = KnownRatings(np.array([0, 2, 4]), np.array([5.0, 5.0, 5.0]))

    plain, changed = engine.predict(known), variant.predict(known)

    assert variant.model is engine.model
    assert plain.probabilities.tolist() == changed.probabilities.tolist()
    assert plain.order.tolist() != changed.order.tolist()


def test_refreshing_at_the_moment_of_the_fit_changes_nothing(engine):
    data = make_dataset()
    before = engine.rows

    engine.refresh(data.ratings, as_of=float(data.ratings.times.max()))

    assert engine.rows.trend == pytest.approx(before.trend)
    # The rate counts interest and the recent rate counts ratings, both on one scale.
    assert engine.rows.recent_rate == pytest.approx(before.recent_rate)


def test_refreshing_later_raises_the_trend_of_what_was_rated_since(engine):
    ratings = make_dataset().ratings
    later = int(ratings.times.max()) + 400 * DAY
    new = Ratings(
        np.arange(5000, 5200),
        np.full(200, MOVIES[3]),
        np.full(200, 4, dtype=np.float32),
        np.full(200, later - DAY),
    )
    everything = Ratings(
        *(np.concatenate([vars(ratings)[name], vars(new)[name]]) for name in vars(ratings))
    )

    engine.refresh(everything, as_of=float(later))

    assert engine.rows.trend.argmax() == 3
    assert engine.rows.trend[3] > 1.5
