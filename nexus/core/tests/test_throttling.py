import copy
import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from urllib.error import HTTPError
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

import pytest
from django.conf import settings as configured
from django.db import connection
from django.test import RequestFactory
from django.utils import timezone
from django_redis import get_redis_connection

from benchmarks.cost_cases import COSTLIEST
from nexus.core.api import throttling
from nexus.core.models import LimitWindow
from nexus.tests.routes import list_api_routes


def make_request(remote="10.0.0.1", forwarded=None, **headers):
    if forwarded is not None:
        headers["X-Forwarded-For"] = forwarded
    return RequestFactory().get("/", REMOTE_ADDR=remote, headers=headers)


@pytest.fixture
def set_limit(settings):
    """Return a function that sets the limit of a scope."""

    def set_limit(scope, requests, window_s=60):
        settings.RATE_LIMITS = {**settings.RATE_LIMITS, scope: (requests, window_s)}

    return set_limit


def hit_concurrently(threads, scope, times=400):
    """Hit the limit at least `times` times; return whether each hit exceeded it."""
    gate = threading.Barrier(threads)

    def hit(_):
        gate.wait()
        exceeded = []
        for _ in range(-(-times // threads)):
            exceeded.append(throttling.hit(make_request(), scope, "an account").is_exceeded)
            connection.close()
        return exceeded

    with ThreadPoolExecutor(threads) as pool:
        exceeded = [is_exceeded for hits in pool.map(hit, range(threads)) for is_exceeded in hits]
    assert len(exceeded) >= times
    return exceeded


CACHE_SCOPES = sorted(set(configured.RATE_LIMITS) - throttling.DATABASE_SCOPES)


@pytest.mark.parametrize("threads", [16, 48])
@pytest.mark.parametrize("scope", ["address", "member", "login"])
def test_concurrent_requests_pass_exactly_up_to_the_limit(set_limit, threads, scope):
    set_limit(scope, 100)

    assert hit_concurrently(threads, scope).count(False) == 100


@pytest.mark.parametrize("units", [1, 3, 7])
def test_requests_pass_while_their_units_fit(set_limit, units):
    set_limit("address", 20)

    usages = [throttling.hit(make_request(), "address", "ann", units=units) for _ in range(30)]

    assert [usage.is_exceeded for usage in usages].count(False) == 20 // units


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("threads", [16, 48])
def test_concurrent_requests_counted_in_the_database_pass_exactly_up_to_the_limit(
    set_limit, threads
):
    set_limit("login_account", 50)

    assert hit_concurrently(threads, "login_account", times=200).count(False) == 50


def test_every_scope_has_a_limit():
    assert set(configured.RATE_LIMITS) >= throttling.DATABASE_SCOPES | throttling.FALLBACK_SCOPES
    assert set(CACHE_SCOPES) == {
        *("address", "member", "login", "register", "guest", "password_reset", "email"),
        *("account_deletion", "tmdb", "tmdb_bulk", "import", "export", "group_join"),
    }


@pytest.fixture
def without_cache(settings, tmp_path):
    caches = copy.deepcopy(settings.CACHES)
    caches["default"]["LOCATION"] = f"unix://{tmp_path}/nobody.sock"
    settings.CACHES = caches


@pytest.mark.django_db
def test_without_the_cache_only_logins_are_limited(without_cache, set_limit):
    set_limit("login", 3)
    set_limit("address", 3)
    for scope, passed in (("login", 3), ("address", 9)):
        seen = [throttling.hit(make_request(), scope, "10.0.0.1").is_exceeded for _ in range(9)]
        assert seen.count(False) == passed


@pytest.mark.django_db
def test_a_window_in_the_database_closes_on_time(set_limit):
    set_limit("login_account", 1)
    first = throttling.hit(make_request(), "login_account", "ann")

    second = throttling.hit(make_request(), "login_account", "ann")

    assert (second.used, second.closes_at, second.is_exceeded) == (2, first.closes_at, True)

    LimitWindow.objects.update(closes_at=timezone.now() - timedelta(seconds=1))
    third = throttling.hit(make_request(), "login_account", "ann")
    assert (third.used, third.reset_s) == (1, 60)

    # A count of the previous window is not taken from this one.
    throttling.refund(first)
    assert throttling.hit(make_request(), "login_account", "ann").used == 2


def test_accounts_and_scopes_are_counted_separately(set_limit):
    set_limit("login", 1)
    set_limit("register", 1)
    request = make_request()

    assert not throttling.hit(request, "login", "ann").is_exceeded
    assert not throttling.hit(request, "login", "bob").is_exceeded
    assert not throttling.hit(request, "register", "ann").is_exceeded
    assert throttling.hit(request, "login", "ann").is_exceeded
    assert [count.scope for count in throttling.get_usages(request)] == [
        *("login", "login", "register", "login")
    ]


@pytest.mark.django_db
def test_a_refunded_count_can_be_used_again(set_limit):
    set_limit("login_account", 1)
    count = throttling.hit(make_request(), "login_account", "ann")

    throttling.refund(count)

    assert not throttling.hit(make_request(), "login_account", "ann").is_exceeded
    assert throttling.hit(make_request(), "login_account", "ann").is_exceeded


@pytest.mark.parametrize(("scale", "limit"), [(1, 10), (0.5, 5), (3, 30), (0.0001, 1)])
def test_the_scale_multiplies_every_limit(set_limit, settings, scale, limit):
    set_limit("login", 10)

    settings.RATE_LIMIT_SCALE = scale

    assert throttling.hit(make_request(), "login", "ann").limit == limit


@pytest.mark.django_db
def test_keys_do_not_contain_the_account():
    throttling.hit(make_request(), "login", "ann@example.org")
    throttling.hit(make_request(), "login_account", "ann@example.org")

    (key,) = get_redis_connection("default").keys("*")

    assert b"ann" not in key
    assert "ann" not in LimitWindow.objects.get().key


@pytest.mark.django_db
def test_an_account_that_is_not_utf8_can_be_counted():
    assert throttling.hit(make_request(), "login_account", "\ud800").used == 1


@pytest.mark.parametrize(
    ("proxies", "remote", "forwarded", "address"),
    [
        (0, "203.0.113.7", None, "203.0.113.7"),
        (0, "203.0.113.7", "198.51.100.1", "203.0.113.7"),
        (1, "10.0.0.1", None, "10.0.0.1"),
        (1, "10.0.0.1", "203.0.113.7", "203.0.113.7"),
        (1, "10.0.0.1", "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        (1, "10.0.0.1", "198.51.100.1,,203.0.113.7 ", "203.0.113.7"),
        (1, "10.0.0.1", "198.51.100.1, ", "10.0.0.1"),
        (2, "10.0.0.1", "198.51.100.1, 203.0.113.7, 10.0.0.9", "203.0.113.7"),
        (2, "10.0.0.1", "203.0.113.7", "10.0.0.1"),
        (1, "10.0.0.1", "nonsense", "unknown"),
        (0, "", None, "unknown"),
        (0, "2001:db8:1:2:3:4:5:6", None, "2001:db8:1:2::"),
        (1, "10.0.0.1", "2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        (0, "::ffff:203.0.113.7", None, "203.0.113.7"),
        (0, "fe80::1%eth0", None, "fe80::"),
        (1, "10.0.0.1", "203.0.113.7:51234", "203.0.113.7"),
        (1, "10.0.0.1", "198.51.100.1:1, 203.0.113.7:51234", "203.0.113.7"),
        (1, "10.0.0.1", "[2001:db8:1:2::7]:51234", "2001:db8:1:2::"),
        (1, "10.0.0.1", "[2001:db8:1:2::8]", "2001:db8:1:2::"),
        (1, "10.0.0.1", "[::ffff:203.0.113.7]:80", "203.0.113.7"),
        (1, "10.0.0.1", "[203.0.113.7]:80", "203.0.113.7"),
        (1, "10.0.0.1", "2001:db8:1:3::7", "2001:db8:1:3::"),
        (1, "10.0.0.1", "[", "unknown"),
        (1, "10.0.0.1", ":80", "unknown"),
    ],
)
def test_the_client_address_is_the_one_the_outermost_trusted_proxy_saw(
    settings, proxies, remote, forwarded, address
):
    settings.TRUSTED_PROXIES = proxies

    assert throttling.get_client_address(make_request(remote, forwarded)) == address


@pytest.mark.django_db
@pytest.mark.parametrize("proxies", [0, 1])
def test_a_forged_x_forwarded_for_does_not_evade_the_limit(api, set_limit, settings, proxies):
    set_limit("address", 5)
    settings.TRUSTED_PROXIES = proxies
    seen = []

    for number in range(20):
        # The address that the client claims, and the one that a trusted proxy appends.
        forwarded = f"198.51.100.{number}" + ", 203.0.113.7" * proxies
        seen.append(api.get("/genres/", HTTP_X_FORWARDED_FOR=forwarded).status_code)

    assert Counter(seen) == {200: 5, 429: 15}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("method", "path", "status", "units"),
    [
        ("get", "/", 200, 1),
        ("get", "/genres/", 200, 1),
        ("get", "/api/genres", 200, 1),
        ("get", "/nowhere/", 404, 1),
        ("get", "/movies/?nonsense=1", 400, 3),
        ("delete", "/movies/", 405, 1),
        ("get", "/ratings/", 401, 2),
        ("get", "/swagger.json", 200, 1),
        ("get", "/health/ready/", 200, 1),
        ("get", "/admin/nowhere/", 302, 6),
    ],
)
def test_every_response_has_ratelimit_headers(api, method, path, status, units):
    response = getattr(api, method)(path)

    assert response.status_code == status
    assert response["RateLimit-Policy"] == '"address";q=1200;w=60'
    assert response["RateLimit"] == f'"address";r={1200 - units};t=60'


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("get", "/movies/?search=a"),
        ("head", "/movies/?search=a"),
        ("get", "/movies/?%73earch=a"),
        ("get", "/movies/?title=a"),
        ("get", "/%6dovies/"),
        ("get", "/movies"),
        ("head", "/api/movies"),
        ("get", "/api/movies/?genre=Drama"),
    ],
)
def test_a_request_costs_the_same_in_every_spelling_and_by_head(api, method, url):
    response = getattr(api, method)(url)

    assert response.status_code == 200
    assert response["RateLimit"] == '"address";r=1197;t=60'


def test_a_detail_with_append_costs_more_than_one_without(api, make_movie):
    path = f"/movies/{make_movie('Alien').pk}/"

    plain, appended = api.get(path), api.head(f"{path}?append=similar,reviews")

    assert plain["RateLimit"] == '"address";r=1199;t=60'
    assert appended["RateLimit"] == '"address";r=1194;t=60'


@pytest.mark.parametrize("route", list_api_routes(), ids=lambda route: route.template)
def test_every_operation_has_its_units(route):
    for method in route.methods:
        assert f"{method} {route.template}" in configured.REQUEST_UNITS


def test_units_and_cost_cases_are_those_of_operations_that_exist():
    operations = {
        f"{method} {route.template}" for route in list_api_routes() for method in route.methods
    }
    pages = {
        *("GET /", "GET /favicon.ico", "GET /swagger/", "GET /redoc/", "GET /swagger.json"),
        *("GET /swagger.yaml", "GET /openapi.json", "GET /openapi.yaml", "GET /health/ready/"),
        "/admin/",
        "GET /movies/{pk}/?append=",
        *("GET /auth/email/confirm/", "POST /auth/email/confirm/"),
        "GET /calendar/{secret}.ics",
    }

    assert set(configured.REQUEST_UNITS) == operations | pages
    assert set(COSTLIEST) == operations | pages
    assert all(1 <= units <= 120 for units in configured.REQUEST_UNITS.values())


@pytest.mark.django_db
def test_a_view_with_its_own_limit_reports_both(api):
    response = api.post("/auth/token/", {"username": "ann", "password": "wrong"})

    assert response.status_code == 401

    scopes = [part.split(";")[0] for part in response["RateLimit-Policy"].split(", ")]
    assert scopes[:2] == ['"address"', '"login"']
    assert len(response["RateLimit"].split(", ")) == len(scopes)


def test_liveness_is_never_limited(api, set_limit, db):
    set_limit("address", 1)
    for _ in range(3):
        response = api.get("/health/live/")
        assert response.status_code == 200
        assert "RateLimit" not in response


def test_readiness_is_limited_by_address(api, set_limit, db):
    set_limit("address", 2)

    statuses = [api.get(url).status_code for url in ("/health/ready/", "/health/ready") * 2]

    assert statuses == [200, 200, 429, 429]


@pytest.mark.django_db
def test_a_request_over_the_limit_is_429_with_retry_after(api, set_limit):
    set_limit("address", 2)
    for _ in range(2):
        assert api.get("/genres/").status_code == 200

    response = api.get("/genres/", HTTP_X_REQUEST_ID="seen-by-me")

    assert response.status_code == 429
    assert response["Content-Type"] == "application/problem+json"
    assert response["RateLimit"].startswith('"address";r=0;t=')
    assert 1 <= int(response["Retry-After"]) <= 60
    assert response.json() == {
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "detail": f"Too many requests. Try again in {response['Retry-After']} s.",
        "code": "throttled",
        "request_id": "seen-by-me",
    }


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/genres/", "/blocks/"])
def test_a_member_is_counted_by_account_at_any_address(make_user, client_of, set_limit, path):
    set_limit("member", 2)
    ann, bob = client_of(make_user("ann")), client_of(make_user("bob"))

    statuses = [ann.get(path, REMOTE_ADDR=f"203.0.113.{number}").status_code for number in range(3)]

    assert statuses == [200, 200, 429]
    response = bob.get(path)
    assert response.status_code == 200
    assert response["RateLimit-Policy"] == '"address";q=1200;w=60, "member";q=2;w=60'
    assert response["RateLimit"] == '"address";r=1199;t=60, "member";r=1;t=60'


@pytest.mark.django_db
def test_the_members_of_an_address_share_its_budget(make_user, client_of, set_limit, api):
    set_limit("address", 8)
    members = [client_of(make_user(name)) for name in ("ann", "bob", "cyd", "dan")]

    statuses = [client.get("/blocks/").status_code for client in members * 3]

    assert statuses == [200] * 8 + [429] * 4
    assert api.get("/genres/").status_code == 429
    assert members[0].get("/genres/", REMOTE_ADDR="203.0.113.9").status_code == 200


@pytest.mark.django_db
def test_a_write_costs_its_units(make_user, client_of, set_limit, settings):
    settings.REQUEST_UNITS = {**settings.REQUEST_UNITS, "POST /playlists/": 2}
    set_limit("member", 5)
    ann = client_of(make_user("ann"))

    responses = [ann.post("/playlists/", {}) for _ in range(3)]

    assert [response.status_code for response in responses] == [400, 400, 429]
    assert responses[2]["RateLimit"] == '"address";r=1194;t=60, "member";r=0;t=60'
    assert responses[2]["Retry-After"] == "60"


@pytest.mark.django_db
@pytest.mark.parametrize(
    "token", ["a.b.c", "", "x" * 5000, "é", "\x80", "eyJhbGciOiJub25lIn0.e30."]
)
def test_a_forged_token_is_counted_by_address_alone(api, token):
    for path in ("/genres/", "/blocks/"):
        response = api.get(path, HTTP_AUTHORIZATION=f"Bearer {token}")

        assert response.status_code in (200, 401)
        assert response["RateLimit-Policy"] == '"address";q=1200;w=60'


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/genres/", "/blocks/"])
def test_a_token_of_an_ended_session_is_counted_by_address_alone(make_user, client_of, path):
    ann = make_user("ann")
    client, other = client_of(ann), client_of(ann)
    client.post("/auth/logout/all/")

    response = other.get(path)

    assert response.status_code in (200, 401)
    assert response["RateLimit-Policy"] == '"address";q=1200;w=60'


def send(url, **headers):
    try:
        with urlopen(HttpRequest(url, headers=headers), timeout=30) as response:
            return response.status, dict(response.headers), json.load(response)
    except HTTPError as error:
        with error:
            return error.code, dict(error.headers), json.load(error)


@pytest.mark.django_db(transaction=True)
def test_limits_hold_across_workers_over_http(gunicorn):
    url = gunicorn(WEB_CONCURRENCY="2", RATE_LIMIT_SCALE="0.05")
    for threads in (16, 48):
        get_redis_connection("default").flushdb()

        def send_forged(number, url=url):
            return send(f"{url}/", **{"X-Forwarded-For": f"198.51.100.{number % 250}"})

        with ThreadPoolExecutor(threads) as pool:
            responses = list(pool.map(send_forged, range(240)))
        assert Counter(status for status, _, _ in responses) == {200: 60, 429: 180}
        for status, headers, body in responses:
            assert headers["RateLimit-Policy"] == '"address";q=60;w=60'
            assert headers["RateLimit"].startswith('"address";r=')
            if status == 429:
                assert int(headers["Retry-After"]) <= 60
                assert body["code"] == "throttled"
