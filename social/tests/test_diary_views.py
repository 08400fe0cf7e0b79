from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from social.models import Viewing, WatchlistItem
from social.tests.helpers import run_concurrently


@pytest.fixture
def ann(make_user):
    return make_user("ann")


@pytest.fixture
def client(ann, client_of):
    return client_of(ann)


@pytest.fixture
def movies(make_movie):
    return [make_movie(title).pk for title in ("Alien", "Brazil", "Casablanca")]


def read_titles(response):
    assert response.status_code == 200
    assert response.json()["count"] == len(response.json()["results"])
    return [result["movie"]["title"] for result in response.json()["results"]]


# --- Watchlist -----------------------------------------------------------------------------------


def test_adding_a_movie_twice_keeps_one_watchlist_item(client, movies):
    response = client.post("/watchlist/", {"movie": movies[0]})

    assert response.status_code == 201
    assert set(response.json()) == {"movie", "added_at"}
    assert response.json()["movie"]["title"] == "Alien"

    client.post("/watchlist/", {"movie": movies[1]})
    again = client.post("/watchlist/", {"movie": movies[0]})

    assert (again.status_code, again.json()) == (200, response.json())
    assert read_titles(client.get("/watchlist/")) == ["Brazil", "Alien"]


def test_putting_a_movie_on_the_watchlist_is_like_posting_it(client, movies):
    created = client.put(f"/watchlist/{movies[0]}/")
    again = client.put(f"/watchlist/{movies[0]}/")
    posted = client.post("/watchlist/", {"movie": movies[0]})

    assert (created.status_code, again.status_code, posted.status_code) == (201, 200, 200)
    assert created.json() == again.json() == posted.json()
    assert read_titles(client.get("/watchlist/")) == ["Alien"]


def test_an_unknown_movie_cannot_be_put_on_the_watchlist(client):
    assert client.put("/watchlist/999999/").status_code == 404


def test_a_movie_is_removed_from_the_watchlist(client, movies):
    client.post("/watchlist/", {"movie": movies[0]})

    assert client.delete(f"/watchlist/{movies[0]}/").status_code == 204
    assert client.delete(f"/watchlist/{movies[0]}/").status_code == 404
    assert read_titles(client.get("/watchlist/")) == []


@pytest.mark.parametrize("score", [4, 2])
def test_rating_a_movie_removes_it_from_the_watchlist(client, ann, movies, score):
    client.post("/ratings/", {"movie": movies[1], "score": 2})

    for movie in movies[:2]:
        client.post("/watchlist/", {"movie": movie})
        client.post("/ratings/", {"movie": movie, "score": score})

    assert not WatchlistItem.objects.exists()


def test_keep_in_watchlist_keeps_a_rated_movie_on_the_watchlist(
    client, movies, make_user, client_of
):
    client_of(make_user("bob")).post("/watchlist/", {"movie": movies[0]})
    client.post("/watchlist/", {"movie": movies[0]})
    payload = {"movie": movies[0], "score": 4, "keep_in_watchlist": True}

    assert client.post("/ratings/", payload).status_code == 201
    assert WatchlistItem.objects.count() == 2

    client.post("/ratings/", {**payload, "keep_in_watchlist": False})

    assert list(WatchlistItem.objects.values_list("user__username", flat=True)) == ["bob"]


@pytest.mark.parametrize("path", ["/watchlist/", "/history/"])
@pytest.mark.parametrize("movie", [404404, 0, "x", None, True, 1.5])
def test_an_unknown_movie_is_rejected(client, path, movie):
    response = client.post(path, {"movie": movie})

    assert response.status_code == 400
    assert set(response.json()["errors"]) == {"movie"}


@pytest.mark.django_db(transaction=True)
def test_concurrent_additions_of_a_movie_create_one_watchlist_item(client, movies):
    responses = run_concurrently(*[lambda: client.post("/watchlist/", {"movie": movies[0]})] * 20)

    assert sorted(response.status_code for response in responses) == [200] * 19 + [201]
    assert WatchlistItem.objects.count() == 1


# --- History -------------------------------------------------------------------------------------


def test_a_movie_has_one_viewing_for_each_moment(client, movies):
    before = timezone.now()
    now = client.post("/history/", {"movie": movies[0]})

    assert (now.status_code, set(now.json())) == (201, {"id", "movie", "watched_at"})
    assert before - timedelta(seconds=1) < datetime.fromisoformat(now.json()["watched_at"])

    payload = {"movie": movies[0], "watched_at": "2020-02-29T22:15:00+02:00"}
    first, again = client.post("/history/", payload), client.post("/history/", payload)

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json()["watched_at"] == "2020-02-29T20:15:00.000Z"

    client.post("/history/", {"movie": movies[1], "watched_at": "2021-01-01"})

    assert read_titles(client.get("/history/")) == ["Alien", "Brazil", "Alien"]
    assert read_titles(client.get(f"/history/?movie={movies[1]}")) == ["Brazil"]


@pytest.mark.parametrize(
    "watched_at",
    ["yesterday", "", None, 5, "2020-02-30", "0001-01-01T00:00:00+14:00", "1869-12-31T23:59:59Z"],
)
def test_an_invalid_watched_at_is_rejected(client, movies, watched_at):
    response = client.post("/history/", {"movie": movies[0], "watched_at": watched_at})

    assert response.status_code == 400
    assert set(response.json()["errors"]) == {"watched_at"}


def test_a_viewing_in_the_future_is_rejected(client, movies):
    for ahead in (timedelta(minutes=1), timedelta(days=9999)):
        payload = {"movie": movies[0], "watched_at": (timezone.now() + ahead).isoformat()}
        response = client.post("/history/", payload)
        assert response.json()["errors"]["watched_at"][0]["code"] == "future"


def test_only_the_member_can_delete_a_viewing(client, movies, make_user, client_of):
    viewing = client.post("/history/", {"movie": movies[0]}).json()["id"]

    other = client_of(make_user("bob"))

    assert other.delete(f"/history/{viewing}/").status_code == 404
    assert read_titles(other.get("/history/")) == []
    assert client.delete(f"/history/{viewing}/").status_code == 204
    assert client.delete(f"/history/{viewing}/").status_code == 404


@pytest.mark.parametrize("path", ["/watchlist/", "/history/"])
def test_a_page_takes_three_queries(client, ann, movies, path, django_assert_num_queries):
    for movie in movies:
        client.post(path, {"movie": movie})

    with django_assert_num_queries(3):  # the session, the count, the page with its movies
        client.get(path)


@pytest.mark.django_db(transaction=True)
def test_concurrent_identical_viewings_create_one(client, movies):
    payload = {"movie": movies[0], "watched_at": "2020-02-29T20:15:00Z"}

    responses = run_concurrently(*[lambda: client.post("/history/", payload)] * 20)

    assert sorted(response.status_code for response in responses) == [200] * 19 + [201]
    assert Viewing.objects.count() == 1


def test_a_rated_movie_without_a_viewing_counts_as_watched_once(client, ann, make_movie):
    alien, fargo = make_movie("Alien", runtime=100), make_movie("Fargo", runtime=30)
    for when in ("2024-12-31T23:00:00Z", "2025-01-01T01:00:00Z", "2025-01-02T01:00:00Z"):
        client.post("/history/", {"movie": alien.pk, "watched_at": when})
    for movie in (alien, fargo):
        client.post("/ratings/", {"movie": movie.pk, "score": 4})

    stats = client.get("/profiles/stats/").json()

    assert (stats["watched_count"], stats["viewing_count"]) == (2, 4)
    assert stats["watch_time_minutes"] == 330
    assert stats["streak"] == {"current_days": 1, "longest_days": 3}

    of_2025 = client.get("/profiles/stats/?year=2025").json()

    assert (of_2025["year"], of_2025["total_ratings"]) == (2025, 0)
    assert (of_2025["watched_count"], of_2025["watch_time_minutes"]) == (1, 200)
    assert of_2025["streak"] == {"current_days": 0, "longest_days": 2}

    this_year = client.get(f"/profiles/stats/?year={datetime.now(UTC).year}").json()

    assert (this_year["total_ratings"], this_year["watch_time_minutes"]) == (2, 30)
