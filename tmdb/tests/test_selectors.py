"""Movies that TMDb relates to one, as /movies/{id}/similar/ uses them."""

import time

import pytest

from nexus.dev.jobs import run_waiting_jobs
from tmdb.fake.movies import get_related
from tmdb.fake.server import FIRST_ID, MOVIES

pytestmark = pytest.mark.django_db


def get_similar(api, movie_id):
    return api.get(f"/movies/{movie_id}/similar/?page_size=100").json()["results"]


@pytest.mark.clocked
def test_similar_fetches_tmdbs_lists_in_the_background_and_uses_them_from_then_on(
    api, tmdb_server, make_movie
):
    movie = make_movie("Alone", tmdb_id=FIRST_ID, imdb_id=None, genres=["War"])
    tmdb_server.set_mode("slow", seconds=1.5)

    started = time.monotonic()
    first = get_similar(api, movie.pk)
    elapsed_s = time.monotonic() - started
    run_waiting_jobs()
    second = get_similar(api, movie.pk)

    assert first == []
    assert elapsed_s < 1.2
    assert {request.path.rpartition("/")[2] for request in tmdb_server.requests} == {
        "recommendations",
        "similar",
    }
    assert second[0]["movie"]["tmdb_id"] == get_related(MOVIES[FIRST_ID], MOVIES.values())[0]["id"]
    assert second[0]["similarity"] >= 0.5
    assert "TMDb lists them side by side." in second[0]["reasons"]
    assert len(second) == 20
    assert len(tmdb_server.requests) == 2


def test_similar_works_while_tmdb_fails(api, tmdb_server, make_movie):
    movie = make_movie("Alone", tmdb_id=FIRST_ID, genres=["War"])
    make_movie("Other war", genres=["War"])
    tmdb_server.set_mode("500")

    for _ in range(2):
        results = get_similar(api, movie.pk)
        run_waiting_jobs()
        assert [result["movie"]["title"] for result in results] == ["Other war"]


def test_similar_requests_nothing_without_a_credential(api, settings, make_movie, tmdb_server):
    settings.TMDB_TOKEN = ""

    results = get_similar(api, make_movie("Alone", tmdb_id=FIRST_ID).pk)
    run_waiting_jobs()

    assert results == []
    assert tmdb_server.requests == []
