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
def films(make_movie):
    return [make_movie(title).pk for title in ("Alien", "Brazil", "Casablanca")]


def titles(answer):
    assert answer.status_code == 200
    assert answer.json()["count"] == len(answer.json()["results"])
    return [each["movie"]["title"] for each in answer.json()["results"]]


# --- Watchlist -----------------------------------------------------------------------------------


def test_a_film_is_on_the_watchlist_once_and_the_last_added_comes_first(client, films):
    answer = client.post("/watchlist/", {"movie": films[0]})
    assert answer.status_code == 201
    assert set(answer.json()) == {"movie", "added_at"}
    assert answer.json()["movie"]["title"] == "Alien"
    client.post("/watchlist/", {"movie": films[1]})
    again = client.post("/watchlist/", {"movie": films[0]})
    assert (again.status_code, again.json()) == (200, answer.json())
    assert titles(client.get("/watchlist/")) == ["Brazil", "Alien"]


def test_a_film_leaves_the_watchlist_when_told_to(client, films):
    client.post("/watchlist/", {"movie": films[0]})
    assert client.delete(f"/watchlist/{films[0]}/").status_code == 204
    assert client.delete(f"/watchlist/{films[0]}/").status_code == 404
    assert titles(client.get("/watchlist/")) == []


@pytest.mark.parametrize("score", [4, 2])
def test_rating_a_film_takes_it_off_the_watchlist(client, ann, films, score):
    client.post("/ratings/", {"movie": films[1], "score": 2})
    for film in films[:2]:
        client.post("/watchlist/", {"movie": film})
        client.post("/ratings/", {"movie": film, "score": score})
    assert not WatchlistItem.objects.exists()


def test_rating_a_film_leaves_it_on_the_watchlist_if_told_to(client, films, make_user, client_of):
    client_of(make_user("bob")).post("/watchlist/", {"movie": films[0]})
    client.post("/watchlist/", {"movie": films[0]})
    sent = {"movie": films[0], "score": 4, "keep_in_watchlist": True}
    assert client.post("/ratings/", sent).status_code == 201
    assert WatchlistItem.objects.count() == 2
    client.post("/ratings/", {**sent, "keep_in_watchlist": False})
    assert list(WatchlistItem.objects.values_list("user__username", flat=True)) == ["bob"]


@pytest.mark.parametrize("path", ["/watchlist/", "/history/"])
@pytest.mark.parametrize("movie", [404404, 0, "x", None, True, 1.5])
def test_an_unknown_film_is_400_on_movie(client, path, movie):
    answer = client.post(path, {"movie": movie})
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {"movie"}


@pytest.mark.django_db(transaction=True)
def test_twenty_additions_of_one_film_at_once_are_one(client, films):
    answers = run_concurrently(*[lambda: client.post("/watchlist/", {"movie": films[0]})] * 20)
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert WatchlistItem.objects.count() == 1


# --- History -------------------------------------------------------------------------------------


def test_a_film_is_seen_as_often_as_it_is_noted_and_a_moment_counts_once(client, films):
    before = timezone.now()
    now = client.post("/history/", {"movie": films[0]})
    assert (now.status_code, set(now.json())) == (201, {"id", "movie", "watched_at"})
    assert before - timedelta(seconds=1) < datetime.fromisoformat(now.json()["watched_at"])
    sent = {"movie": films[0], "watched_at": "2020-02-29T22:15:00+02:00"}
    first, again = client.post("/history/", sent), client.post("/history/", sent)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.json()["watched_at"] == "2020-02-29T20:15:00.000Z"
    client.post("/history/", {"movie": films[1], "watched_at": "2021-01-01"})
    assert titles(client.get("/history/")) == ["Alien", "Brazil", "Alien"]
    assert titles(client.get(f"/history/?movie={films[1]}")) == ["Brazil"]


@pytest.mark.parametrize(
    "watched_at",
    ["yesterday", "", None, 5, "2020-02-30", "0001-01-01T00:00:00+14:00", "1869-12-31T23:59:59Z"],
)
def test_a_moment_that_is_none_is_400_on_watched_at(client, films, watched_at):
    answer = client.post("/history/", {"movie": films[0], "watched_at": watched_at})
    assert answer.status_code == 400
    assert set(answer.json()["errors"]) == {"watched_at"}


def test_nobody_has_seen_a_film_in_the_future(client, films):
    for ahead in (timedelta(minutes=1), timedelta(days=9999)):
        sent = {"movie": films[0], "watched_at": (timezone.now() + ahead).isoformat()}
        answer = client.post("/history/", sent)
        assert answer.json()["errors"]["watched_at"][0]["code"] == "future"


def test_a_viewing_is_taken_back_by_its_member_alone(client, films, make_user, client_of):
    viewing = client.post("/history/", {"movie": films[0]}).json()["id"]
    other = client_of(make_user("bob"))
    assert other.delete(f"/history/{viewing}/").status_code == 404
    assert titles(other.get("/history/")) == []
    assert client.delete(f"/history/{viewing}/").status_code == 204
    assert client.delete(f"/history/{viewing}/").status_code == 404


@pytest.mark.parametrize("path", ["/watchlist/", "/history/"])
def test_a_page_takes_three_queries(client, ann, films, path, django_assert_num_queries):
    for film in films:
        client.post(path, {"movie": film})
    with django_assert_num_queries(3):  # the session, the count, the page with its films
        client.get(path)


@pytest.mark.django_db(transaction=True)
def test_one_viewing_sent_twenty_times_at_once_is_one(client, films):
    sent = {"movie": films[0], "watched_at": "2020-02-29T20:15:00Z"}
    answers = run_concurrently(*[lambda: client.post("/history/", sent)] * 20)
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert Viewing.objects.count() == 1


def test_viewings_make_the_watch_time_and_a_rating_without_one_counts_once(client, ann, make_movie):
    alien, fargo = make_movie("Alien", runtime=100), make_movie("Fargo", runtime=30)
    for when in ("2024-12-31T23:00:00Z", "2025-01-01T01:00:00Z", "2025-01-02T01:00:00Z"):
        client.post("/history/", {"movie": alien.pk, "watched_at": when})
    for film in (alien, fargo):
        client.post("/ratings/", {"movie": film.pk, "score": 4})
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
