"""Groups: the joint probability, the function that recommends, and its evaluation."""

import numpy as np
import pytest

from accounts.models import User
from movies.models import Movie
from recommendations.algorithms.groups import joint_probability, rank_for_group
from recommendations.evaluation.groups import (
    MIN_SHARED,
    PRODUCT,
    HeldOut,
    draw_groups,
    evaluate_groups,
)
from recommendations.evaluation.protocol import Case, KnownRatings
from recommendations.models import Feedback
from recommendations.recommender.group import recommend_to_group
from recommendations.recommender.match_score import compute_matches
from recommendations.services import feedback_set
from social.models import Rating
from social.services.diary import viewing_add
from social.services.ratings import rating_set

# --- The mathematics -----------------------------------------------------------------------------


def test_the_joint_probability_is_the_product_of_the_members():
    probabilities = np.array([[0.9, 0.5], [0.8, 0.5], [0.5, 0.5]])

    joint = joint_probability(probabilities)

    assert joint == pytest.approx([0.36, 0.125])


def test_the_product_ranks_a_movie_for_all_before_one_for_a_single_member():
    probabilities = np.array([[0.95, 0.7, 0.6], [0.4, 0.7, 0.6]])

    assert rank_for_group(probabilities, floor=0.3).tolist() == [1, 0, 2]


def test_movies_under_the_floor_for_any_member_come_last_by_their_product():
    probabilities = np.array([[0.99, 0.4, 0.29, 0.35], [0.29, 0.4, 0.99, 0.35], [0.9, 0.4, 1, 0.4]])

    assert rank_for_group(probabilities, floor=0.3).tolist() == [1, 3, 2, 0]


def test_movies_of_equal_product_keep_their_sequence():
    probabilities = np.array([[0.5, 0.1, 0.3 * 3, 0.9], [0.5, 0.1, 0.5, 0.5]])

    assert rank_for_group(probabilities, floor=0.0).tolist() == [2, 3, 0, 1]


# --- The function --------------------------------------------------------------------------------


@pytest.fixture
def movies(trained):
    return trained[1]


@pytest.fixture
def members(movies, make_user):
    """Ann and Bob like horror, and have three movies in common; Bob gave a western one star."""
    ann, bob = make_user("ann"), make_user("bob")
    for n in (0, 3, 6, 9, 12):
        rating_set(user_id=ann.pk, movie_id=movies[n].pk, score=5.0)
    for n in (0, 3, 6, 15, 18):
        rating_set(user_id=bob.pk, movie_id=movies[n].pk, score=4.5)
    rating_set(user_id=bob.pk, movie_id=movies[2].pk, score=1.0)
    return [ann, bob]


def recommend(users, *, name_ratings=True):
    return recommend_to_group(users, Movie.objects.all(), name_ratings=name_ratings)


def test_each_member_has_their_own_match_score_and_the_product_ranks(members):
    feed = recommend(members)

    items = feed.items[:20]
    assert feed.strategy == "personalized"
    for user_number, user in enumerate(members):
        matches = compute_matches(user, [item.movie_id for item in items], explained=False)
        shown = [item.members[user_number] for item in items]
        assert [each.username for each in shown] == [user.username] * 20
        assert [each.match_score for each in shown] == [each.match_score for each in matches]
    for item in items:
        ann, bob = (each.match_score for each in item.members)
        assert item.group_score == pytest.approx(ann * bob / 100, abs=0.16)
    scores = [item.group_score for item in items if min_score(item) >= 30]
    assert scores == sorted(scores, reverse=True)


def min_score(item):
    return min(each.match_score for each in item.members)


def test_movies_under_the_floor_for_a_member_are_last(movies, members):
    for n in (1, 4, 7, 10, 13, 16):
        rating_set(user_id=members[0].pk, movie_id=movies[n].pk, score=1.0)

    items = recommend(members).items[:]

    # Scores are rounded to one decimal, the floor is not.
    is_unlikely = [min_score(item) < 30 for item in items]
    assert True in is_unlikely
    assert is_unlikely == sorted(is_unlikely)


def test_a_movie_that_any_member_has_rated_watched_or_hidden_is_left_out(movies, members):
    before = [item.movie_id for item in recommend(members).items[:]]
    rated, watched, hidden, less, *others = before
    rating_set(user_id=members[0].pk, movie_id=rated, score=4.0)
    viewing_add(user_id=members[1].pk, movie_id=watched)
    feedback_set(user_id=members[0].pk, movie_id=hidden, kind=Feedback.Kind.HIDE)
    feedback_set(user_id=members[1].pk, movie_id=less, kind=Feedback.Kind.LESS)

    after = {item.movie_id for item in recommend(members).items[:]}

    assert after == set(others)
    judged = Rating.objects.filter(user__in=members).values_list("movie_id", flat=True)
    assert not after & set(judged)


def test_reasons_name_what_all_members_liked_and_no_low_rating(movies, members):
    items = recommend(members).items[:]

    horror = {movie.pk for movie in movies[::3]}
    reasons = {item.movie_id: item.reasons for item in items}
    assert all(reasons.values())
    text = " ".join(reason for some in reasons.values() for reason in some)
    assert "All of you liked Horror" in text
    assert movies[2].title not in text
    # Only one of them rated these.
    for n in (9, 12, 15, 18):
        assert f"{movies[n].title} " not in text
        assert f"{movies[n].title}." not in text
    for movie_id, some in reasons.items():
        assert ("All of you like Horror." in some) == (movie_id in horror)


def test_reasons_name_no_movie_if_the_reader_may_not_see_the_ratings(movies, members):
    items = recommend(members, name_ratings=False).items[:]

    text = " ".join(reason for item in items for reason in item.reasons)
    assert "It is close to movies that all of you liked." in text
    assert not any(f"{movie.title}." in text or f"{movie.title}," in text for movie in movies)


def test_a_member_without_ratings_counts_as_in_their_own_cold_start(members, make_user):
    carl = make_user("carl")

    feed = recommend([*members, carl])

    items = feed.items[:10]
    matches = compute_matches(carl, [item.movie_id for item in items], explained=False)
    assert [item.members[2].match_score for item in items] == [each.match_score for each in matches]
    assert feed.strategy == "personalized"
    assert all(item.reasons for item in items)


def test_a_group_without_any_rating_is_a_cold_start(movies, make_user):
    feed = recommend([make_user("carl"), make_user("dora")])

    assert feed.strategy == "cold_start"
    assert len(feed.items) == len(movies)
    assert feed.items[0].reasons[0].startswith("Weighted rating")


def test_a_group_is_recommended_to_before_the_first_training(untrained, make_user, make_movie):
    users = [make_user("ann"), make_user("bob")]
    one = make_movie("One", genres=["Horror"], release_year=1990)
    other = make_movie("Two", genres=["Horror"], release_year=1991)
    for user in users:
        rating_set(user_id=user.pk, movie_id=other.pk, score=5.0)

    both = Movie.objects.filter(pk__in=[one.pk, other.pk])
    items = recommend_to_group(users, both, name_ratings=True).items[:]

    assert [item.reasons[0] for item in items] == ["All of you liked Two."]


@pytest.mark.parametrize("size", [2, 10])
def test_a_group_of_any_size_is_two_queries_and_one_a_page(
    movies, members, django_assert_num_queries, size
):
    users = [*members, *User.objects.filter(username__startswith="m").order_by("pk")[: size - 2]]
    recommend(users)

    with django_assert_num_queries(2):
        feed = recommend(users)
    with django_assert_num_queries(1):
        page = feed.items[:20]

    assert all(len(item.members) == size for item in page)


@pytest.mark.parametrize("size", [0, 1, 11])
def test_a_group_of_another_size_is_rejected(size):
    users = [User(pk=number) for number in range(1, size + 1)]

    with pytest.raises(ValueError, match="2 to 10 members"):
        recommend(users)


def test_the_same_member_twice_is_no_group():
    with pytest.raises(ValueError, match="2 to 10 members"):
        recommend([User(pk=1), User(pk=1)])


# --- The evaluation ------------------------------------------------------------------------------


def make_cases(members=60, movies=40, seed=1):
    """Cases whose likes are drawn with the probabilities that are returned beside them."""
    random = np.random.default_rng(seed)
    cases, probabilities = [], []
    for member in range(members):
        places = np.flatnonzero(random.random(movies) < 0.5)
        chances = random.uniform(0.1, 0.95, len(places))
        known = KnownRatings(np.flatnonzero(random.random(movies) < 0.3), np.zeros(0))
        known = KnownRatings(known.movies, random.choice([2.0, 5.0], len(known.movies)))
        cases.append(Case(member, "all", known, places, random.random(len(places)) < chances))
        probabilities.append(chances)
    return cases, np.concatenate(probabilities)


@pytest.mark.parametrize("is_like_minded", [False, True])
def test_groups_are_of_different_members_who_share_movies(is_like_minded):
    held_out = HeldOut.of(*make_cases())

    groups = list(draw_groups(held_out, is_like_minded=is_like_minded, seed=1))

    assert {len(group) for group in groups} <= {2, 3, 4}
    for group in groups:
        assert len(set(group)) == len(group)
        assert held_out.is_rated[group].all(axis=0).sum() >= MIN_SHARED
    assert groups == list(draw_groups(held_out, is_like_minded=is_like_minded, seed=1))


def test_right_probabilities_are_calibrated_for_groups_and_the_product_is_best():
    cases, probabilities = make_cases()

    figures = evaluate_groups(cases, probabilities, floor=0.0, seed=1)

    assert list(figures) == [
        f"{kind}, {n}" for kind in ("random", "like-minded") for n in (2, 3, 4)
    ]
    pairs = figures["random, 2"]
    first = {name: value for name, (value, _) in pairs["first_liked_by_all"].items()}
    assert pairs["groups_with_liked"] < pairs["groups"]
    assert pairs["ece"][0] < 0.05
    assert first[PRODUCT] > first["average"] - 0.01
    assert first[PRODUCT] > first["one member's list"] > pairs["liked_by_all"]


def test_the_share_of_first_movies_is_over_the_groups_that_have_a_movie_all_liked():
    known = KnownRatings(np.array([0]), np.array([5.0]))
    # Members 0 and 1 both like movie 0; members 2 and 3 share other movies and like none.
    cases = [
        Case(member, "all", known, np.arange(3) + offset, np.array([member < 2, False, False]))
        for member, offset in enumerate([0, 0, 10, 10])
    ]

    figures = evaluate_groups(cases, np.tile([0.9, 0.5, 0.4], 4), floor=0.3, seed=1)

    pairs = figures["random, 2"]
    assert 0 < pairs["groups_with_liked"] < pairs["groups"]
    assert pairs["first_liked_by_all"][PRODUCT] == [1.0, 0.0]


def test_members_without_shared_movies_are_no_group():
    known = KnownRatings(np.array([0]), np.array([5.0]))
    cases = [
        Case(member, "all", known, np.arange(3) + 10 * member, np.ones(3, dtype=bool))
        for member in range(4)
    ]

    assert evaluate_groups(cases, np.full(12, 0.5), floor=0.3, seed=1) == {}
    assert evaluate_groups([], np.zeros(0), floor=0.3, seed=1) == {}
