import numpy as np
import pytest
from scipy.special import expit

from recommendations.algorithms.item_stats import (
    RatingSums,
    Totals,
    fit_biases,
    rated_movies,
    unrated_movies,
    untrained_movies,
)
from recommendations.algorithms.neighbors import member_scale, movie_scale
from recommendations.algorithms.parameters import Parameters
from recommendations.algorithms.types import BadRatings, MovieContent, Ratings, encode, interest


def ratings(rows):
    users, ids, stars = zip(*rows, strict=True)
    return Ratings(np.array(users), np.array(ids), np.array(stars, dtype=np.float32))


def content(ids, *, average=None, votes=None):
    m = len(ids)
    nothing = np.zeros(m, dtype=np.float32)
    return MovieContent(
        movie_ids=np.array(ids, dtype=np.int64),
        genres=np.zeros((m, 2), dtype=np.float32),
        years=np.zeros(m, dtype=np.int64),
        vote_average=nothing if average is None else np.array(average, dtype=np.float32),
        vote_count=nothing if votes is None else np.array(votes, dtype=np.float32),
    )


ROWS = [(7, 10, 4.0), (7, 20, 2.0), (9, 10, 5.0), (9, 30, 3.0), (9, 20, 1.0)]


def test_ratings_become_graded_interest():
    assert interest(np.array([5, 4, 3.5, 3, 2, 1, 0.5])).tolist() == [1, 1, 0.6, 0.6, 0.3, 0.1, 0.1]


@pytest.mark.parametrize("wrong", [np.nan, 0.0, 6.0, np.inf])
def test_a_rating_that_cannot_be_names_its_row(wrong):
    with pytest.raises(BadRatings, match=r"Row 1 \(member 8, movie 20\) has"):
        ratings([(7, 10, 4.0), (8, 20, wrong)]).check()


def test_a_movie_rated_twice_by_a_member_names_both():
    with pytest.raises(BadRatings, match="Member 7 rates movie 10 twice"):
        encode(ratings([*ROWS, (7, 10, 3.0)]))


def test_encoding_does_not_depend_on_the_order_of_the_ratings():
    one = encode(ratings(ROWS))
    other = encode(ratings(ROWS[::-1]))
    for name in ("user_ids", "movie_ids", "users", "movies", "stars"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist()
    assert one.matrix(one.stars).toarray().tolist() == [[4, 2, 0], [5, 1, 3]]


def test_scales_by_hand():
    given = encode(ratings(ROWS))
    # Members have 2 and 3 ratings, 2.5 on average; movies 2, 0.4 and 0.6 of interest.
    assert member_scale(given, 0.5) == pytest.approx([(2 / 2.5) ** -0.5, (3 / 2.5) ** -0.5])
    assert movie_scale(given, 0.1) == pytest.approx([2**-0.1, 0.4**-0.1, 0.6**-0.1])


def test_some_of_the_ratings_leave_out_members_and_movies_without_any():
    given = encode(ratings(ROWS))
    rest = given.only(given.users == 0)
    assert (rest.user_ids.tolist(), rest.movie_ids.tolist()) == ([7], [10, 20])
    assert rest.shape == (1, 2)


def test_biases_solve_the_dense_ridge():
    dice = np.random.default_rng(3)
    u, m, ridge = 12, 9, 5.0
    pairs = [(a, b) for a in range(u) for b in range(m) if dice.random() < 0.6]
    given = encode(ratings([(a, b, float(dice.integers(1, 6))) for a, b in pairs]))
    mean, of_users, of_movies = fit_biases(given, content(range(m)), ridge)
    design = np.zeros((len(pairs), u + m))
    design[np.arange(len(pairs)), given.users] = 1
    design[np.arange(len(pairs)), u + given.movies] = 1
    dense = np.linalg.solve(
        design.T @ design + ridge * np.eye(u + m), design.T @ (given.stars - mean)
    )
    assert np.concatenate((of_users, of_movies)) == pytest.approx(dense, abs=1e-6)


def test_quality_is_the_bayesian_chance_of_a_like():
    given = encode(ratings(ROWS))
    rows, totals = rated_movies(given, content([10, 20, 30]), np.zeros(3), Parameters(), 0.0)
    # Two of five are likes; with half a like either way 2.5 / 6. Movie 10: 2 of 2.
    assert totals.liked_share == pytest.approx(2.5 / 6)
    assert expit(rows.quality) == pytest.approx(
        [(2 + 5 * 2.5 / 6) / 7, (5 * 2.5 / 6) / 7, (5 * 2.5 / 6) / 6]
    )
    assert rows.rate == pytest.approx([2 / 2, 0.4 / 2, 0.6 / 2])
    assert (totals.members, totals.ratings, totals.mean_stars) == (2, 5, 3.0)


def test_votes_of_tmdb_are_a_prior_and_can_be_switched_off():
    described = content([1, 2, 3], average=[8.6, 8.6, 4.0], votes=[5000, 50, 0])
    totals = Totals(liked_share=0.5)
    known = unrated_movies(described, totals, Parameters())
    assert known.quality == pytest.approx([1.1 * 2 * 5000 / 5050, 1.1, 0], rel=1e-5)
    assert known.bias == pytest.approx([0.4 * 2 * 5000 / 5050, 0.4, 0], rel=1e-5)
    off = unrated_movies(described.without_votes(), totals, Parameters())
    assert off.quality.tolist() == [0, 0, 0]


def test_sums_of_ratings_count_for_a_movie_that_no_training_knows():
    described = content([1, 2], average=[8.6, 0], votes=[50, 0])
    sums = RatingSums(count=np.array([3.0, 0.0]), stars=np.array([15.0, 0.0]))

    rows = untrained_movies(described, sums, Totals(liked_share=0.5), Parameters())

    # Three ratings of 5 stars: likes by the slope, beside a prior of 5 ratings.
    likes = 3 * expit(2.2 * (5 - 3.55))
    expected = (likes + 5 * expit(1.1)) / (3 + 5)
    assert expit(rows.quality) == pytest.approx([expected, 0.5])
    assert rows.bias == pytest.approx([(3 * 1.5 + 5 * 0.4) / (3 + 5), 0])
    assert rows.count.tolist() == [3, 0]


def test_before_the_first_training_a_movie_is_known_by_ratings_or_by_votes():
    described = content([1, 2, 3], average=[7, 7, 7], votes=[100, 50, 0])
    sums = RatingSums(count=np.array([0.0, 1.0, 2.0]), stars=np.array([0.0, 4.0, 8.0]))

    before = untrained_movies(described, sums, Totals(), Parameters())
    after = untrained_movies(described, sums, Totals(members=10), Parameters())
    without_votes = untrained_movies(described.without_votes(), sums, Totals(), Parameters())

    assert before.rate == pytest.approx([0.5, 0.25, 0.5])
    assert after.rate == pytest.approx([0, 0.07, 0.14])
    assert without_votes.rate == pytest.approx([0, 0.25, 0.5])


def test_movies_without_content_have_a_row_all_the_same():
    rows = content([5, 9]).of(np.array([9, 7, 5]))
    assert rows.movie_ids.tolist() == [9, 7, 5]
    assert content([]).of(np.array([1, 2])).years.tolist() == [0, 0]
