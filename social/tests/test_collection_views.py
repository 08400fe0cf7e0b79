from datetime import date

import pytest

from movies.models import Collection, Movie

pytestmark = pytest.mark.django_db


@pytest.fixture
def series(make_movie):
    """A series in the order of its release: by date, by year alone, without any date."""
    collection = Collection.objects.create(tmdb_id=8091, name="Alien Collection")
    movies = [
        make_movie("Alien", release_date=date(1979, 5, 25)),
        make_movie("Aliens", release_date=date(1986, 7, 18)),
        make_movie("Alien³", release_year=1992),
        make_movie("Alien: Untitled"),
    ]
    # Stored in another sequence than that of their release.
    for movie in movies[::-1]:
        Movie.objects.filter(pk=movie.pk).update(collection=collection)
    return collection, movies


def test_series_is_in_release_order(api, series):
    collection, movies = series

    response = api.get(f"/collections/{collection.pk}/")

    body = response.json()
    assert [part["movie"]["id"] for part in body["movies"]] == [movie.pk for movie in movies]
    assert {part["seen"] for part in body["movies"]} == {None}
    assert {name: body[name] for name in body if name != "movies"} == {
        "id": collection.pk,
        "tmdb_id": 8091,
        "name": "Alien Collection",
        "movie_count": 4,
        "seen_count": None,
    }
    assert response["Cache-Control"] == "public, max-age=60"


def test_caller_sees_which_parts_they_have_rated_or_watched(series, make_user, client_of):
    collection, (alien, aliens, *_) = series
    ann, ben = client_of(make_user("ann")), client_of(make_user("ben"))
    ann.post("/ratings/", {"movie": alien.pk, "score": 5})
    ann.post("/history/", {"movie": aliens.pk})

    response = ann.get(f"/collections/{collection.pk}/")

    assert [part["seen"] for part in response.json()["movies"]] == [True, True, False, False]
    assert response.json()["seen_count"] == 2
    assert response["Cache-Control"] == "private, no-store"
    assert ben.get(f"/collections/{collection.pk}/").json()["seen_count"] == 0


def test_series_costs_two_queries_and_one_for_the_caller(
    api, series, make_user, client_of, django_assert_num_queries
):
    member = client_of(make_user("ann"))
    path = f"/collections/{series[0].pk}/"
    member.get(path)

    with django_assert_num_queries(2):
        api.get(path)
    with django_assert_num_queries(4):  # and the caller's session
        member.get(path)


def test_unknown_series_is_404(api):
    assert api.get("/collections/999999/").status_code == 404
