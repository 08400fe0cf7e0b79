import copy
import re
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from django.core.cache import cache as django_cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django_redis import get_redis_connection

from nexus.core.cache import client as cache


def read_sample(text, name, **labels):
    """Return the value of one series, or 0 if it is missing."""
    for match in re.finditer(rf"^{name}(?:\{{(.*)\}})? (\S+)$", text, re.MULTILINE):
        if dict(re.findall(r'(\w+)="([^"]*)"', match[1] or "")) == labels:
            return float(match[2])
    return 0.0


def scrape(api):
    response = api.get("/metrics")
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain; version=0.0.4")
    assert response["Cache-Control"] == "no-store"
    return response.content.decode()


@pytest.mark.django_db
def test_a_request_is_counted_under_its_route_and_not_its_path(api, make_movie):
    movie = make_movie("Alien")
    series = {"method": "GET", "route": "/movies/<id:pk>/"}
    before = scrape(api)

    api.get(f"/movies/{movie.pk}/")
    api.get("/movies/999999999/")
    api.get("/nothing/of/the/kind/")
    api.generic("BREW", "/nothing/")
    after = scrape(api)

    def increase(name, **labels):
        return read_sample(after, name, **labels) - read_sample(before, name, **labels)

    assert increase("nexus_http_requests_total", status="200", **series) == 1
    assert increase("nexus_http_requests_total", status="404", **series) == 1
    assert increase("nexus_http_request_duration_seconds_count", **series) == 2
    assert increase("nexus_http_requests_total", method="GET", route="none", status="404") == 1
    assert increase("nexus_http_requests_total", method="other", route="none", status="404") == 1
    assert "/999999999" not in after


@pytest.mark.django_db
def test_a_refused_request_is_counted_by_scope(api, settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "address": (1, 60)}

    before = read_sample(scrape(api), "nexus_rate_limit_refusals_total", scope="address")

    assert [api.get("/genres/").status_code for _ in range(3)] == [200, 429, 429]

    # /metrics itself is not limited, so that it can be read during an attack.
    after = read_sample(scrape(api), "nexus_rate_limit_refusals_total", scope="address")
    assert after - before == 2


@pytest.mark.django_db
def test_the_queries_of_a_request_are_counted_and_timed_under_its_route(api, make_movie):
    movie = make_movie("Alien")
    series = {"method": "GET", "route": "/movies/<id:pk>/"}
    before = scrape(api)

    with CaptureQueriesContext(connection) as queries:
        assert api.get(f"/movies/{movie.pk}/").status_code == 200

    query_count = len(queries)
    after = scrape(api)

    counted, seconds = (
        read_sample(after, name, **series) - read_sample(before, name, **series)
        for name in ("nexus_http_db_queries_total", "nexus_http_db_seconds_total")
    )

    assert counted == query_count > 0
    assert 0 < seconds < 1


@pytest.mark.django_db
def test_cache_reads_are_counted_by_result(api, settings, tmp_path):
    before = scrape(api)

    for _ in range(3):
        cache.get("nothing-here")
    cache.set("something", 1, ttl_s=60)
    cache.get("something")
    get_redis_connection("default").set(django_cache.make_key("rubbish"), b"\xff")
    cache.get("rubbish")
    caches = copy.deepcopy(settings.CACHES)
    caches["default"]["LOCATION"] = f"unix://{tmp_path}/nobody.sock"
    settings.CACHES = caches
    for _ in range(5):
        cache.get("something")
    after = scrape(api)

    def increase(name, **labels):
        return read_sample(after, name, **labels) - read_sample(before, name, **labels)

    results = ("hit", "miss", "garbage", "failed", "skipped")
    counted = {result: increase("nexus_cache_reads_total", result=result) for result in results}
    assert counted == {"hit": 1, "miss": 3, "garbage": 1, "failed": 3, "skipped": 2}
    assert increase("nexus_cache_failures_total") >= 3
    assert increase("nexus_cache_pauses_total") >= 1


def test_metrics_with_a_token_need_its_bearer(api, db, settings):
    settings.METRICS_TOKEN = "a-token"
    for header in ({}, {"Authorization": "Bearer other"}, {"Authorization": "Basic a-token"}):
        response = api.get("/metrics", headers=header)
        assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")
        assert response["WWW-Authenticate"] == "Bearer"

    response = api.get("/metrics", headers={"Authorization": "Bearer a-token"})

    assert response.status_code == 200


def test_metrics_without_a_token_are_404_in_production(api, settings):
    settings.PRODUCTION = True

    response = api.get("/metrics")

    assert (response.status_code, response.json()["code"]) == (404, "not_found")


def test_metrics_are_summed_over_all_workers(gunicorn):
    url = gunicorn(WEB_CONCURRENCY="2", METRICS_TOKEN="t")
    with ThreadPoolExecutor(8) as clients:
        list(clients.map(lambda _: urlopen(f"{url}/health/live/").read(), range(60)))
    request = Request(f"{url}/metrics", headers={"Authorization": "Bearer t"})

    for _ in range(4):
        with urlopen(request) as response:
            text = response.read().decode()
        series = {"method": "GET", "route": "/health/live/", "status": "200"}
        assert read_sample(text, "nexus_http_requests_total", **series) == 60

    with pytest.raises(HTTPError, match="401"):
        urlopen(f"{url}/metrics")
