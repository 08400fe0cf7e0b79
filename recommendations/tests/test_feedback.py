"""Hide, less, more: over HTTP, at once, and undone."""

import threading

import pytest
from django.db import connection

from movies.models import Movie
from recommendations.models import Feedback
from recommendations.services import feedback_set
from recommendations.tests.community import made_up, quiet
from recommendations.training.pipeline import training_run

pytestmark = pytest.mark.django_db


@pytest.fixture(params=[False, True], ids=["untrained", "trained"])
def world(request, make_user, client_of):
    _, movies = made_up(members=30, movies=45)
    if request.param:
        training_run(progress=quiet, force=True)
    api = client_of(make_user("ann"))
    for movie in movies[:9]:
        assert api.post("/ratings/", {"movie": movie.pk, "score": 4}).status_code == 201
    return api, movies


def feed(api, more=""):
    body = api.get(f"/movies/recommendations/?page_size=100{more}").json()
    return [item["movie"]["id"] for item in body["results"]]


@pytest.mark.parametrize("kind", ["hide", "less"])
def test_a_movie_waved_away_is_gone_from_the_next_feed_and_back_when_undone(world, kind):
    api = world[0]
    before = feed(api)
    movie = before[0]
    answer = api.put(f"/movies/{movie}/feedback/", {"kind": kind})
    assert answer.status_code == 200
    assert set(answer.json()) == {"movie", "kind", "created_at", "updated_at"}
    assert (answer.json()["movie"]["id"], answer.json()["kind"]) == (movie, kind)
    assert set(feed(api)) == set(before) - {movie}
    assert movie not in {
        item["movie"]["id"] for item in api.get("/movies/onboarding/").json()["results"]
    }
    assert api.get(f"/movies/{movie}/match_score/").status_code == 200
    assert api.delete(f"/movies/{movie}/feedback/").status_code == 204
    assert feed(api) == before
    assert api.delete(f"/movies/{movie}/feedback/").status_code == 404


def test_a_movie_watched_is_gone_from_the_feed_and_one_on_the_watchlist_on_request(world):
    api = world[0]
    seen, planned, *_ = before = feed(api)
    viewing = api.post("/history/", {"movie": seen}).json()["id"]
    assert api.post("/watchlist/", {"movie": planned}).status_code == 201
    assert set(feed(api)) == set(before) - {seen}
    assert set(feed(api, "&include_watchlist=false")) == set(before) - {seen, planned}
    # Whoever has seen a movie may be asked what they made of it.
    asked = {item["movie"]["id"] for item in api.get("/movies/onboarding/").json()["results"]}
    api.delete(f"/history/{viewing}/")
    assert asked == {
        item["movie"]["id"] for item in api.get("/movies/onboarding/").json()["results"]
    }
    assert feed(api) == before


@pytest.mark.parametrize("world", [True], ids=["trained"], indirect=True)
def test_more_and_less_move_what_is_like_the_movie(world):
    api, movies = world
    horror = {movie.pk for movie in movies[::3]}

    def places():
        return [place for place, movie in enumerate(feed(api)) if movie in horror]

    before = sum(places())
    for movie in movies[30::3]:
        api.put(f"/movies/{movie.pk}/feedback/", {"kind": "more"})
    more = places()
    assert sum(more) < before
    assert set(feed(api)) >= {movie.pk for movie in movies[30::3]}
    assert "You asked for more like" in str(api.get("/movies/recommendations/").json()) or sum(more)
    score = api.get(f"/movies/{movies[27].pk}/match_score/").json()["match_score"]
    for movie in movies[30::3]:
        api.put(f"/movies/{movie.pk}/feedback/", {"kind": "less"})
    assert api.get(f"/movies/{movies[27].pk}/match_score/").json()["match_score"] < score


def test_feedback_is_listed_newest_first_for_its_owner_alone(
    make_user, make_movie, client_of, django_assert_max_num_queries
):
    ann, bob = client_of(make_user("ann")), client_of(make_user("bob"))
    movies = [make_movie(f"Movie {n}") for n in range(3)]
    for movie in movies:
        ann.put(f"/movies/{movie.pk}/feedback/", {"kind": "hide"})
    ann.put(f"/movies/{movies[0].pk}/feedback/", {"kind": "more"})
    with django_assert_max_num_queries(4):
        body = ann.get("/feedback/").json()
    listed = [(item["movie"]["id"], item["kind"]) for item in body["results"]]
    assert listed == [(movies[0].pk, "more"), (movies[2].pk, "hide"), (movies[1].pk, "hide")]
    assert bob.get("/feedback/").json()["count"] == 0
    assert (
        ann.get("/feedback/?page_size=2&page=2").json()["results"][0]["movie"]["id"] == movies[1].pk
    )


@pytest.mark.parametrize("body", [{}, {"kind": "love"}, {"kind": None}, {"kind": ["hide"]}])
def test_an_unknown_kind_is_named(make_user, make_movie, client_of, body):
    answer = client_of(make_user("ann")).put(f"/movies/{make_movie().pk}/feedback/", body)
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {"kind"}


def test_feedback_on_an_unknown_movie_is_404(make_user, client_of):
    api = client_of(make_user("ann"))
    assert api.put("/movies/404404/feedback/", {"kind": "hide"}).status_code == 404
    assert api.put("/movies/9223372036854775807/feedback/", {"kind": "hide"}).status_code == 404
    assert Feedback.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_the_same_feedback_twenty_times_at_once_is_one_row(make_user, make_movie):
    ann, movie = make_user("ann"), make_movie("Alien")
    failed = []

    def say(kind):
        try:
            feedback_set(user_id=ann.pk, movie_id=movie.pk, kind=kind)
        except Exception as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=say, args=(("hide", "more")[n % 2],)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert Feedback.objects.count() == 1
    Movie.objects.all().delete()
    assert Feedback.objects.count() == 0
