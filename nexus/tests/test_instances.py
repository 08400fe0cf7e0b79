"""Two instances of the service on one database and one cache behave as one service."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from accounts.tokens import family_create
from nexus.settings import REQUEST_UNITS
from tmdb.fake.server import FakeTmdbServer

ADDRESS_LIMIT = 600


@pytest.mark.django_db(transaction=True)
def test_two_instances_share_sessions_limits_and_data(gunicorn, make_user, make_movie):
    movie = make_movie("Alien", vote_count=900, vote_average=8.0)
    session = family_create(user=make_user("ann"))
    bearer = {"Authorization": f"Bearer {session.access}"}
    units = 0

    def send(url, method="GET", **options):
        return requests.request(method, url, timeout=20, **options)

    def count_ratings(url, **options):
        page = send(f"{url}/movies/top_rated/", **options).json()
        return page["results"][0]["rating_count"]

    with FakeTmdbServer() as server, ThreadPoolExecutor(12) as pool:
        environment = {
            "TMDB_BASE_URL": server.base_url,
            "TMDB_ACCESS_TOKEN": server.credential,
            # Half of 1,200 units a minute for an address.
            "RATE_LIMIT_SCALE": "0.5",
        }
        urls = list(pool.map(lambda _: gunicorn(**environment), range(2)))

        # The first search of a process takes longer than others wait for it on a busy machine.
        for url in urls:
            assert send(f"{url}/tmdb/search/?query={url[-5:]}").status_code == 200
        units += len(urls) * REQUEST_UNITS["GET /tmdb/search/"]
        server.requests.clear()

        # Concurrent searches at both instances share one call to TMDb.
        searches = [f"{url}/tmdb/search/?query=alien" for url in urls * 6]
        assert {response.status_code for response in pool.map(send, searches)} == {200}
        assert len([call for call in server.requests if "/search/" in call.path]) == 1
        units += len(searches) * REQUEST_UNITS["GET /tmdb/search/"]

        # A rating at one instance is in a member's next response from the other; both instances
        # serve the same cached response to callers without a token.
        assert [count_ratings(url) for url in urls] == [0, 0]
        rating = {"movie": movie.pk, "score": 5}
        response = send(f"{urls[0]}/ratings/", "POST", json=rating, headers=bearer)
        assert response.status_code == 201
        assert [count_ratings(url, headers=bearer) for url in urls] == [1, 1]
        assert [count_ratings(url) for url in urls] == [0, 0]
        ratings = send(f"{urls[1]}/ratings/", headers=bearer).json()["results"]
        assert [rating["score"] for rating in ratings] == [5.0]
        units += 6 * REQUEST_UNITS["GET /movies/top_rated/"]
        units += REQUEST_UNITS["POST /ratings/"] + REQUEST_UNITS["GET /ratings/"]

        # A session that is revoked at one instance is revoked at the other.
        response = send(f"{urls[0]}/auth/logout/all/", "POST", headers=bearer)
        assert response.status_code == 204
        assert send(f"{urls[1]}/ratings/", headers=bearer).status_code == 401
        units += REQUEST_UNITS["POST /auth/logout/all/"] + REQUEST_UNITS["GET /ratings/"]

        # Both instances together let as many requests of an address pass as one does.
        reads = [f"{url}/movies/top_rated/" for url in urls * 100]
        statuses = [response.status_code for response in pool.map(send, reads)]
        units_left = ADDRESS_LIMIT - units
        assert statuses.count(200) == units_left // REQUEST_UNITS["GET /movies/top_rated/"]
        assert statuses.count(429) == len(reads) - statuses.count(200)
