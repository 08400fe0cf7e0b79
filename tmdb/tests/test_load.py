"""The guarantees across workers: the real service under load, TMDb slow or unavailable.

Short versions of benchmarks/tmdb.py.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tmdb.fake.server import CREDENTIAL

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.clocked]


@pytest.fixture
def service(gunicorn, tmdb_server):
    """The URL of a service with two workers of four threads that have served requests before."""
    url = gunicorn(
        TMDB_BASE_URL=tmdb_server.base_url,
        TMDB_ACCESS_TOKEN=CREDENTIAL,
        RATE_LIMIT_SCALE="1000",
        WEB_CONCURRENCY="2",
    )
    for number in range(6):
        requests.get(f"{url}/movies/", timeout=10)
        requests.get(f"{url}/tmdb/search/?query=first{number}", timeout=10)
    tmdb_server.requests.clear()
    return url


def get_statuses(url, paths):
    def get_status(path):
        response = requests.get(url + path, timeout=10)
        # The time limit of 3 s, and a little for a busy machine.
        assert response.elapsed.total_seconds() < 3.5
        return response.status_code

    with ThreadPoolExecutor(len(paths)) as threads:
        return list(threads.map(get_status, paths))


def test_stampede_is_one_request_and_an_outage_few_and_other_responses_stay_fast(
    service, tmdb_server
):
    # One test, because most of its time is the start of the service.
    check_that_cold_requests_of_one_key_are_one_request(service, tmdb_server)
    check_that_hanging_searches_do_not_slow_other_requests(service, tmdb_server)
    check_that_searches_recover_within_five_seconds(service, tmdb_server)


def check_that_cold_requests_of_one_key_are_one_request(service, tmdb_server):
    tmdb_server.set_mode("slow", seconds=0.1)
    assert get_statuses(service, ["/tmdb/search/?query=lamps"] * 100).count(200) > 50
    assert len(tmdb_server.requests) == 1

    # Slower than a crowd waits.
    tmdb_server.set_mode("slow", seconds=1)
    assert set(get_statuses(service, ["/tmdb/search/?query=quarry"] * 100)) == {200, 503}
    assert len(tmdb_server.requests) == 2


def check_that_hanging_searches_do_not_slow_other_requests(service, tmdb_server):
    tmdb_server.requests.clear()
    tmdb_server.set_mode("slow", seconds=30)
    paths = [f"/tmdb/search/?query=lamps{number}" for number in range(20)]
    latencies = []

    with ThreadPoolExecutor(1) as thread, requests.Session() as session:
        searching = thread.submit(get_statuses, service, paths)
        while not tmdb_server.requests:
            time.sleep(0.01)
        while not searching.done():
            for path in ("/movies/", "/health/live/"):
                started = time.monotonic()
                assert session.get(service + path, timeout=10).status_code == 200
                latencies.append(time.monotonic() - started)

    assert set(searching.result()) == {503}
    latencies.sort()
    assert len(latencies) > 20
    assert latencies[int(len(latencies) * 0.95)] < 0.1
    # The four requests that may be in flight have timed out, and no other is sent.
    sent = len(tmdb_server.requests)
    assert sent <= 4
    assert set(get_statuses(service, paths)) == {503}
    assert len(tmdb_server.requests) == sent


def check_that_searches_recover_within_five_seconds(service, tmdb_server):
    tmdb_server.set_mode("ok")
    recovered = time.monotonic()
    while requests.get(f"{service}/tmdb/search/?query=heron", timeout=10).status_code != 200:
        assert time.monotonic() - recovered < 5
        time.sleep(0.1)
    assert requests.get(f"{service}/movies/", timeout=10).json()["count"] >= 0
