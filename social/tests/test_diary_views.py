from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from social.models import Viewing, WatchlistItem
from social.tests.helpers import run_concurrently


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

    fields = {"id", "movie", "watched_on", "watched_at", "note"}
    assert (now.status_code, set(now.json())) == (201, fields)
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
    [
        "yesterday",
        "",
        5,
        "2020-02-30",
        "1869-12-31",
        "0001-01-01T00:00:00+14:00",
        "1869-12-31T23:59:59Z",
    ],
)
def test_an_invalid_watched_at_is_rejected(client, movies, watched_at):
    response = client.post("/history/", {"movie": movies[0], "watched_at": watched_at})

    assert response.status_code == 400
    assert set(response.json()["errors"]) == {"watched_at"}


@pytest.mark.parametrize(
    ("body", "watched_on", "watched_at"),
    [
        # The day of the offset, which is another one in UTC.
        (
            {"watched_at": "2026-07-20T22:30:00-07:00"},
            "2026-07-20",
            "2026-07-21T05:30:00.000Z",
        ),
        ({"watched_on": "2026-07-20"}, "2026-07-20", None),
        ({"watched_on": "2026-07-20", "watched_at": None}, "2026-07-20", None),
        # A day is never midnight.
        ({"watched_at": "2026-07-20"}, "2026-07-20", None),
        ({"watched_on": None}, None, None),
        ({"watched_on": None, "watched_at": None}, None, None),
        (
            {"watched_on": "2026-07-20", "watched_at": "2026-07-21T05:30:00Z"},
            "2026-07-20",
            "2026-07-21T05:30:00.000Z",
        ),
    ],
)
def test_a_viewing_has_a_moment_or_a_day_or_neither(client, movies, body, watched_on, watched_at):
    body = {"movie": movies[0], "note": "With Ben.", **body}

    first, again = client.post("/history/", body), client.post("/history/", body)

    assert (first.status_code, again.status_code) == (201, 200)
    viewing = client.get("/history/").json()["results"][0]
    assert first.json() == again.json() == viewing
    assert (viewing["watched_on"], viewing["watched_at"]) == (watched_on, watched_at)
    assert viewing["note"] == "With Ben."
    # What was read can be sent again.
    sent = {name: viewing[name] for name in ("watched_on", "watched_at", "note")}
    assert client.post("/history/", {"movie": movies[0], **sent}).status_code == 200


def test_a_day_far_from_its_moment_is_rejected(client, movies):
    body = {"movie": movies[0], "watched_on": "2026-07-19", "watched_at": "2026-07-21T00:00:00Z"}

    response = client.post("/history/", body)

    assert response.status_code == 400
    assert response.json()["errors"]["watched_on"][0]["code"] == "mismatch"


@pytest.mark.parametrize("day", ["2020-02-30", "1869-12-31", "9999-12-31", 5, ""])
def test_an_invalid_day_is_rejected(client, movies, day):
    response = client.post("/history/", {"movie": movies[0], "watched_on": day})

    assert response.status_code == 400
    assert set(response.json()["errors"]) == {"watched_on"}


def test_viewings_are_listed_by_day_and_moment_with_unknown_days_last(client, movies, make_movie):
    times = [
        {"watched_on": None},
        {"watched_at": "2026-01-01T21:00:00Z"},
        {"watched_on": "2026-01-01"},
        {"watched_at": "2026-01-01T19:00:00Z"},
        {"watched_on": "2026-01-02"},
    ]
    for number, time in enumerate(times):
        client.post("/history/", {"movie": make_movie(str(number)).pk, **time})

    titles, url = [], "/history/?page_size=2&cursor="
    while url is not None:
        page = client.get(url).json()
        titles += [viewing["movie"]["title"] for viewing in page["results"]]
        url = page["next"]

    assert titles == read_titles(client.get("/history/")) == ["4", "1", "3", "2", "0"]


def test_a_note_that_is_sent_again_replaces_that_of_the_viewing(client, movies):
    body = {"movie": movies[0], "watched_on": "2026-07-20"}
    client.post("/history/", {**body, "note": "First."})

    kept = client.post("/history/", body)
    changed = client.post("/history/", {**body, "note": "Second."})
    removed = client.post("/history/", {**body, "note": ""})

    notes = [response.json()["note"] for response in (kept, changed, removed)]
    assert notes == ["First.", "Second.", ""]


def test_logging_a_movie_takes_it_off_the_watchlist_unless_it_is_to_stay(client, movies):
    for movie in movies[:2]:
        client.post("/watchlist/", {"movie": movie})

    client.post("/history/", {"movie": movies[0], "keep_in_watchlist": True})
    client.post("/history/", {"movie": movies[1]})

    assert read_titles(client.get("/watchlist/")) == ["Alien"]


def test_a_year_counts_the_viewings_whose_day_is_known(client, make_movie):
    alien, brazil = make_movie("Alien", runtime=100), make_movie("Brazil", runtime=30)
    # In UTC it is the next year already.
    client.post("/history/", {"movie": alien.pk, "watched_at": "2024-12-31T22:30:00-07:00"})
    client.post("/history/", {"movie": alien.pk, "watched_on": "2024-12-30"})
    client.post("/history/", {"movie": brazil.pk, "watched_on": None})

    of_2024 = client.get("/profiles/stats/?year=2024").json()
    of_2025 = client.get("/profiles/stats/?year=2025").json()
    of_all = client.get("/profiles/stats/").json()

    assert (of_2024["viewing_count"], of_2024["watch_time_minutes"]) == (2, 200)
    assert of_2024["streak"]["longest_days"] == 2
    assert of_2025["viewing_count"] == 0
    assert (of_all["viewing_count"], of_all["watched_count"]) == (3, 2)


def test_a_viewing_in_the_future_is_rejected(client, movies):
    for ahead in (timedelta(minutes=1), timedelta(days=9999)):
        payload = {"movie": movies[0], "watched_at": (timezone.now() + ahead).isoformat()}
        response = client.post("/history/", payload)
        assert response.json()["errors"]["watched_at"][0]["code"] == "future"
    day = (timezone.now() + timedelta(days=2)).date().isoformat()
    response = client.post("/history/", {"movie": movies[0], "watched_on": day})
    assert response.json()["errors"]["watched_on"][0]["code"] == "future"


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
