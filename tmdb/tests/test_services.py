"""Imports through gunicorn with several workers."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from movies.models import Movie
from tmdb.fake.server import CREDENTIAL, FIRST_ID


@pytest.mark.clocked
@pytest.mark.django_db(transaction=True)
def test_equal_imports_in_several_workers_create_one_movie(
    gunicorn, client_of, make_user, tmdb_server
):
    url = gunicorn(
        TMDB_BASE_URL=tmdb_server.base_url,
        TMDB_ACCESS_TOKEN=CREDENTIAL,
        WEB_CONCURRENCY="2",
    )
    token = client_of(make_user("ann"))._credentials["HTTP_AUTHORIZATION"]
    tmdb_server.set_mode("slow", seconds=0.2)

    def import_movie(_):
        return requests.post(
            f"{url}/tmdb/import/",
            json={"tmdb_id": FIRST_ID},
            headers={"Authorization": token},
            timeout=60,
        ).status_code

    with ThreadPoolExecutor(20) as threads:
        statuses = sorted(threads.map(import_movie, range(20)))

    assert statuses == [200] * 19 + [201]
    assert Movie.objects.count() == 1
