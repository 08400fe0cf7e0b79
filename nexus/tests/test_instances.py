"""Two instances of the service on one database and one cache are one service."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from accounts.tokens import family_create
from tmdb.fake.server import FakeTmdbServer

TOP = "/movies/top_rated/"


@pytest.mark.django_db(transaction=True)
def test_two_instances_share_sessions_limits_and_data(gunicorn, make_user, make_movie):
    film = make_movie("Alien", vote_count=900, vote_average=8.0)
    session = family_create(user=make_user("ann"))
    bearer = {"Authorization": f"Bearer {session.access}"}
    with FakeTmdbServer() as server, ThreadPoolExecutor(12) as clients:
        given = {
            "WEB_CONCURRENCY": "1",
            "TMDB_BASE_URL": server.base_url,
            "TMDB_ACCESS_TOKEN": server.credential,
            "RATE_LIMIT_SCALE": "0.5",
        }
        urls = list(clients.map(lambda _: gunicorn(**given), range(2)))
        both = [urls[number % 2] for number in range(80)]

        # Concurrent searches by way of both: one call to TMDb.
        found = list(clients.map(lambda url: requests.get(f"{url}/tmdb/search/?query=alien", timeout=20), both[:12]))  # fmt: skip
        assert {each.status_code for each in found} == {200}
        assert len([call for call in server.requests if "/search/" in call.path]) == 1

        # A rating by way of one is in the other's next answers, also in those it keeps.
        for url in urls * 2:
            assert requests.get(url + TOP, timeout=20).json()["results"][0]["rating_count"] == 0
        sent = requests.post(f"{urls[0]}/ratings/", json={"movie": film.pk, "score": 5}, headers=bearer, timeout=20)  # fmt: skip
        assert sent.status_code == 201
        assert requests.get(urls[1] + TOP, timeout=20).json()["results"][0]["rating_count"] == 1
        mine = requests.get(f"{urls[1]}/ratings/", headers=bearer, timeout=20)
        assert [each["score"] for each in mine.json()["results"]] == [5.0]

        # Of an address's requests as many pass as one instance would let pass: 60, 17 of them above.
        statuses = list(clients.map(lambda url: requests.get(f"{url}/genres/", timeout=20).status_code, both))  # fmt: skip
        assert statuses.count(200) == 60 - 12 - 5
        assert statuses.count(429) == 80 - statuses.count(200)

        # A session that ends at one has ended at the other.
        ended = requests.post(f"{urls[0]}/auth/logout/all/", headers=bearer, timeout=20)
        assert ended.status_code == 204
        assert requests.get(f"{urls[1]}/ratings/", headers=bearer, timeout=20).status_code == 401
