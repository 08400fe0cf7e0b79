"""How many requests the screens of a client take, against a running server."""

import pytest
import requests

from accounts.tokens import family_create
from social.models import Rating


class CountingClient:
    """A member's HTTP client that counts its requests."""

    def __init__(self, home, token):
        self._home = home
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"
        self.requests = 0

    def get(self, path, **query):
        self.requests += 1
        response = self._session.get(self._home + path, params=query, timeout=30)
        assert response.status_code == 200, response.text
        return response.json()


@pytest.fixture
def movies(make_movie):
    return [
        make_movie(f"Horror {n}", genres=["Horror"], directors=["Ada Quill"]) for n in range(20)
    ]


@pytest.fixture
def ben(make_user, client_of, movies):
    """A member who has rated, reviewed and planned to watch movies, and whom somebody follows."""
    ben = make_user("ben")
    api = client_of(ben)
    for movie in movies[:10]:
        api.post("/ratings/", {"movie": movie.pk, "score": 4, "review": "Fine."})
    api.put(f"/watchlist/{movies[15].pk}/")
    client_of(make_user("cleo")).put("/profiles/ben/follow/")
    return ben


@pytest.fixture(scope="module")
def service(module_gunicorn):
    return module_gunicorn(HTTPS="0")


@pytest.fixture
def client(service, idle_database, ben):
    return CountingClient(service, family_create(user=ben).access)


def test_a_list_screen_takes_two_requests(client, movies):
    """Twenty movies, each with its match score, the caller's rating and whether it is listed."""
    page = client.get("/movies/", ordering="-created_at")
    ids = [movie["id"] for movie in page["results"]]
    states = client.get("/movies/states/", ids=",".join(map(str, ids)))

    assert client.requests == 2
    assert [state["movie_id"] for state in states] == ids
    assert all(0 <= state["match_score"] <= 100 for state in states)
    assert sum(state["rating"] is not None for state in states) == 10
    assert [s["movie_id"] for s in states if s["watchlisted_at"]] == [movies[15].pk]


def test_a_detail_screen_takes_one_request(client, movies):
    """The movie, its people, similar movies, reviews, and what the caller said about it."""
    detail = client.get(f"/movies/{movies[0].pk}/", append="similar,reviews,state")

    assert client.requests == 1
    assert detail["directors"][0]["name"] == "Ada Quill"
    assert detail["similar"]["results"]
    assert detail["reviews"]["results"][0]["user"] == "ben"
    assert detail["state"]["rating"]["score"] == 4


@pytest.mark.parametrize(
    "paths",
    [
        ("/profiles/me/", "/profiles/stats/", "/ratings/"),
        ("/profiles/ben/", "/profiles/ben/stats/", "/profiles/ben/ratings/"),
    ],
    ids=["own", "another member's"],
)
def test_a_profile_screen_takes_three_requests(client, paths):
    """Name, text and followers; statistics with the best rated movies; the latest ratings."""
    profile, stats, ratings = (client.get(path) for path in paths)

    assert client.requests == 3
    assert (profile["username"], profile["followers"]) == ("ben", 1)
    assert stats["total_ratings"] == 10
    assert stats["highest_rated"][0]["score"] == 4
    assert ratings["count"] == Rating.objects.count() == 10
