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


def _figure(text, name, **labels):
    """The value of one series; 0 where it is not there."""
    for found in re.finditer(rf"^{name}(?:\{{(.*)\}})? (\S+)$", text, re.MULTILINE):
        if dict(re.findall(r'(\w+)="([^"]*)"', found[1] or "")) == labels:
            return float(found[2])
    return 0.0


def _metrics(api):
    answer = api.get("/metrics")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=0.0.4")
    assert answer["Cache-Control"] == "no-store"
    return answer.content.decode()


@pytest.mark.django_db
def test_a_request_is_counted_under_its_route_and_never_under_its_path(api, make_movie):
    film = make_movie("Alien")
    series = {"method": "GET", "route": "/movies/<id:pk>/"}
    before = _metrics(api)
    api.get(f"/movies/{film.pk}/")
    api.get("/movies/999999999/")
    api.get("/nothing/of/the/kind/")
    api.generic("BREW", "/nothing/")
    after = _metrics(api)

    def more(name, **labels):
        return _figure(after, name, **labels) - _figure(before, name, **labels)

    assert more("nexus_http_requests_total", status="200", **series) == 1
    assert more("nexus_http_requests_total", status="404", **series) == 1
    assert more("nexus_http_request_duration_seconds_count", **series) == 2
    assert more("nexus_http_requests_total", method="GET", route="none", status="404") == 1
    assert more("nexus_http_requests_total", method="other", route="none", status="404") == 1
    assert "/999999999" not in after


@pytest.mark.django_db
def test_a_request_over_a_limit_is_counted_by_scope(api, settings):
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "anonymous": (1, 60)}
    before = _figure(_metrics(api), "nexus_rate_limit_refusals_total", scope="anonymous")
    assert [api.get("/genres/").status_code for _ in range(3)] == [200, 429, 429]
    # Itself it is not limited: it is read when there is trouble.
    after = _figure(_metrics(api), "nexus_rate_limit_refusals_total", scope="anonymous")
    assert after - before == 2


@pytest.mark.django_db
def test_the_queries_of_a_request_are_counted_and_timed_under_its_route(api, make_movie):
    film = make_movie("Alien")
    series = {"method": "GET", "route": "/movies/<id:pk>/"}
    before = _metrics(api)
    with CaptureQueriesContext(connection) as queries:
        assert api.get(f"/movies/{film.pk}/").status_code == 200
    asked = len(queries)
    after = _metrics(api)
    counted, seconds = (
        _figure(after, name, **series) - _figure(before, name, **series)
        for name in ("nexus_http_db_queries_total", "nexus_http_db_seconds_total")
    )
    assert counted == asked > 0
    assert 0 < seconds < 1


@pytest.mark.django_db
def test_reads_of_the_cache_are_counted_by_how_they_went(api, settings, tmp_path):
    before = _metrics(api)
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
    after = _metrics(api)

    def more(name, **labels):
        return _figure(after, name, **labels) - _figure(before, name, **labels)

    results = ("hit", "miss", "garbage", "failed", "skipped")
    counted = {each: more("nexus_cache_reads_total", result=each) for each in results}
    # The scrape before and after counts itself and reads nothing.
    assert counted == {"hit": 1, "miss": 3, "garbage": 1, "failed": 3, "skipped": 2}
    assert more("nexus_cache_failures_total") >= 3
    assert more("nexus_cache_pauses_total") >= 1


def test_with_a_token_the_metrics_are_for_its_bearer_alone(api, db, settings):
    settings.METRICS_TOKEN = "a-token"
    for header in ({}, {"Authorization": "Bearer other"}, {"Authorization": "Basic a-token"}):
        answer = api.get("/metrics", headers=header)
        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
        assert answer["WWW-Authenticate"] == "Bearer"
    answer = api.get("/metrics", headers={"Authorization": "Bearer a-token"})
    assert answer.status_code == 200


def test_without_a_token_production_keeps_them_to_itself(api, settings):
    settings.PRODUCTION = True
    answer = api.get("/metrics")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_the_metrics_are_of_all_workers_together(gunicorn):
    url = gunicorn(WEB_CONCURRENCY="2", METRICS_TOKEN="t")
    with ThreadPoolExecutor(8) as clients:
        list(clients.map(lambda _: urlopen(f"{url}/health/live/").read(), range(60)))
    request = Request(f"{url}/metrics", headers={"Authorization": "Bearer t"})
    for _ in range(4):
        with urlopen(request) as answer:
            text = answer.read().decode()
        series = {"method": "GET", "route": "/health/live/", "status": "200"}
        assert _figure(text, "nexus_http_requests_total", **series) == 60
    with pytest.raises(HTTPError, match="401"):
        urlopen(f"{url}/metrics")
