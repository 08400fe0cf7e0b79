"""Movies worth rating first: the measure, and over HTTP."""

import numpy as np
import pytest

from recommendations.algorithms.onboarding import choose_informative, entropy
from recommendations.tests.community import made_up, quiet
from recommendations.training.pipeline import training_run


def test_what_everybody_likes_tells_nothing():
    bits = entropy(np.array([0.0, 0.5, 1.0, 0.25]))
    assert bits == pytest.approx([0, 1, 0, 0.8113], abs=1e-4)


def test_of_equal_movies_the_widely_known_is_asked_about_first():
    chosen = choose_informative(np.array([0.1, 0.4, 0.2]), np.full(3, 0.5), np.eye(3), count=3)
    assert chosen == [1, 2, 0]


def test_movies_alike_are_not_both_asked_about_early():
    alike = np.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1.0]])
    rate = np.array([0.5, 0.49, 0.3])
    # By hand: 0 covers itself and nine tenths of 1; of what is left 2 tells more than 1.
    assert choose_informative(rate, np.full(3, 0.5), alike, count=2) == [0, 2]


def test_no_more_movies_are_chosen_than_there_are():
    assert choose_informative(np.zeros(2), np.full(2, 0.5), np.eye(2), count=20) == [0, 1]
    assert choose_informative(np.zeros(0), np.zeros(0), np.zeros((0, 0)), count=20) == []


@pytest.mark.django_db
@pytest.mark.parametrize("trained", [False, True])
def test_twenty_movies_of_all_kinds_that_are_not_rated_yet(
    make_user, client_of, django_assert_max_num_queries, trained
):
    made_up(members=30, movies=45)
    if trained:
        training_run(progress=quiet, force=True)
    api = client_of(make_user("ann"))
    asked = api.get("/movies/onboarding/").json()
    assert asked["count"] == 20
    assert {item["movie"]["genres"][0] for item in asked["results"][:6]} == {
        "Horror",
        "Romance",
        "Western",
    }
    assert "rated it" in asked["results"][0]["reasons"][0]
    first = asked["results"][0]["movie"]["id"]
    api.post("/ratings/", {"movie": first, "score": 4})
    with django_assert_max_num_queries(8):
        again = api.get("/movies/onboarding/").json()
    assert again["count"] == 20
    assert first not in [item["movie"]["id"] for item in again["results"]]


@pytest.mark.django_db
def test_without_movies_there_is_nothing_to_ask(make_user, client_of):
    assert client_of(make_user("ann")).get("/movies/onboarding/").json()["results"] == []
