"""What holds over several workers: the real service under load, TMDb slow or gone.

Short versions of what benchmarks/tmdb.py measures.
"""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tmdb.fake.server import CREDENTIAL

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.clocked]


@pytest.fixture
def service(gunicorn, tmdb_server):
    """Two workers of four threads, each used once."""
    url = gunicorn(
        TMDB_BASE_URL=tmdb_server.base_url,
        TMDB_ACCESS_TOKEN=CREDENTIAL,
        RATE_LIMIT_SCALE="1000",
        WEB_CONCURRENCY="2",
    )
    # Each does a thing for the first time, which takes longer.
    for number in range(6):
        requests.get(f"{url}/movies/", timeout=10)
        requests.get(f"{url}/tmdb/search/?query=first{number}", timeout=10)
    tmdb_server.requests.clear()
    return url


def statuses(url, paths):
    def get(path):
        answer = requests.get(url + path, timeout=10)
        # From the request to the answer, with a little for a machine that has other work.
        assert answer.elapsed.total_seconds() < 3.5
        return answer.status_code

    with ThreadPoolExecutor(len(paths)) as threads:
        return list(threads.map(get, paths))


def test_a_stampede_is_one_call_an_outage_few_and_other_requests_stay_fast(service, tmdb_server):
    # One test, because starting the service is most of what it takes.
    a_hundred_cold_requests_of_one_key_are_one_call(service, tmdb_server)
    twenty_searches_that_hang_hold_nobody_up(service, tmdb_server)
    tmdb_is_found_well_within_five_seconds(service, tmdb_server)


def a_hundred_cold_requests_of_one_key_are_one_call(service, tmdb_server):
    tmdb_server.switch("slow", seconds=0.1)
    assert statuses(service, ["/tmdb/search/?query=lamps"] * 100).count(200) > 50
    assert len(tmdb_server.requests) == 1
    # And slower than a crowd has patience for.
    tmdb_server.switch("slow", seconds=1)
    answered = statuses(service, ["/tmdb/search/?query=quarry"] * 100)
    assert set(answered) == {200, 503}
    assert len(tmdb_server.requests) == 2


def twenty_searches_that_hang_hold_nobody_up(service, tmdb_server):
    tmdb_server.requests.clear()
    tmdb_server.switch("slow", seconds=30)
    latencies = []
    with ThreadPoolExecutor(1) as thread:
        paths = [f"/tmdb/search/?query=lamps{number}" for number in range(20)]
        hanging = thread.submit(statuses, service, paths)
        while not tmdb_server.requests:
            time.sleep(0.01)
        session = requests.Session()
        while not hanging.done():
            for path in ("/movies/", "/health/live/"):
                started = time.monotonic()
                assert session.get(service + path, timeout=10).status_code == 200
                latencies.append(time.monotonic() - started)
        session.close()
        assert set(hanging.result()) == {503}
    latencies.sort()
    assert len(latencies) > 20
    assert latencies[int(len(latencies) * 0.95)] < 0.1
    # All four that may fly have timed out by now, and nothing more is sent.
    before = len(tmdb_server.requests)
    assert before <= 4
    assert set(statuses(service, paths)) == {503}
    assert len(tmdb_server.requests) == before


def tmdb_is_found_well_within_five_seconds(service, tmdb_server):
    tmdb_server.switch("ok")
    returned = time.monotonic()
    while requests.get(f"{service}/tmdb/search/?query=heron", timeout=10).status_code != 200:
        assert time.monotonic() - returned < 5
        time.sleep(0.1)
    assert requests.get(f"{service}/movies/", timeout=10).json()["count"] >= 0
